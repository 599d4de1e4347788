/* What we use of OpenCV (core, imgproc, video), behind plain C.  No OpenCV type, exception or message leaves cv.cpp.
 * All images are single-channel 2D float views unless said.  src and dst never overlap.  Errors carry OpenCV's own text. */
#ifndef FNR_CV_H
#define FNR_CV_H

#include "src/geom/transform.h"
#include "src/geom/warp.h"
#include "src/image/view.h"

/* Threads for OpenCV's own loops (it has a pool of its own). */
void fnr_cv_set_threads(int n);

/* As fnr_warp_affine and fnr_warp_flow: our own sampling, because OpenCV's rounds positions to 1/32 px. */
static inline bool fnr_cv_warp_affine(const fnr_view *src, const fnr_transform *dst_to_src, fnr_interp interp, fnr_border border,
                                      fnr_view *dst, fnr_error *err)
{
    return fnr_warp_affine(src, dst_to_src, interp, border, dst, err);
}
static inline bool fnr_cv_warp_flow(const fnr_view *src, const fnr_view *flow_x, const fnr_view *flow_y, fnr_view *dst, fnr_error *err)
{
    return fnr_warp_flow(src, flow_x, flow_y, dst, err);
}

/* Area-averaging reduction (INTER_AREA) or linear enlargement of the whole image onto dst's size; u8, u16 and f32 sources. */
bool fnr_cv_resize(const fnr_view *src, fnr_view *dst, fnr_error *err);
/* Gaussian blur, standard deviation in px (0 to FNR_CV_MAX_SIGMA; 0 copies), border as FNR_BORDER_REFLECT. */
#define FNR_CV_MAX_SIGMA 4096.0
bool fnr_cv_blur(const fnr_view *src, double sigma, fnr_view *dst, fnr_error *err);

/* Dense optical flow (DIS, Kroeger et al. 2016): moving(x + u, y + v) ~ fixed(x, y).  Both are scaled to 8 bits with the common
 * range [lo, hi]. */
bool fnr_cv_flow_dis(const fnr_view *fixed, const fnr_view *moving, double lo, double hi, fnr_view *u, fnr_view *v, fnr_error *err);

/* ECC refinement (Evangelidis & Psarakis 2008) of dst_to_src = fixed px -> moving px, affine or euclidean, starting from *t.
 * mask: u8 view of the fixed image (0 = leave out) or NULL.  A euclidean refinement must start from a rigid *t.  Both images are
 * blurred by blur_sigma [px] first.  *correlation gets the final coefficient.  FNR_E_NUMERIC when it does not converge; *t is kept
 * then.  OpenCV samples at 1/32 px here, so expect no better than about 0.02 px. */
bool fnr_cv_ecc(const fnr_view *fixed, const fnr_view *moving, const fnr_view *mask, bool affine, int iterations, double epsilon,
                double blur_sigma, fnr_transform *t, double *correlation, fnr_error *err);

#endif
