#include "net/ref/window.h"

#include "src/core/threads.h"

/* What one of the three sums works on; each task owns one channel of the result, so order does not matter. */
typedef struct {
    const fnr_ref_window *w;
    const float *weight, *bias;
    const float *from, *other; /* operands; `other` only for correlate */
    float *to;
} job;

fnr_ref_window fnr_ref_window_of(const fnr_ref_call *c, const fnr_shape *fine, const fnr_shape *coarse)
{
    fnr_ref_window w = {.fine = *fine, .coarse = *coarse, .rows = c->rows, .row_length = c->row_length};
    for (int axis = 0; axis < 3; axis++) {
        const bool flat = axis == 0 && fine->spatial == 2;
        w.kernel[axis] = flat ? 1 : c->op->kernel;
        w.stride[axis] = flat ? 1 : c->op->stride;
        w.pad[axis] = flat ? 0 : c->op->pad;
    }
    return w;
}

static size_t row_at(const fnr_shape *s, int n, size_t c, int z, int y)
{
    return ((((size_t)n * (size_t)s->c + c) * (size_t)s->d + (size_t)z) * (size_t)s->h + (size_t)y) * (size_t)s->w;
}

/* Index of weight[a, b, kz, ky, 0]. */
static size_t taps_at(const fnr_ref_window *w, size_t a, size_t b, int kz, int ky)
{
    return ((a * (size_t)w->fine.c + b) * (size_t)w->kernel[0] + (size_t)kz) * (size_t)(w->kernel[1] * w->kernel[2]) +
           (size_t)ky * (size_t)w->kernel[2];
}

static bool inside(int i, int extent)
{
    return i >= 0 && i < extent;
}

/* Coarse x in [*begin, *end) see a fine pixel inside the row through tap kx. */
static void coarse_range(const fnr_ref_window *w, int kx, int *begin, int *end)
{
    const int offset = kx - w->pad[2], stride = w->stride[2];
    *begin = offset < 0 ? (-offset + stride - 1) / stride : 0;
    const int last = (w->fine.w - 1 - offset) / stride;
    *end = last < w->coarse.w ? last + 1 : w->coarse.w;
}

static void gather_row(const fnr_ref_window *w, const float *taps, const float *fine, double *acc)
{
    for (int kx = 0; kx < w->kernel[2]; kx++) {
        int begin, end;
        coarse_range(w, kx, &begin, &end);
        for (int x = begin; x < end; x++) {
            acc[x] += (double)taps[kx] * (double)fine[x * w->stride[2] - w->pad[2] + kx];
        }
    }
}

static void gather_channel(void *ctx, size_t a)
{
    const job *j = ctx;
    const fnr_ref_window *w = j->w;
    const fnr_shape *fine = &w->fine, *coarse = &w->coarse;
    double *acc = w->rows + a * w->row_length;
    for (int n = 0; n < coarse->n; n++) {
        for (int z = 0; z < coarse->d; z++) {
            for (int y = 0; y < coarse->h; y++) {
                float *to = j->to + row_at(coarse, n, a, z, y);
                for (int x = 0; x < coarse->w; x++) {
                    acc[x] = (double)to[x] + (j->bias ? (double)j->bias[a] : 0);
                }
                for (size_t b = 0; b < (size_t)fine->c; b++) {
                    for (int kz = 0; kz < w->kernel[0]; kz++) {
                        for (int ky = 0; ky < w->kernel[1]; ky++) {
                            const int fz = z * w->stride[0] - w->pad[0] + kz, fy = y * w->stride[1] - w->pad[1] + ky;
                            if (inside(fz, fine->d) && inside(fy, fine->h)) {
                                gather_row(w, j->weight + taps_at(w, a, b, kz, ky), j->from + row_at(fine, n, b, fz, fy), acc);
                            }
                        }
                    }
                }
                for (int x = 0; x < coarse->w; x++) {
                    to[x] = (float)acc[x];
                }
            }
        }
    }
}

void fnr_ref_gather(const fnr_ref_window *w, const float *weight, const float *bias, const float *fine, float *coarse)
{
    job j = {.w = w, .weight = weight, .bias = bias, .from = fine, .to = coarse};
    fnr_parallel_for((size_t)w->coarse.c, gather_channel, &j);
}

