/* Where a training patch lies in its image, and how its pixels get there.  Internal to the sampler. */
#ifndef FNR_NET_PATCH_H
#define FNR_NET_PATCH_H

#include "net/patch_pixel.h"
#include "net/sampler.h"

typedef struct {
    int z, y, x; /* corner of the patch before turning */
    bool mirror; /* in x, then ... */
    int turns;   /* ... quarter turns; exact permutations of the pixels */
    bool resample;
    double scale, angle; /* image px per patch px, and radians, about the patch's centre; only when resample is set */
} fnr_patch_pose;

/* From pixels of a patch of h x w to pixels of the image. */
fnr_patch_map fnr_patch_map_of(const fnr_patch_pose *pose, int h, int w);

/* Do all pixels that a resampled patch of h x w reads lie inside the image and are they valid? */
bool fnr_patch_fits(const fnr_pair *pair, const fnr_patch_pose *pose, int h, int w);

/* Copies channels * d * h * w floats to out from `from`, which is pair->signal or pair->target. */
void fnr_patch_copy(const fnr_pair *pair, const float *from, int channels, const fnr_patch_pose *pose, int d, int h, int w, float *out);

#endif
