/* Internal to register/: the montage as the search sees it. */
#ifndef FNR_REGISTER_TARGET_H
#define FNR_REGISTER_TARGET_H

#include <stdint.h>
#include "register/grid.h"
#include "register/register.h"

#define FNR_TARGET_LEVELS 6

/* Compressed intensities at if_nm * 2^level, 16 bits so that a 20,000 x 20,000 montage stays near 1 GiB: 0 is "no pixel", 1 ..
 * 65535 map to [-1, 1]; only level 0 has values below the background. */
typedef struct {
    int w, h;
    uint16_t *px;
} fnr_target_level;

struct fnr_target {
    double if_nm;
    int n_levels;
    fnr_target_level level[FNR_TARGET_LEVELS];
};

/* Window [x, x + w) x [y, y + h) of a level, w * h floats each; pixels outside or without a finite value have value 0, valid 0.
 * Below the background everything is 0.  Returns true when every pixel is valid. */
bool fnr_target_window(const fnr_target *t, int level, int x, int y, int w, int h, float *value, float *valid);

/* Level 0 as it was before the compression, in knees above the background; pixels that do not exist are 0. */
void fnr_target_linear(const fnr_target *t, int x, int y, int w, int h, float *value);

/* Level 0 index of the pixel `p` of a level, and back. */
static inline double fnr_level_to_full(double p, int level)
{
    return (p + 0.5) * (double)(1 << level) - 0.5;
}
static inline double fnr_level_from_full(double p, int level)
{
    return (p + 0.5) / (double)(1 << level) - 0.5;
}

#endif
