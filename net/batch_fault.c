#include "net/batch_fault.h"

#include <math.h>
#include <stdio.h>

static bool all_finite(const float *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(v[i])) {
            return false;
        }
    }
    return true;
}

typedef struct {
    char text[700];
    size_t used;
} list;

/* Adds "'image' at x 3, y 4"; what does not fit any more is left out. */
static void add_patch(list *l, const fnr_batch_case *c, long step, int item)
{
    int z, y, x;
    char one[300], depth[32] = "";
    const fnr_pair *p = fnr_sampler_where(c->sampler, step, item, &z, &y, &x);
    if (c->desc->spatial == 3) {
        snprintf(depth, sizeof depth, ", z %d", z);
    }
    const int n = snprintf(one, sizeof one, "%s'%.200s' at x %d, y %d%s", l->used ? "; " : "", p->name, x, y, depth);
    if (n > 0 && (size_t)n < sizeof one && l->used + (size_t)n < sizeof l->text) {
        snprintf(l->text + l->used, sizeof l->text - l->used, "%s", one);
        l->used += (size_t)n;
    }
}

static list all_patches(const fnr_batch_case *c, long step)
{
    list l = {.text = ""};
    for (int i = 0; i < c->options->batch; i++) {
        add_patch(&l, c, step, i);
    }
    return l;
}

/* The patches whose own pixels are at fault. */
static list bad_patches(const fnr_batch_case *c, bool *target)
{
    list l = {.text = ""};
    const fnr_sampler_options *o = c->options;
    const size_t pixels = (size_t)o->patch_d * (size_t)o->patch_h * (size_t)o->patch_w;
    const size_t in = pixels * (size_t)c->desc->in_channels, out = pixels * (size_t)c->desc->out_channels;
    for (int i = 0; i < o->batch; i++) {
        const bool bad_x = !all_finite(c->x + (size_t)i * in, in), bad_y = !all_finite(c->y + (size_t)i * out, out);
        if (bad_x || bad_y) {
            add_patch(&l, c, c->step, i);
            *target = bad_y;
        }
    }
    return l;
}

bool fnr_batch_fault(const fnr_batch_case *c, fnr_error *err)
{
    bool target = false;
    const long number = c->step + 1;
    list bad = bad_patches(c, &target);
    if (bad.used > 0) {
        return fnr_fail(err, FNR_E_NUMERIC,
                        "training stopped at step %ld: the loss is not finite, because the %s holds values that are not: %s. Repair that "
                        "image or leave it out, then train anew",
                        number, target ? "target" : "signal", bad.text);
    }
    if (c->step > 0 && c->parameters && !all_finite(c->parameters, c->n_parameters)) {
        bad = all_patches(c, c->step - 1);
        return fnr_fail(err, FNR_E_NUMERIC,
                        "training stopped at step %ld: step %ld made parameters that are not finite; use a smaller learning rate. Its patches: %s",
                        number, number - 1, bad.text);
    }
    bad = all_patches(c, c->step);
    return fnr_fail(err, FNR_E_NUMERIC,
                    "training stopped at step %ld: the loss is not finite, though its patches are; use a smaller learning rate, and look for "
                    "extreme values in them: %s",
                    number, bad.text);
}
