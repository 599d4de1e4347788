/* Internal to register/: float images, their pyramid step, and the compression of intensities. */
#ifndef FNR_REGISTER_GRID_H
#define FNR_REGISTER_GRID_H

#include <math.h>

#include "src/image/view.h"

typedef struct {
    int w, h;
    float *px; /* dense, owned */
} fnr_grid;

bool fnr_grid_new(fnr_grid *g, int w, int h, const char *what, fnr_error *err); /* not zeroed */
void fnr_grid_free(fnr_grid *g);

/* Rows of w pixels that a thread should work on at a time: for fewer, waiting for each other would cost more than is gained. */
static inline int fnr_band_rows(int w)
{
    return w < 1 << 16 ? (1 << 16) / (w > 0 ? w : 1) : 1;
}

/* Row y of plane (0, 0) of a view of any dtype, as floats. */
void fnr_grid_read_row(const fnr_view *v, int y, float *row);

/* Half the resolution: binomial [1 3 3 1] / 8 per axis, so that pixel p of the source lies at (p + 0.5) / 2 - 0.5 exactly, edges
 * replicated.  dst gets (w + 1) / 2 x (h + 1) / 2 pixels. */
bool fnr_grid_halve(const fnr_grid *src, fnr_grid *dst, fnr_error *err);

/* Sheath brightness varies from sheath to sheath, which says nothing about the place: x -> x / (x + knee) for x above the
 * background flattens it and keeps the order.  Results lie in [0, 1). */
typedef struct {
    double background; /* subtracted first; below it everything is 0 */
    double knee;       /* brightness that maps to 1/2; infinite: nothing to see */
} fnr_compression;

static inline float fnr_compress(const fnr_compression *c, double value)
{
    const double x = value - c->background;
    return x > 0 ? (float)(x / (x + c->knee)) : 0.0f;
}

/* The same for values on both sides of the background, in (-1, 1), and its inverse [knees above the background]: what is kept this way
 * can be had compressed or as it was. */
static inline float fnr_compress_signed(const fnr_compression *c, double value)
{
    const double x = value - c->background;
    return (float)(x / (fabs(x) + c->knee));
}
static inline float fnr_decompress(float compressed)
{
    return compressed / fmaxf(1e-4f, 1.0f - fabsf(compressed)); /* 16 bits may round up to 1 */
}

/* Finds background, noise and the typical brightness of what stands out of it, from n finite samples (reordered): the background
 * is their median, and the knee is `knee_factor` times the intensity-weighted median of the samples above the noise, which does
 * not depend on how much of the image is stained. */
fnr_compression fnr_compression_fit(float *samples, size_t n, double knee_factor);

#endif
