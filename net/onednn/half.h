/* 2x2 (2x2x2) convolutions with stride 2 and their transposes on blocked tensors: between a wide tensor and a narrow one of half
 * its extents.  Every wide pixel meets one narrow pixel, so all of it is matrix products over rows of pixels, without copies:
 *   shrink: narrow = conv(wide), and the gradient of a transposed convolution's input
 *   grow:   wide = transposed conv(narrow), and the gradient of a convolution's input
 *   grad:   the gradient of the weights of both
 * PyTorch's weights are (narrow, wide, 2[, 2], 2) for both. */
#ifndef FNR_NET_ONEDNN_HALF_H
#define FNR_NET_ONEDNN_HALF_H

#include "net/onednn/norm.h"
#include "net/onednn/wino_kernels.h"

typedef struct {
    const fnr_dn_wino_kernels *kernels;
    int n, d, h, w; /* of the narrow tensor */
    int depth;      /* kernel slices: 1 or 2 */
    int wide_channels, narrow_channels, wide_blocks, narrow_blocks;
    int workers;
} fnr_dn_half;

/* False when it is not a case for these loops. */
bool fnr_dn_half_init(fnr_dn_half *c, const fnr_dn_wino_kernels *k, const fnr_shape *wide, const fnr_shape *narrow);

size_t fnr_dn_half_weight_floats(const fnr_dn_half *c);
/* For shrink, and for grow. */
void fnr_dn_half_pack_shrink(const fnr_dn_half *c, const float *weights, float *packed);
void fnr_dn_half_pack_grow(const fnr_dn_half *c, const float *weights, float *packed);

/* The affine of `norm` (NULL: none) is applied to the result. */
void fnr_dn_half_shrink(const fnr_dn_half *c, fnr_dn_tensor wide, const float *packed, const fnr_dn_norm *norm,
                        fnr_dn_tensor narrow);
void fnr_dn_half_grow(const fnr_dn_half *c, fnr_dn_tensor narrow, const float *packed, const fnr_dn_norm *norm,
                      fnr_dn_tensor wide);

size_t fnr_dn_half_grad_scratch_floats(const fnr_dn_half *c);
void fnr_dn_half_grad(const fnr_dn_half *c, fnr_dn_tensor wide, fnr_dn_tensor narrow, float *dweights, float *scratch);

#endif
