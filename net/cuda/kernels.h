/* Our own kernels: their operands, and the functions that launch them (kernels_*.cu).
 *
 * Tensors are channels-last: row = one pixel of one sample, `channels` numbers each.  What a kernel computes for one element or
 * one thread is a function in body_*.h that the tests run on the processor as well; the .cu files add only the grid and the sums
 * over a block.  All sums have a fixed order, so results repeat to the bit. */
#ifndef FNR_NET_CUDA_KERNELS_H
#define FNR_NET_CUDA_KERNELS_H

#include <cuda_runtime_api.h>

#include "net/cuda/number.h"
#include "net/patch_pixel.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FNR_CU_BLOCK = 256, FNR_CU_MAX_SOURCES = 4, FNR_CU_MAX_TAPS = 27 };

/* Some channels of a tensor: number c of row r is data[r * stride + c]. */
typedef struct {
    void *data;
    int type;      /* fnr_cu_type */
    size_t stride; /* numbers from row to row */
} fnr_cu_slice;

/* to = sum of from[0 .. count-1]: copies, concatenation, sums of gradients. */
typedef struct {
    fnr_cu_slice to, from[FNR_CU_MAX_SOURCES];
    int count, channels, group; /* group: 1, or FNR_CU_GROUP where every slice allows it */
    size_t rows;
} fnr_cu_gather;

/* Between (n, c, pixels) in float32, the host's order, and channels-last. */
typedef struct {
    float *planes;
    fnr_cu_slice rows;
    int channels, to_planes; /* to_planes: from rows to planes */
    size_t samples, pixels;
} fnr_cu_planes;

/* How a sum over rows is cut: part p is rows [p * rows_per_part, ...); in it `lanes` threads go side by side. */
typedef struct {
    size_t rows, rows_per_part;
    int parts, lanes, group, groups, groups_per_block;
} fnr_cu_cut;

/* Batch norm over rows. Vectors have `channels` elements; doubles in `slots` are each rank's contribution, in rank order. */
typedef struct {
    fnr_cu_cut cut;
    fnr_cu_slice x, y[2];                /* y[1].data may be NULL: a second place for the result */
    fnr_cu_slice dy[2], dx;              /* backward; dy[1].data may be NULL: the gradient is their sum */
    const float *gamma, *beta, *bias;    /* bias: of the convolution in front, left out there; may be NULL */
    float *running_mean, *running_var;
    float *mean, *inv_sd, *scale;        /* of the batch; scale = gamma * inv_sd */
    float *dgamma, *dbeta;               /* this rank's share */
    float *mean_g, *mean_gx;             /* backward: mean of g and of g * xhat over all ranks */
    double *partial, *slots;             /* cut.parts * 2 * channels; ranks * 2 * channels */
    int channels, ranks, rank, relu;
    float eps, momentum;
} fnr_cu_norm;

/* Convolution 3x3[x3] between one thin channel (float32) and many wide ones: memory-bound, so not a matter for cuDNN.
 * wide[r][c] <-> thin[r + sign * tap]; weight(c, t) = weight[c * weight_c + t * weight_t]. */
typedef struct {
    fnr_cu_cut cut;
    fnr_cu_slice wide;
    float *thin;
    const float *weight, *bias; /* bias may be NULL */
    float *dweight;
    double *partial; /* cut.parts * channels * taps */
    int channels, n, d, h, w, taps, sign, weight_c, weight_t, relu;
} fnr_cu_edge;

/* A convolution by plain loops: slow, for what cuDNN has no engine for.  Weight (coarse_c, kz, ky, kx, fine_c). */
typedef struct {
    void *fine, *coarse, *weight;
    int io, result; /* fnr_cu_type of what is read and written */
    const float *bias;
    int n, fine_c, coarse_c, relu;
    int fine_d, fine_h, fine_w, coarse_d, coarse_h, coarse_w;
    int kernel[3], stride[3], pad[3];
} fnr_cu_direct;

/* Weights for inference: folded with the norm behind them (scale NULL: copied).  Element i belongs to output channel
 * i / divide % channels. */
typedef struct {
    const float *weight, *bias;                  /* bias may be NULL */
    const float *gamma, *beta, *mean, *variance; /* of the norm; gamma NULL: there is none */
    void *to;
    float *to_bias; /* channels */
    int type, channels;
    size_t count, divide;
    float eps;
} fnr_cu_fold;

/* Numbers that change from step to step, in the GPU's memory so that a captured step need not be captured again. */
typedef struct {
    double beta1, beta2, eps, step_size, root_scale;
} fnr_cu_step_numbers;

