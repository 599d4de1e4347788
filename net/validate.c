#include "net/validate.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"

typedef struct {
    char *name;            /* of its pair */
    float *signal, *target; /* of the validator's shape */
    uint8_t *valid;        /* h * w; NULL = everywhere */
} crop;

struct fnr_validator {
    const fnr_backend_ops *be;
    fnr_program *program;
    fnr_shape in, out; /* n = 1 */
    crop *crops;
    size_t n_crops;
    float *prediction; /* of one crop */
    struct sums *sums;          /* one per output channel */
};

/* ---- which pixels -------------------------------------------------------------------------------------------------------- */

/* What correlation and error are made of. */
typedef struct sums {
    double n, p, t, pp, tt, pt, square_error;
} sums;

static int floor_to(int value, int grid)
{
    return value / grid * grid;
}

/* The largest shape on the network's grid that fits into every image and keeps within FNR_VALIDATE_MAX_PX. */
static bool choose_shape(const fnr_netdesc *desc, const fnr_pair_source *source, fnr_shape *shape, fnr_error *err)
{
    const int grid = fnr_netdesc_grid(desc);
    const size_t n = source->count;
    *shape = (fnr_shape){.spatial = desc->spatial, .n = 1, .c = desc->in_channels, .d = INT_MAX, .h = INT_MAX, .w = INT_MAX};
    for (size_t i = 0; i < n; i++) {
        fnr_pair described;
        const fnr_pair *p = &described;
        source->describe(source->ctx, i, &described);
        if (p->h < grid || p->w < grid || (desc->spatial == 3 && p->d < grid)) {
            return fnr_fail(err, FNR_E_USAGE,
                            "validation image '%s' has only %d x %d x %d px (w, h, d); a network of depth %d needs %d", p->name,
                            p->w, p->h, p->d, desc->depth, grid);
        }
        shape->d = p->d < shape->d ? p->d : shape->d;
        shape->h = p->h < shape->h ? p->h : shape->h;
        shape->w = p->w < shape->w ? p->w : shape->w;
    }
    shape->d = desc->spatial == 3 ? floor_to(shape->d, grid) : 1;
    const double area = (double)FNR_VALIDATE_MAX_PX / (double)n / shape->d;
    const double side = sqrt(area), short_side = fmin(side, fmin(shape->h, shape->w));
    const double long_side = fmin(area / short_side, 4 * short_side); /* no slivers */
    const int w = (int)(shape->w < shape->h ? short_side : long_side), h = (int)(shape->w < shape->h ? long_side : short_side);
    shape->w = floor_to(w < shape->w ? w : shape->w, grid);
    shape->h = floor_to(h < shape->h ? h : shape->h, grid);
    shape->w = shape->w < grid ? grid : shape->w;
    shape->h = shape->h < grid ? grid : shape->h;
    return true;
}

static size_t count_valid(const fnr_pair *p, int y0, int x0, int h, int w)
{
    size_t count = 0;
    for (int y = y0; y < y0 + h; y++) {
        const uint8_t *row = p->valid + (size_t)y * (size_t)p->w;
        for (int x = x0; x < x0 + w; x++) {
            count += row[x] != 0;
        }
    }
    return count;
}

/* Corner of a crop in its pair. */
typedef struct {
    int z, y, x;
} corner;

/* Looks at positions a quarter of a crop apart, the middle first. */
static corner choose_corner(const fnr_pair *p, const fnr_shape *s)
{
    const int middle_y = (p->h - s->h) / 2, middle_x = (p->w - s->w) / 2;
    corner best = {.z = (p->d - s->d) / 2, .y = middle_y, .x = middle_x};
    if (!p->valid) {
        return best;
    }
    const int step_y = s->h / 4 + 1, step_x = s->w / 4 + 1;
    size_t most = count_valid(p, best.y, best.x, s->h, s->w);
    for (int y = middle_y % step_y; y <= p->h - s->h; y += step_y) {
        for (int x = middle_x % step_x; x <= p->w - s->w; x += step_x) {
            const size_t count = count_valid(p, y, x, s->h, s->w);
            if (count > most) {
                most = count;
                best.y = y;
                best.x = x;
            }
        }
    }
    return best;
}

/* ---- life ---------------------------------------------------------------------------------------------------------------- */

/* Copies channels * s->d * s->h rows of s->w pixels. */
static float *cut_out(const fnr_pair *p, const corner *at, const fnr_shape *s, int channels, const float *from, fnr_error *err)
{
    float *out = fnr_alloc_aligned(fnr_shape_count(s) / (size_t)s->c * (size_t)channels, sizeof *out, "validation", err), *to = out;
    for (int i = 0; out && i < channels * s->d * s->h; i++) {
        const int channel = i / (s->d * s->h), z = i / s->h % s->d, y = i % s->h;
        const size_t plane = (size_t)channel * (size_t)p->d + (size_t)(at->z + z);
        memcpy(to, from + (plane * (size_t)p->h + (size_t)(at->y + y)) * (size_t)p->w + (size_t)at->x, (size_t)s->w * sizeof *to);
        to += s->w;
    }
    return out;
}

