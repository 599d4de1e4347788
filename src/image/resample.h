/* Resampling of any rectangle of a raster to another pixel size.  Every output pixel is a pure function of its position, so
 * rectangles join without seams and results do not depend on how an image is cut. */
#ifndef FNR_IMAGE_RESAMPLE_H
#define FNR_IMAGE_RESAMPLE_H

#include "src/image/raster.h"

/* Fills dst (w*h floats) with output pixels [x, x+w) x [y, y+h) of `src` resampled by f = output pixels per input pixel,
 * p_out = (p_in + 0.5) f - 0.5 (the outer corner (-0.5, -0.5) stays).  Kernel: Keys' cubic (a = -0.5), stretched by 1/f when
 * reducing (antialiasing), normalised; borders reflected (edge pixel not repeated).  f = 1 copies.  Non-finite input pixels are
 * taken as `fill`. */
bool fnr_resample(fnr_raster *src, double f, float fill, int x, int y, int w, int h, float *dst, fnr_error *err);

#endif
