/* Statistics of 2D views (plane 0, channel 0), any dtype. NaN and Inf pixels are ignored and counted. */
#ifndef FNR_IMAGE_STATS_H
#define FNR_IMAGE_STATS_H

#include "src/image/view.h"

/* Without a finite pixel, mean, sd, min and max are NaN. */
typedef struct {
    double mean, sd; /* population sd */
    double min, max;
    size_t count;     /* finite pixels */
    size_t nonfinite; /* NaN or Inf pixels */
} fnr_stats;

fnr_stats fnr_stats_of(const fnr_view *v);

/* Value below which a fraction q in [0,1] of the finite pixels lies (nearest rank on a 65,536-bin histogram over [min,max];
 * q <= 0 gives min, q >= 1 max, exactly; NaN without a finite pixel). */
double fnr_quantile(const fnr_view *v, double q);

/* (v - mean) / sd in place on a float view; an image with sd = 0 becomes all zero. Non-finite pixels become 0. */
void fnr_zscore(fnr_view *v, fnr_stats *used);

#endif
