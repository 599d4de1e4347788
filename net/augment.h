/* Intensity augmentation of one plane of a training patch.  Internal to the sampler. */
#ifndef FNR_NET_AUGMENT_H
#define FNR_NET_AUGMENT_H

#include "src/core/rng.h"

/* Applied in this order; zeros (and gain 1) leave the plane as it is. */
typedef struct {
    double blur_px;  /* sigma of a Gaussian, at most FNR_SAMPLER_MAX_BLUR */
    double gamma;    /* s -> (exp(gamma s) - 1) / gamma: brightens or darkens the middle, monotone */
    double gain, offset;
    double noise_sd;
} fnr_augment;

/* Less changes nothing visible. */
#define FNR_AUGMENT_LEAST_BLUR  0.1
#define FNR_AUGMENT_LEAST_GAMMA 1e-4

/* Half of a Gaussian's taps, the middle one first, with a sum of 1 over both halves; returns how many follow the middle one. */
int fnr_augment_taps(double sigma, float *taps);

/* h, w at most FNR_SAMPLER_MAX_PATCH. The noise is taken from *rng. */
void fnr_augment_plane(const fnr_augment *a, fnr_rng *rng, float *plane, int h, int w);

#endif