static bool make_crop(const fnr_pair *p, const fnr_shape *s, int out_channels, crop *c, fnr_error *err)
{
    const corner at = choose_corner(p, s);
    c->name = fnr_strdup(p->name, err);
    c->signal = c->name ? cut_out(p, &at, s, s->c, p->signal, err) : NULL;
    c->target = c->signal ? cut_out(p, &at, s, out_channels, p->target, err) : NULL;
    if (c->target && p->valid) {
        c->valid = fnr_alloc_aligned((size_t)s->h * (size_t)s->w, 1, "validation", err);
        for (int y = 0; c->valid && y < s->h; y++) {
            memcpy(c->valid + (size_t)y * (size_t)s->w, p->valid + (size_t)(at.y + y) * (size_t)p->w + at.x, (size_t)s->w);
        }
    }
    return c->target && (c->valid || !p->valid);
}

static bool make_crops(fnr_validator *v, const fnr_pair_source *source, fnr_error *err)
{
    for (size_t i = 0; i < source->count; i++) {
        fnr_pair p;
        if (!source->load(source->ctx, i, &p, err)) {
            return false;
        }
        v->n_crops++;
        const bool ok = make_crop(&p, &v->in, v->out.c, &v->crops[i], err);
        source->unload(source->ctx, &p);
        if (!ok) {
            return false;
        }
    }
    return true;
}

fnr_validator *fnr_validator_new(const fnr_backend_ops *be, fnr_backend *device, fnr_state *state, const fnr_netdesc *desc,
                                 const fnr_pair_source *source, fnr_error *err)
{
    fnr_shape in;
    if (!choose_shape(desc, source, &in, err)) {
        return NULL;
    }
    fnr_validator *v = fnr_calloc(1, sizeof *v, "validation", err);
    if (!v) {
        return NULL;
    }
    v->be = be;
    v->in = v->out = in;
    v->out.c = desc->out_channels;
    v->prediction = fnr_alloc_aligned(fnr_shape_count(&v->out), sizeof *v->prediction, "validation", err);
    v->sums = v->prediction ? fnr_calloc((size_t)desc->out_channels, sizeof *v->sums, "validation", err) : NULL;
    v->crops = v->sums ? fnr_calloc(source->count, sizeof *v->crops, "validation", err) : NULL;
    if (!v->crops || !make_crops(v, source, err) || !be->program_new(device, state, &v->in, FNR_MODE_INFER, &v->program, err)) {
        fnr_validator_free(v);
        return NULL;
    }
    return v;
}

void fnr_validator_free(fnr_validator *v)
{
    if (!v) {
        return;
    }
    if (v->program) {
        v->be->program_free(v->program);
    }
    for (size_t i = 0; i < v->n_crops; i++) {
        free(v->crops[i].name);
        free(v->crops[i].signal);
        free(v->crops[i].target);
        free(v->crops[i].valid);
    }
    free(v->prediction);
    free(v->sums);
    free(v->crops);
    free(v);
}

/* ---- running -------------------------------------------------------------------------------------------------------------- */

static void add_row(const float *p, const float *t, const uint8_t *valid, int w, sums *s)
{
    for (int x = 0; x < w; x++) {
        if (valid && !valid[x]) {
            continue;
        }
        const double a = (double)p[x], b = (double)t[x];
        s->n++;
        s->p += a;
        s->t += b;
        s->pp += a * a;
        s->tt += b * b;
        s->pt += a * b;
        s->square_error += (a - b) * (a - b);
    }
}

static void add_crop(const crop *c, const fnr_shape *s, const float *prediction, sums *per_channel)
{
    const float *target = c->target;
    for (int row = 0; row < s->c * s->d * s->h; row++) {
        const int channel = row / (s->d * s->h), y = row % s->h;
        add_row(prediction, target, c->valid ? c->valid + (size_t)y * (size_t)s->w : NULL, s->w, &per_channel[channel]);
        prediction += s->w;
        target += s->w;
    }
}

static double correlation(const sums *s)
{
    const double var_p = s->n * s->pp - s->p * s->p, var_t = s->n * s->tt - s->t * s->t;
    return var_p > 0 && var_t > 0 ? (s->n * s->pt - s->p * s->t) / sqrt(var_p * var_t) : NAN;
}

bool fnr_validator_run(fnr_validator *v, double *mse, double *r, double *channel_r, fnr_error *err)
{
    double n = 0, square_error = 0, sum_r = 0;
    int with_r = 0;
    memset(v->sums, 0, (size_t)v->out.c * sizeof *v->sums);
    for (size_t i = 0; i < v->n_crops; i++) {
        if (!v->be->forward(v->program, v->crops[i].signal, v->prediction, err)) {
            fnr_error_prefix(err, "validation on '%s'", v->crops[i].name);
            return false;
        }
        add_crop(&v->crops[i], &v->out, v->prediction, v->sums);
    }
    for (int c = 0; c < v->out.c; c++) {
        n += v->sums[c].n;
        square_error += v->sums[c].square_error;
        channel_r[c] = correlation(&v->sums[c]);
        with_r += !isnan(channel_r[c]);
        sum_r += isnan(channel_r[c]) ? 0 : channel_r[c];
    }
    *mse = n > 0 ? square_error / n : NAN;
    *r = with_r > 0 ? sum_r / with_r : NAN;
    return true;
}