typedef struct {
    float *values, *grads, *moment1, *moment2;
    uint16_t *low; /* bfloat16 copy of the values; may be NULL */
    size_t count;
    const fnr_cu_step_numbers *numbers;
    const int *broken; /* not 0: a loss was not finite, leave everything as it is */
} fnr_cu_adam;

/* Mean squared error and its gradient. */
typedef struct {
    fnr_cu_slice y, dy;
    const float *target; /* planes */
    int channels, parts;
    size_t samples, pixels;
    double inverse_count; /* 1 / elements of all ranks */
    double *partial, *loss;
    int *broken;
} fnr_cu_mse;

/* Where the pixels of a training image lie among all of them (counted in floats). */
typedef struct {
    size_t signal, target;
    int d, h, w;
} fnr_cu_image;

/* Cuts a batch: orders[n] from the images into planes x and y. */
typedef struct {
    const fnr_patch_order *orders;
    const fnr_cu_image *images;
    const float *pixels;
    float *x, *y, *scratch; /* scratch: as large as x, where patches are blurred */
    int n, in_channels, out_channels, d, h, w, blurs;
} fnr_cu_cutter;

cudaError_t fnr_cu_launch_cutter(const fnr_cu_cutter *a, cudaStream_t s);
cudaError_t fnr_cu_launch_gather(const fnr_cu_gather *a, cudaStream_t s);
cudaError_t fnr_cu_launch_planes(const fnr_cu_planes *a, cudaStream_t s);
/* Statistics of x into this rank's slot; with one rank fnr_cu_launch_norm_combine need not wait for anybody. */
cudaError_t fnr_cu_launch_norm_stats(const fnr_cu_norm *a, cudaStream_t s);
/* All ranks' slots -> mean, scale, running statistics. */
cudaError_t fnr_cu_launch_norm_combine(const fnr_cu_norm *a, cudaStream_t s);
/* Inference: the running statistics -> mean, scale. */
cudaError_t fnr_cu_launch_norm_running(const fnr_cu_norm *a, cudaStream_t s);
cudaError_t fnr_cu_launch_norm_apply(const fnr_cu_norm *a, cudaStream_t s);
/* The same three steps backward: sums into the slot (and dgamma, dbeta), means over all ranks, dx. */
cudaError_t fnr_cu_launch_norm_back_stats(const fnr_cu_norm *a, cudaStream_t s);
cudaError_t fnr_cu_launch_norm_back_combine(const fnr_cu_norm *a, cudaStream_t s);
cudaError_t fnr_cu_launch_norm_back_apply(const fnr_cu_norm *a, cudaStream_t s);
cudaError_t fnr_cu_launch_expand(const fnr_cu_edge *a, cudaStream_t s);
cudaError_t fnr_cu_launch_shrink(const fnr_cu_edge *a, cudaStream_t s);
cudaError_t fnr_cu_launch_correlate(const fnr_cu_edge *a, cudaStream_t s);
cudaError_t fnr_cu_launch_direct_forward(const fnr_cu_direct *a, cudaStream_t s);
cudaError_t fnr_cu_launch_direct_data(const fnr_cu_direct *a, cudaStream_t s);
cudaError_t fnr_cu_launch_direct_filter(const fnr_cu_direct *a, cudaStream_t s);
/* x[r][c] = relu?(x[r][c] + bias[c]) in place. */
cudaError_t fnr_cu_launch_bias(const fnr_cu_slice *x, const float *bias, size_t rows, int channels, int relu, cudaStream_t s);
/* to[c] = sum over rows of x[r][c]. */
cudaError_t fnr_cu_launch_column_sums(const fnr_cu_slice *x, size_t rows, int channels, float *to, cudaStream_t s);
cudaError_t fnr_cu_launch_fold(const fnr_cu_fold *a, cudaStream_t s);
cudaError_t fnr_cu_launch_adam(const fnr_cu_adam *a, cudaStream_t s);
/* values -> low, all of them. */
cudaError_t fnr_cu_launch_lower(const float *values, uint16_t *low, size_t count, cudaStream_t s);
/* Gradient into dy; the sum of squares times inverse_count into *loss; *broken is set when that is not finite. */
cudaError_t fnr_cu_launch_mse(const fnr_cu_mse *a, cudaStream_t s);
/* After the ranks' losses were added up. */
cudaError_t fnr_cu_launch_check_loss(const double *loss, int *broken, cudaStream_t s);

#ifdef __cplusplus
}
#endif

#endif
