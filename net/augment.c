#include "net/augment.h"

#include <math.h>
#include <stddef.h>

#include "net/patch_pixel.h"
#include "net/sampler.h"
#include "src/core/reflect.h"

/* Sigmas from the centre to the last tap. */
#define BLUR_REACH 3
enum { MAX_RADIUS = (int)(BLUR_REACH * FNR_SAMPLER_MAX_BLUR) };

/* Blurs n pixels that lie `stride` floats apart; borders are mirrored. */
static void blur_line(float *line, ptrdiff_t stride, int n, const float *taps, int radius)
{
    float padded[FNR_SAMPLER_MAX_PATCH + 2 * MAX_RADIUS];
    for (int i = -radius; i < n + radius; i++) {
        padded[i + radius] = line[fnr_reflect(i, n) * stride];
    }
    for (int i = 0; i < n; i++) {
        const float *at = padded + i + radius;
        float sum = taps[0] * at[0];
        for (int k = 1; k <= radius; k++) {
            sum += taps[k] * (at[-k] + at[k]);
        }
        line[i * stride] = sum;
    }
}

int fnr_augment_taps(double sigma, float *taps)
{
    const int radius = (int)ceil(BLUR_REACH * sigma);
    double sum = 0;
    for (int k = 0; k <= radius; k++) {
        const double tap = exp(-0.5 * k * k / (sigma * sigma));
        taps[k] = (float)tap;
        sum += k ? 2 * tap : tap;
    }
    for (int k = 0; k <= radius; k++) {
        taps[k] = (float)((double)taps[k] / sum);
    }
    return radius;
}

static void blur(double sigma, float *plane, int h, int w)
{
    float taps[MAX_RADIUS + 1];
    const int radius = fnr_augment_taps(sigma, taps);
    for (int y = 0; y < h; y++) {
        blur_line(plane + (ptrdiff_t)y * w, 1, w, taps, radius);
    }
    for (int x = 0; x < w; x++) {
        blur_line(plane + x, w, h, taps, radius);
    }
}

void fnr_augment_plane(const fnr_augment *a, fnr_rng *rng, float *plane, int h, int w)
{
    const size_t n = (size_t)h * (size_t)w;
    if (a->blur_px > FNR_AUGMENT_LEAST_BLUR) {
        blur(a->blur_px, plane, h, w);
    }
    if (fabs(a->gamma) > FNR_AUGMENT_LEAST_GAMMA) {
        for (size_t i = 0; i < n; i++) {
            plane[i] = fnr_patch_curve(a->gamma, plane[i]);
        }
    }
    if (a->gain != 1 || a->offset != 0) {
        for (size_t i = 0; i < n; i++) {
            plane[i] = plane[i] * (float)a->gain + (float)a->offset;
        }
    }
    if (a->noise_sd > 0) {
        for (size_t i = 0; i < n; i++) {
            plane[i] += (float)a->noise_sd * fnr_patch_noise(fnr_rng_u64(rng));
        }
    }
}