static void spread_row(const fnr_ref_window *w, const float *taps, const float *coarse, double *acc)
{
    for (int kx = 0; kx < w->kernel[2]; kx++) {
        int begin, end;
        coarse_range(w, kx, &begin, &end);
        for (int x = begin; x < end; x++) {
            acc[x * w->stride[2] - w->pad[2] + kx] += (double)taps[kx] * (double)coarse[x];
        }
    }
}

/* The coarse index that sees fine index i through tap k of an axis, or -1. */
static int coarse_index(const fnr_ref_window *w, int axis, int i, int k)
{
    const int scaled = i + w->pad[axis] - k;
    return scaled >= 0 && scaled % w->stride[axis] == 0 ? scaled / w->stride[axis] : -1;
}

static void spread_channel(void *ctx, size_t b)
{
    const job *j = ctx;
    const fnr_ref_window *w = j->w;
    const fnr_shape *fine = &w->fine, *coarse = &w->coarse;
    double *acc = w->rows + b * w->row_length;
    for (int n = 0; n < fine->n; n++) {
        for (int z = 0; z < fine->d; z++) {
            for (int y = 0; y < fine->h; y++) {
                float *to = j->to + row_at(fine, n, b, z, y);
                for (int x = 0; x < fine->w; x++) {
                    acc[x] = (double)to[x] + (j->bias ? (double)j->bias[b] : 0);
                }
                for (size_t a = 0; a < (size_t)coarse->c; a++) {
                    for (int kz = 0; kz < w->kernel[0]; kz++) {
                        for (int ky = 0; ky < w->kernel[1]; ky++) {
                            const int cz = coarse_index(w, 0, z, kz), cy = coarse_index(w, 1, y, ky);
                            if (inside(cz, coarse->d) && inside(cy, coarse->h)) {
                                spread_row(w, j->weight + taps_at(w, a, b, kz, ky), j->from + row_at(coarse, n, a, cz, cy), acc);
                            }
                        }
                    }
                }
                for (int x = 0; x < fine->w; x++) {
                    to[x] = (float)acc[x];
                }
            }
        }
    }
}

void fnr_ref_spread(const fnr_ref_window *w, const float *weight, const float *bias, const float *coarse, float *fine)
{
    job j = {.w = w, .weight = weight, .bias = bias, .from = coarse, .to = fine};
    fnr_parallel_for((size_t)w->fine.c, spread_channel, &j);
}

/* The sum for one weight. */
static double correlate_tap(const job *j, size_t a, size_t b, int kz, int ky, int kx)
{
    const fnr_ref_window *w = j->w;
    const fnr_shape *fine = &w->fine, *coarse = &w->coarse;
    int begin, end;
    coarse_range(w, kx, &begin, &end);
    double sum = 0;
    for (int n = 0; n < coarse->n; n++) {
        for (int z = 0; z < coarse->d; z++) {
            for (int y = 0; y < coarse->h; y++) {
                const int fz = z * w->stride[0] - w->pad[0] + kz, fy = y * w->stride[1] - w->pad[1] + ky;
                if (!inside(fz, fine->d) || !inside(fy, fine->h)) {
                    continue;
                }
                const float *f = j->from + row_at(fine, n, b, fz, fy);
                const float *c = j->other + row_at(coarse, n, a, z, y);
                for (int x = begin; x < end; x++) {
                    sum += (double)c[x] * (double)f[x * w->stride[2] - w->pad[2] + kx];
                }
            }
        }
    }
    return sum;
}

static void correlate_channel(void *ctx, size_t a)
{
    const job *j = ctx;
    const fnr_ref_window *w = j->w;
    for (size_t b = 0; b < (size_t)w->fine.c; b++) {
        for (int kz = 0; kz < w->kernel[0]; kz++) {
            for (int ky = 0; ky < w->kernel[1]; ky++) {
                float *taps = j->to + taps_at(w, a, b, kz, ky);
                for (int kx = 0; kx < w->kernel[2]; kx++) {
                    taps[kx] = (float)correlate_tap(j, a, b, kz, ky, kx);
                }
            }
        }
    }
}

void fnr_ref_correlate(const fnr_ref_window *w, const float *fine, const float *coarse, float *dweight)
{
    job j = {.w = w, .from = fine, .other = coarse, .to = dweight};
    fnr_parallel_for((size_t)w->coarse.c, correlate_channel, &j);
}
