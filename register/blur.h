/* Internal to register/: Gaussian neighbourhoods of a window, as the fine fit takes them many times over. */
#ifndef FNR_REGISTER_BLUR_H
#define FNR_REGISTER_BLUR_H

#include "src/core/err.h"

/* dst = src blurred by a Gaussian of `sd` pixels (> 0), both w x h floats, dense, not overlapping.  Outside the window everything
 * counts as 0: what is blurred are weighted sums, and there the weight is 0.  So the blur is its own adjoint: sum a B(b) = sum b
 * B(a). Bit-equal for any number of threads. */
bool fnr_blur(const float *src, int w, int h, double sd, float *dst, fnr_error *err);

#endif
