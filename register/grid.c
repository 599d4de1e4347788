#include "register/grid.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/sort.h"

bool fnr_grid_new(fnr_grid *g, int w, int h, const char *what, fnr_error *err)
{
    float *px = fnr_alloc_aligned((size_t)w * (size_t)h, sizeof *px, what, err);
    if (!px) {
        return false;
    }
    *g = (fnr_grid){.w = w, .h = h, .px = px};
    return true;
}

void fnr_grid_free(fnr_grid *g)
{
    free(g->px);
    *g = (fnr_grid){0};
}

void fnr_grid_read_row(const fnr_view *v, int y, float *row)
{
    const char *p = fnr_at(v, 0, y, 0, 0);
    switch (v->dtype) {
    case FNR_U8:
        for (int x = 0; x < v->w; x++, p += v->sx) {
            row[x] = (float)*(const uint8_t *)p;
        }
        break;
    case FNR_U16:
        for (int x = 0; x < v->w; x++, p += v->sx) {
            uint16_t value;
            memcpy(&value, p, sizeof value);
            row[x] = (float)value;
        }
        break;
    case FNR_F32:
        for (int x = 0; x < v->w; x++, p += v->sx) {
            memcpy(&row[x], p, sizeof *row);
        }
        break;
    }
}

static int clamp_index(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

bool fnr_grid_halve(const fnr_grid *src, fnr_grid *dst, fnr_error *err)
{
    const int w = (src->w + 1) / 2, h = (src->h + 1) / 2;
    fnr_grid out = {0};
    float *column = fnr_alloc_aligned((size_t)src->w, sizeof *column, "a pyramid row", err);
    if (!column || !fnr_grid_new(&out, w, h, "a pyramid level", err)) {
        free(column);
        return false;
    }
    for (int y = 0; y < h; y++) {
        const float *r[4];
        for (int i = 0; i < 4; i++) {
            r[i] = src->px + (size_t)clamp_index(2 * y - 1 + i, src->h) * (size_t)src->w;
        }
        for (int x = 0; x < src->w; x++) {
            column[x] = 0.125f * (r[0][x] + r[3][x]) + 0.375f * (r[1][x] + r[2][x]);
        }
        float *o = out.px + (size_t)y * (size_t)w;
        for (int x = 0; x < w; x++) {
            const int a = clamp_index(2 * x - 1, src->w), d = clamp_index(2 * x + 2, src->w), c = clamp_index(2 * x + 1, src->w);
            o[x] = 0.125f * (column[a] + column[d]) + 0.375f * (column[2 * x] + column[c]);
        }
    }
    free(column);
    *dst = out;
    return true;
}

/* Value at which half of the samples' summed excess over `background` is reached; samples are sorted upwards. */
static double weighted_median_excess(const float *samples, size_t n, double background)
{
    double total = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        total += (double)samples[i] - background;
    }
    for (size_t i = 0; i < n; i++) {
        sum += (double)samples[i] - background;
        if (sum >= 0.5 * total) {
            return (double)samples[i] - background;
        }
    }
    return 0;
}

/* Moves the samples above `limit` to the front; returns how many there are. */
static size_t keep_above(float *samples, size_t n, double limit)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const float v = samples[i];
        samples[i] = samples[kept];
        samples[kept] = v;
        kept += (double)v > limit;
    }
    return kept;
}

/* Only the few samples above the noise are sorted. */
fnr_compression fnr_compression_fit(float *samples, size_t n, double knee_factor)
{
    const double noise_limit = 4.0; /* standard deviations of the background */
    fnr_compression c = {.background = 0, .knee = INFINITY};
    if (n == 0) {
        return c;
    }
    c.background = (double)fnr_nth_float(samples, n, n / 2);
    const double noise = c.background - (double)fnr_nth_float(samples, n, (size_t)(0.159 * (double)n));
    const size_t above = keep_above(samples, n, c.background + noise_limit * noise);
    fnr_sort_floats(samples, above);
    const double typical = above > 0 ? weighted_median_excess(samples, above, c.background) : noise;
    if (typical > 0) {
        c.knee = knee_factor * typical;
    }
    return c;
}
