/* One pixel of a training patch: where it comes from, and what is done to its intensity.  The sampler (patch.c, augment.c) and the
 * GPU's kernels call the same functions on the same orders, so that batches are the same wherever they are made. */
#ifndef FNR_NET_PATCH_PIXEL_H
#define FNR_NET_PATCH_PIXEL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/hd.h"
#include "src/core/reflect.h"
#include "src/core/rng.h"

/* An affine map from patch pixels to image pixels: (x0, y0) + r * (rx, ry) + c * (cx, cy). */
typedef struct {
    double x0, y0, rx, ry, cx, cy;
} fnr_patch_map;

typedef struct {
    int x, y, right, below; /* top-left neighbour, and steps to the others (0 at the last pixel) */
    float fx, fy;
} fnr_patch_neighbours;

static FNR_HD double fnr_patch_clamp(double v, double high)
{
    return v < 0 ? 0 : v > high ? high : v;
}

/* The four image pixels around patch pixel (r, c). Clamped, because rounding may put a pixel of a border 1e-13 px outside. */
static FNR_HD fnr_patch_neighbours fnr_patch_neighbours_of(const fnr_patch_map *m, int r, int c, int image_h, int image_w)
{
    const double x = fnr_patch_clamp(m->x0 + r * m->rx + c * m->cx, image_w - 1), y = fnr_patch_clamp(m->y0 + r * m->ry + c * m->cy, image_h - 1);
    fnr_patch_neighbours p;
    p.x = (int)x;
    p.y = (int)y;
    p.right = p.x + 1 < image_w;
    p.below = p.y + 1 < image_h;
    p.fx = (float)(x - p.x);
    p.fy = (float)(y - p.y);
    return p;
}

/* Bilinear. */
static FNR_HD float fnr_patch_resampled(const float *plane, const fnr_patch_neighbours *p, int image_w)
{
    const float *v = plane + (size_t)p->y * (size_t)image_w + p->x;
    const float *under = v + (p->below ? image_w : 0);
    const float above = v[0] + p->fx * (v[p->right] - v[0]);
    const float beneath = under[0] + p->fx * (under[p->right] - under[0]);
    return above + p->fy * (beneath - above);
}

/* Offset in the plane of patch pixel (r, c) of a patch w wide with its corner at (x, y): turned, mirrored, moved. */
static FNR_HD ptrdiff_t fnr_patch_source(int y, int x, int mirror, int turns, int r, int c, int w, int image_w)
{
    for (int t = 0; t < turns; t++) {
        const int turned = c;
        c = w - 1 - r;
        r = turned;
    }
    if (mirror) {
        c = w - 1 - c;
    }
    return (ptrdiff_t)(y + r) * image_w + x + c;
}

/* ---- intensity ------------------------------------------------------------------------------------------------------------- */

enum { FNR_PATCH_MAX_RADIUS = 30 };

/* Brightness s -> (exp(gamma s) - 1) / gamma. */
static FNR_HD float fnr_patch_curve(double gamma, float v)
{
    const double curved = gamma * (double)v;
    return (float)(expm1(curved < 4.0 ? curved : 4.0) / gamma); /* outliers stay finite */
}

/* Nearly normal with unit variance, from 64 random bits: the sum of four uniform numbers (excess kurtosis -0.3). Four times as
 * fast as a true one, and nothing can tell the difference in an image. */
static FNR_HD float fnr_patch_noise(uint64_t bits)
{
    const int32_t sum =
        (int32_t)(bits & 0xFFFF) + (int32_t)(bits >> 16 & 0xFFFF) + (int32_t)(bits >> 32 & 0xFFFF) + (int32_t)(bits >> 48);
    return (float)(sum - 2 * 65535) * (float)(1.7320508075688772 / 65536);
}

/* Pixel i of n that lie `stride` floats apart, blurred; borders are mirrored. taps[0] is the middle one. */
static FNR_HD float fnr_patch_blurred(const float *line, ptrdiff_t stride, int n, int i, const float *taps, int radius)
{
    float sum = taps[0] * line[i * stride];
    for (int k = 1; k <= radius; k++) {
        sum += taps[k] * (line[fnr_reflect(i - k, n) * stride] + line[fnr_reflect(i + k, n) * stride]);
    }
    return sum;
}

/* ---- one patch ------------------------------------------------------------------------------------------------------------- */

/* Everything about one patch of a batch; plain data that travels to the GPU. */
typedef struct {
    int image, z, y, x; /* number of the image; corner of the patch before turning */
    int mirror, turns, resample;
    fnr_patch_map map; /* when resample is set */
    int radius;        /* of the blur; 0 = none */
    float taps[FNR_PATCH_MAX_RADIUS + 1];
    double gamma; /* 0 = none */
    float gain, offset, noise_sd;
    uint64_t noise_key, noise_counter; /* noise of pixel i of the patch's first input plane is draw noise_counter + i; planes follow */
} fnr_patch_order;

/* Pixel (r, c) of a patch that is w wide. */
static FNR_HD float fnr_patch_pixel(const fnr_patch_order *o, const float *plane, int image_h, int image_w, int r, int c, int w)
{
    if (o->resample) {
        const fnr_patch_neighbours p = fnr_patch_neighbours_of(&o->map, r, c, image_h, image_w);
        return fnr_patch_resampled(plane, &p, image_w);
    }
    return plane[fnr_patch_source(o->y, o->x, o->mirror, o->turns, r, c, w, image_w)];
}

/* Contrast curve, gain and noise of pixel `index` of the patch. */
static FNR_HD float fnr_patch_tone(const fnr_patch_order *o, float v, uint64_t index)
{
    if (o->gamma != 0) {
        v = fnr_patch_curve(o->gamma, v);
    }
    v = v * o->gain;
    v = v + o->offset;
    if (o->noise_sd > 0) {
        const float noise = o->noise_sd * fnr_patch_noise(fnr_mix64(o->noise_key ^ fnr_mix64(o->noise_counter + index)));
        v = v + noise;
    }
    return v;
}

#endif
