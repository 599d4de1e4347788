#include "net/host_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/threads.h"

void fnr_host_state_free(fnr_state *s)
{
    if (s) {
        free(s->values);
        free(s->grads);
        free(s->moment1);
        free(s->moment2);
        free(s);
    }
}

static float *zeros(const fnr_graph *g, const char *what, fnr_error *err)
{
    const size_t count = g->param_floats ? g->param_floats : 1;
    float *p = fnr_alloc_aligned(count, sizeof *p, what, err);
    if (p) {
        memset(p, 0, count * sizeof *p);
    }
    return p;
}

bool fnr_host_state_new(fnr_backend *b, const fnr_graph *g, bool training, fnr_state **out, fnr_error *err)
{
    (void)b;
    fnr_state *s = fnr_calloc(1, sizeof *s, "network state", err);
    if (!s) {
        return false;
    }
    s->graph = g;
    s->version = 1;
    s->values = zeros(g, "network parameters", err);
    bool ok = s->values != NULL;
    if (ok && training) {
        ok = (s->grads = zeros(g, "parameter gradients", err)) && (s->moment1 = zeros(g, "Adam moments", err)) &&
             (s->moment2 = zeros(g, "Adam moments", err));
    }
    if (!ok) {
        fnr_host_state_free(s);
        return false;
    }
    *out = s;
    return true;
}

static float *part_of(const fnr_state *s, fnr_state_part part, fnr_error *err)
{
    float *const parts[] = {s->values, s->grads, s->moment1, s->moment2};
    if (!parts[part]) {
        fnr_fail(err, FNR_E_INTERNAL, "network state: there are no gradients or moments, it was not made for training");
    }
    return parts[part];
}

bool fnr_host_state_write(fnr_state *s, fnr_state_part part, const float *flat, fnr_error *err)
{
    float *p = part_of(s, part, err);
    if (!p) {
        return false;
    }
    memcpy(p, flat, s->graph->param_floats * sizeof *p);
    s->version++;
    return true;
}

bool fnr_host_state_read(fnr_state *s, fnr_state_part part, float *flat, fnr_error *err)
{
    const float *p = part_of(s, part, err);
    if (!p) {
        return false;
    }
    memcpy(flat, p, s->graph->param_floats * sizeof *p);
    return true;
}

enum { ADAM_CHUNK = 16384 };

typedef struct {
    fnr_state *state;
    double beta1, beta2, eps;
    double step_size;  /* lr / (1 - beta1^step) */
    double root_scale; /* 1 / sqrt(1 - beta2^step) */
    size_t begin, end; /* elements of the flat vectors */
} adam_job;

/* Kingma & Ba 2015, algorithm 1, with eps outside the bias correction of the root, as torch.optim.Adam has it. */
static void adam_chunk(void *ctx, size_t index)
{
    const adam_job *j = ctx;
    const fnr_state *s = j->state;
    const size_t begin = j->begin + index * ADAM_CHUNK;
    const size_t end = begin + ADAM_CHUNK < j->end ? begin + ADAM_CHUNK : j->end;
    for (size_t i = begin; i < end; i++) {
        const double g = (double)s->grads[i];
        const double m = j->beta1 * (double)s->moment1[i] + (1 - j->beta1) * g;
        const double v = j->beta2 * (double)s->moment2[i] + (1 - j->beta2) * g * g;
        s->moment1[i] = (float)m;
        s->moment2[i] = (float)v;
        s->values[i] = (float)((double)s->values[i] - j->step_size * m / (sqrt(v) * j->root_scale + j->eps));
    }
}

bool fnr_host_state_adam(fnr_state *s, const fnr_adam *hyper, long step, fnr_error *err)
{
    if (step < 1) {
        return fnr_fail(err, FNR_E_INTERNAL, "Adam steps are counted from 1, not %ld", step);
    }
    if (!part_of(s, FNR_STATE_GRADS, err)) {
        return false;
    }
    adam_job job = {.state = s,
                    .beta1 = hyper->beta1,
                    .beta2 = hyper->beta2,
                    .eps = hyper->eps,
                    .step_size = hyper->lr / (1 - pow(hyper->beta1, (double)step)),
                    .root_scale = 1 / sqrt(1 - pow(hyper->beta2, (double)step))};
    const fnr_graph *g = s->graph;
    for (int i = 0; i < g->n_params;) {
        if (!fnr_role_is_trained(g->params[i].role)) {
            i++;
            continue;
        }
        /* Neighbours in one go: most parameters are tiny. */
        job.begin = g->params[i].offset;
        while (i < g->n_params && fnr_role_is_trained(g->params[i].role)) {
            job.end = g->params[i].offset + g->params[i].count;
            i++;
        }
        fnr_parallel_for((job.end - job.begin + ADAM_CHUNK - 1) / ADAM_CHUNK, adam_chunk, &job);
    }
    s->version++;
    return true;
}
