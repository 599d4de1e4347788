#include "register/blur.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "register/grid.h"
#include "src/core/mem.h"
#include "src/core/threads.h"

static const double cut_at = 3.5; /* standard deviations: 0.05 % of the weight lies beyond */

enum { LANES = 32 }; /* pixels that are summed side by side */

typedef struct {
    const float *src;
    float *dst;
    int w, h, radius, band;
    float *taps;  /* 2 radius + 1, sum 1; owns the block that the lines lie in */
    float *lines; /* per band: a row with `radius` zeros on both sides */
} blurring;

/* Four numbers that one instruction handles (GCC's and clang's vectors). */
typedef float quad __attribute__((vector_size(16)));

static inline quad load(const float *p)
{
    quad q;
    memcpy(&q, p, sizeof q);
    return q;
}

/* out[x] = sum of taps[k] * from[k * stride + x] for LANES pixels. */
static inline void weigh_lanes(const float *from, ptrdiff_t stride, const float *taps, int count, float *out)
{
    quad sum[LANES / 4] = {0};
    for (int k = 0; k < count; k++, from += stride) {
        for (int i = 0; i < LANES / 4; i++) {
            sum[i] += taps[k] * load(from + (ptrdiff_t)4 * i);
        }
    }
    memcpy(out, sum, sizeof sum);
}

/* The same for x in [0, n); the last pixels once more together with some before them. */
static void weigh(const float *from, ptrdiff_t stride, const float *taps, int count, int n, float *out)
{
    for (int x = 0; n >= LANES && x < n; x += LANES) {
        const int at = x + LANES <= n ? x : n - LANES;
        weigh_lanes(from + at, stride, taps, count, out + at);
    }
    for (int x = 0; n < LANES && x < n; x++) {
        float sum = 0;
        for (int k = 0; k < count; k++) {
            sum += taps[k] * from[k * stride + x];
        }
        out[x] = sum;
    }
}

/* Each row down the columns first, from the rows that exist, then along itself. */
static void blur_band(void *ctx, size_t i)
{
    const blurring *b = ctx;
    float *line = b->lines + i * (size_t)(b->w + 2 * b->radius);
    const int y0 = (int)i * b->band, y1 = y0 + b->band < b->h ? y0 + b->band : b->h;
    for (int y = y0; y < y1; y++) {
        const int from = y > b->radius ? y - b->radius : 0, to = y + b->radius < b->h ? y + b->radius + 1 : b->h;
        weigh(b->src + (size_t)from * (size_t)b->w, b->w, b->taps + from - (y - b->radius), to - from, b->w, line + b->radius);
        weigh(line, 1, b->taps, 2 * b->radius + 1, b->w, b->dst + (size_t)y * (size_t)b->w);
    }
}

static void gaussian(double sd, int radius, float *taps)
{
    double sum = 0;
    for (int k = -radius; k <= radius; k++) {
        sum += exp(-0.5 * k * k / (sd * sd));
    }
    for (int k = -radius; k <= radius; k++) {
        taps[k + radius] = (float)(exp(-0.5 * k * k / (sd * sd)) / sum);
    }
}

bool fnr_blur(const float *src, int w, int h, double sd, float *dst, fnr_error *err)
{
    blurring b = {.src = src, .dst = dst, .w = w, .h = h, .radius = (int)ceil(cut_at * sd), .band = fnr_band_rows(w)};
    const size_t bands = (size_t)(h + b.band - 1) / (size_t)b.band, taps = 2 * (size_t)b.radius + 1;
    b.taps = fnr_calloc(taps + bands * ((size_t)w + taps - 1), sizeof *b.taps, "rows of a blur", err);
    if (!b.taps) {
        return false;
    }
    b.lines = b.taps + taps;
    gaussian(sd, b.radius, b.taps);
    fnr_parallel_for(bands, blur_band, &b);
    free(b.taps);
    return true;
}
