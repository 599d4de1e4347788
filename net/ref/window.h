/* The three sums over a sliding window that convolutions consist of.
 *
 * A window links a fine and a coarse grid: along each axis the coarse pixel o sees the fine pixels o * stride - pad + k,
 * k = 0..kernel-1, and those outside the fine grid count as zero.  A convolution maps fine to coarse; its gradient, and a
 * transposed convolution, map coarse to fine.  Weights are (coarse channel, fine channel, k[, k], k), which is PyTorch's layout
 * for ConvNd (out, in, ...) as well as for ConvTransposeNd (in, out, ...). */
#ifndef FNR_NET_REF_WINDOW_H
#define FNR_NET_REF_WINDOW_H

#include "net/ref/ref.h"

typedef struct {
    fnr_shape fine, coarse;
    int kernel[3], stride[3], pad[3]; /* z, y, x; in 2D 1, 1, 0 for z */
    double *rows;                     /* scratch, row_length doubles for each channel */
    size_t row_length;
} fnr_ref_window;

fnr_ref_window fnr_ref_window_of(const fnr_ref_call *c, const fnr_shape *fine, const fnr_shape *coarse);

/* coarse[a, o] += bias[a] + sum over b, k of weight[a, b, k] * fine[b, o * stride - pad + k].  bias may be NULL. */
void fnr_ref_gather(const fnr_ref_window *w, const float *weight, const float *bias, const float *fine, float *coarse);
/* fine[b, i] += bias[b] + sum over a, k, o with i = o * stride - pad + k of weight[a, b, k] * coarse[a, o]. */
void fnr_ref_spread(const fnr_ref_window *w, const float *weight, const float *bias, const float *coarse, float *fine);
/* dweight[a, b, k] = sum over n, o of coarse[a, o] * fine[b, o * stride - pad + k]. */
void fnr_ref_correlate(const fnr_ref_window *w, const float *fine, const float *coarse, float *dweight);

#endif
