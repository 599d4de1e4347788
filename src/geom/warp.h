/* Resampling with exact coordinates.  OpenCV's warpAffine and remap round sample positions to 1/32 px, which shifts a pure
 * sub-pixel translation by up to 1/64 px; here every position is computed and used in floating point.
 *
 * Single-channel 2D float views, any strides; src and dst never overlap.  Sampling does not low-pass: before a reduction, blur or
 * use fnr_cv_resize. */
#ifndef FNR_GEOM_WARP_H
#define FNR_GEOM_WARP_H

#include "src/geom/transform.h"
#include "src/image/view.h"

/* LINEAR: 2 x 2 pixels.  CUBIC: 4 x 4, Keys 1981 with a = -1/2 (Catmull-Rom).  LANCZOS: 8 x 8, sinc(x) sinc(x/4), normalised;
 * sharpest, but it shifts smooth structures by up to 0.0145 px: measure positions with CUBIC. */
typedef enum { FNR_INTERP_LINEAR, FNR_INTERP_CUBIC, FNR_INTERP_LANCZOS } fnr_interp;
/* ZERO: 000|abcd|000.  REFLECT: dcb|abcd|cba (the edge pixel is not repeated).  REPLICATE: aaa|abcd|ddd. */
typedef enum { FNR_BORDER_ZERO, FNR_BORDER_REFLECT, FNR_BORDER_REPLICATE } fnr_border;

/* dst(p) = src(dst_to_src p), pixels outside src by `border`. */
bool fnr_warp_affine(const fnr_view *src, const fnr_transform *dst_to_src, fnr_interp interp, fnr_border border, fnr_view *dst,
                     fnr_error *err);

/* dst(x, y) = src(x + flow_x(x, y), y + flow_y(x, y)), linear, edges replicated; flows have dst's extents.  A vector that is not
 * finite gives NaN. */
bool fnr_warp_flow(const fnr_view *src, const fnr_view *flow_x, const fnr_view *flow_y, fnr_view *dst, fnr_error *err);

#endif
