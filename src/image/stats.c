#include "src/image/stats.h"

#include <assert.h>
#include <math.h>

/* Calls with every pixel of a plane in turn; the switch is outside the loop over x. */
typedef struct {
    double sum, min, max;
    size_t count;
} row_sum;

static double pixel(const char *p, fnr_dtype dtype)
{
    switch (dtype) {
    case FNR_U8:
        return *(const uint8_t *)p;
    case FNR_U16:
        return *(const uint16_t *)(const void *)p;
    case FNR_F32:
        break;
    }
    return (double)*(const float *)(const void *)p;
}

static row_sum sum_row(const fnr_view *v, int y)
{
    row_sum r = {.min = INFINITY, .max = -INFINITY};
    const char *p = fnr_at(v, 0, y, 0, 0);
    for (int x = 0; x < v->w; x++, p += v->sx) {
        const double value = pixel(p, v->dtype);
        if (isfinite(value)) {
            r.sum += value;
            r.min = fmin(r.min, value);
            r.max = fmax(r.max, value);
            r.count++;
        }
    }
    return r;
}

static double squares_row(const fnr_view *v, int y, double mean)
{
    double sum = 0;
    const char *p = fnr_at(v, 0, y, 0, 0);
    for (int x = 0; x < v->w; x++, p += v->sx) {
        const double d = pixel(p, v->dtype) - mean;
        if (isfinite(d)) {
            sum += d * d;
        }
    }
    return sum;
}

fnr_stats fnr_stats_of(const fnr_view *v)
{
    fnr_stats s = {.min = INFINITY, .max = -INFINITY};
    double sum = 0, squares = 0;
    for (int y = 0; y < v->h; y++) {
        const row_sum r = sum_row(v, y);
        sum += r.sum;
        s.min = fmin(s.min, r.min);
        s.max = fmax(s.max, r.max);
        s.count += r.count;
    }
    s.nonfinite = (size_t)v->w * (size_t)v->h - s.count;
    if (s.count == 0) {
        s.mean = s.sd = s.min = s.max = NAN;
        return s;
    }
    s.mean = sum / (double)s.count;
    for (int y = 0; y < v->h; y++) { /* a second pass: sum(x^2) - mean^2 loses everything on a large offset */
        squares += squares_row(v, y, s.mean);
    }
    s.sd = s.min == s.max ? 0
                          : sqrt(squares / (double)s.count); /* constant pixels have exactly none, whatever the mean's rounding */
    return s;
}

/* Bin of the 65,536-bin histogram whose first and last bins are centred on min and max, so that both are met exactly and
 * integer data of 8 or 16 full bits fall on their own values. */
typedef struct {
    double min, step;
} bins;
enum { BINS = 65536 };

static unsigned bin_of(const bins *b, double value)
{
    return (unsigned)lround((value - b->min) / b->step);
}

/* Counts the bins whose upper byte is `high` by their lower byte, or with high < 0 all bins by their upper byte. */
static void count_bins(const fnr_view *v, const bins *b, int high, size_t counts[256])
{
    for (int y = 0; y < v->h; y++) {
        const char *p = fnr_at(v, 0, y, 0, 0);
        for (int x = 0; x < v->w; x++, p += v->sx) {
            const double value = pixel(p, v->dtype);
            if (!isfinite(value)) {
                continue;
            }
            const unsigned bin = bin_of(b, value);
            if (high < 0) {
                counts[bin >> 8]++;
            } else if (bin >> 8 == (unsigned)high) {
                counts[bin & 255]++;
            }
        }
    }
}

/* First index at which the running count reaches *rank; *rank becomes the rank inside that index. */
static int find_rank(const size_t counts[256], size_t *rank)
{
    int i = 0;
    while (i < 255 && counts[i] < *rank) {
        *rank -= counts[i++];
    }
    return i;
}

double fnr_quantile(const fnr_view *v, double q)
{
    const fnr_stats s = fnr_stats_of(v);
    if (s.count == 0 || isnan(q)) {
        return NAN;
    }
    if (q <= 0 || s.min == s.max) {
        return s.min;
    }
    if (q >= 1) {
        return s.max;
    }
    size_t rank = (size_t)ceil(q * (double)s.count);
    rank = rank < 1 ? 1 : rank > s.count ? s.count : rank;
    /* Two passes of 256 bins find the same bin as one of 65,536 and need no heap. */
    const bins b = {.min = s.min, .step = (s.max - s.min) / (BINS - 1)};
    size_t coarse[256] = {0}, fine[256] = {0};
    count_bins(v, &b, -1, coarse);
    const int high = find_rank(coarse, &rank);
    count_bins(v, &b, high, fine);
    const int bin = high * 256 + find_rank(fine, &rank);
    return bin == BINS - 1 ? s.max : s.min + bin * b.step;
}

void fnr_zscore(fnr_view *v, fnr_stats *used)
{
    assert(v->dtype == FNR_F32); /* allowed: a bug of the caller, no file can cause it */
    const fnr_stats s = fnr_stats_of(v);
    const bool flat = s.count == 0 || !(s.sd > 0);
    for (int y = 0; y < v->h; y++) {
        char *p = fnr_at(v, 0, y, 0, 0);
        for (int x = 0; x < v->w; x++, p += v->sx) {
            float *value = (float *)(void *)p;
            *value = flat || !isfinite(*value) ? 0.0f : (float)(((double)*value - s.mean) / s.sd);
        }
    }
    if (used) {
        *used = s;
    }
}
