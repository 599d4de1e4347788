#include "src/image/resample.h"

#include <math.h>
#include <stdlib.h>

#include "src/core/mem.h"
#include "src/core/reflect.h"
#include "src/core/threads.h"

/* Keys 1981, a = -0.5: interpolating, third-order accurate. */
static double keys_cubic(double t)
{
    t = fabs(t);
    if (t < 1) {
        return (1.5 * t - 2.5) * t * t + 1;
    }
    return t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
}

/* Taps of `count` consecutive output positions along one axis: `taps` weights each, and the first (unreflected) input index. */
typedef struct {
    int taps;
    long *first;
    float *weights; /* count * taps */
} axis_kernel;

static void axis_free(axis_kernel *k)
{
    free(k->first);
    free(k->weights);
}

static bool axis_make(axis_kernel *k, double f, int start, int count, fnr_error *err)
{
    const double stretch = f < 1 ? 1 / f : 1, support = 2 * stretch;
    *k = (axis_kernel){.taps = (int)ceil(2 * support) + 1};
    k->first = fnr_calloc((size_t)count, sizeof *k->first, "resampling kernel", err);
    k->weights = fnr_calloc((size_t)count * (size_t)k->taps, sizeof *k->weights, "resampling kernel", err);
    if (!k->first || !k->weights) {
        axis_free(k);
        return false;
    }
    for (int i = 0; i < count; i++) {
        const double centre = (start + i + 0.5) / f - 0.5;
        float *w = &k->weights[(size_t)i * (size_t)k->taps];
        double sum = 0;
        k->first[i] = (long)ceil(centre - support);
        for (int j = 0; j < k->taps; j++) {
            sum += keys_cubic(((double)(k->first[i] + j) - centre) / stretch);
        }
        for (int j = 0; j < k->taps; j++) {
            w[j] = (float)(keys_cubic(((double)(k->first[i] + j) - centre) / stretch) / sum);
        }
    }
    return true;
}

/* Input indices [lo, hi) that an axis needs, after reflection into [0, n). */
static void needed_range(const axis_kernel *k, int count, int n, int *lo, int *hi)
{
    const long last = k->first[count - 1] + k->taps - 1;
    *lo = n - 1;
    *hi = 1;
    for (long i = k->first[0]; i <= last; i++) {
        const int r = fnr_reflect(i, n);
        *lo = r < *lo ? r : *lo;
        *hi = r + 1 > *hi ? r + 1 : *hi;
    }
}

typedef struct {
    const float *in; /* rectangle of the source: in_w columns from x0, rows from y0 */
    int in_w, x0, y0, src_w, src_h;
    float fill;
    const axis_kernel *kx, *ky;
    int w;
    float *rows; /* in_h x w, after the horizontal pass */
    float *dst;  /* h x w */
} passes;

static void horizontal_row(void *ctx, size_t y)
{
    const passes *p = ctx;
    const float *in = &p->in[y * (size_t)p->in_w];
    float *out = &p->rows[y * (size_t)p->w];
    for (int x = 0; x < p->w; x++) {
        const float *weights = &p->kx->weights[(size_t)x * (size_t)p->kx->taps];
        const long first = p->kx->first[x];
        const bool inside = first >= 0 && first + p->kx->taps <= p->src_w;
        float sum = 0;
        for (int j = 0; j < p->kx->taps; j++) {
            const float v = in[(inside ? (int)(first + j) : fnr_reflect(first + j, p->src_w)) - p->x0];
            sum += weights[j] * (isfinite(v) ? v : p->fill);
        }
        out[x] = sum;
    }
}

static void vertical_row(void *ctx, size_t y)
{
    const passes *p = ctx;
    const float *weights = &p->ky->weights[y * (size_t)p->ky->taps];
    float *out = &p->dst[y * (size_t)p->w];
    for (int x = 0; x < p->w; x++) {
        out[x] = 0;
    }
    for (int j = 0; j < p->ky->taps; j++) {
        const int row = fnr_reflect(p->ky->first[y] + j, p->src_h) - p->y0;
        const float *in = &p->rows[(size_t)row * (size_t)p->w];
        for (int x = 0; x < p->w; x++) {
            out[x] += weights[j] * in[x];
        }
    }
}

static void replace_nonfinite(float *px, size_t n, float fill)
{
    for (size_t i = 0; i < n; i++) {
        px[i] = isfinite(px[i]) ? px[i] : fill;
    }
}

bool fnr_resample(fnr_raster *src, double f, float fill, int x, int y, int w, int h, float *dst, fnr_error *err)
{
    axis_kernel kx = {0}, ky = {0};
    float *in = NULL, *rows = NULL;
    bool ok = false;

    if (f == 1) {
        if (!src->read(src, x, y, w, h, dst, err)) {
            return false;
        }
        replace_nonfinite(dst, (size_t)w * (size_t)h, fill);
        return true;
    }
    if (!axis_make(&kx, f, x, w, err) || !axis_make(&ky, f, y, h, err)) {
        goto done;
    }
    int x0, x1, y0, y1;
    needed_range(&kx, w, src->w, &x0, &x1);
    needed_range(&ky, h, src->h, &y0, &y1);
    in = fnr_alloc_aligned((size_t)(x1 - x0) * (size_t)(y1 - y0), sizeof *in, "source pixels", err);
    rows = fnr_alloc_aligned((size_t)w * (size_t)(y1 - y0), sizeof *rows, "resampled rows", err);
    if (!in || !rows || !src->read(src, x0, y0, x1 - x0, y1 - y0, in, err)) {
        goto done;
    }
    passes p = {.in = in, .in_w = x1 - x0, .x0 = x0, .y0 = y0, .src_w = src->w, .src_h = src->h, .fill = fill, .kx = &kx, .ky = &ky, .w = w,
                .rows = rows, .dst = dst};
    fnr_parallel_for((size_t)(y1 - y0), horizontal_row, &p);
    fnr_parallel_for((size_t)h, vertical_row, &p);
    ok = true;
done:
    axis_free(&kx);
    axis_free(&ky);
    free(in);
    free(rows);
    return ok;
}
