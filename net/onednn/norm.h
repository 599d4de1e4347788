/* Batch norm with ReLU over blocked tensors, and the per-channel arithmetic that is the same with constants: adding a bias,
 * normalising by running statistics. */
#ifndef FNR_NET_ONEDNN_NORM_H
#define FNR_NET_ONEDNN_NORM_H

#include "net/onednn/tensor.h"

/* The parameters of one norm, in the state's vectors (true channels). */
typedef struct {
    const float *gamma, *beta;
    const float *bias; /* of the convolution in front, left out of x because a batch norm cancels it; NULL = none */
    float *running_mean, *running_var;
} fnr_dn_norm_params;

typedef struct {
    const fnr_dn_kernels *kernels;
    fnr_dn_extent extent;
    bool relu;
    /* Per channel, rounded up to whole blocks, in one buffer of fnr_dn_norm_floats. */
    float *scale, *shift, *mean, *inv_std, *slope, *offset;
} fnr_dn_norm;

size_t fnr_dn_norm_floats(const fnr_dn_extent *e, int block);
void fnr_dn_norm_bind(fnr_dn_norm *n, const fnr_dn_kernels *k, const fnr_dn_extent *e, bool relu, float *buffer);
/* The affine of block b. */
fnr_dn_affine fnr_dn_norm_affine(const fnr_dn_norm *n, int b);
/* Scratch needed by forward and backward. */
size_t fnr_dn_norm_scratch_floats(const fnr_dn_extent *e, int block);

/* scale and shift from the running statistics (inference). */
void fnr_dn_norm_from_running(fnr_dn_norm *n, const fnr_dn_norm_params *p);
/* scale 1 and shift bias (NULL = 0). */
void fnr_dn_norm_from_bias(fnr_dn_norm *n, const float *bias);
/* y = max(scale * (x - mean) + shift, 0), also to `copy`. In place is fine. */
void fnr_dn_norm_apply(const fnr_dn_norm *n, fnr_dn_tensor x, fnr_dn_tensor y, fnr_dn_tensor copy);

/* Training: statistics of x, update of the running ones, then apply. */
void fnr_dn_norm_forward(fnr_dn_norm *n, const fnr_dn_norm_params *p, fnr_dn_tensor x, fnr_dn_tensor y, fnr_dn_tensor copy, float *scratch);
/* dy is dy1 + dy2 (dy2.data may be NULL). dx may be x. */
void fnr_dn_norm_backward(fnr_dn_norm *n, fnr_dn_tensor x, fnr_dn_tensor dy1, fnr_dn_tensor dy2, float *dgamma,
                          float *dbeta, fnr_dn_tensor dx, float *scratch);

/* Sum over samples and pixels per channel: the gradient of a bias. */
void fnr_dn_channel_sums(const fnr_dn_kernels *k, const fnr_dn_extent *e, fnr_dn_tensor x, float *sums, float *scratch);

#endif
