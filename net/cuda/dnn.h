/* Convolutions through cuDNN's graph API: the three passes of one convolution, each a graph of one operation (with bias and ReLU
 * behind it where asked), and the engines that can run it.
 *
 * A convolution links a fine and a coarse grid, as in net/ref/window.h: FORWARD maps fine to coarse, DATA coarse to fine (the
 * gradient of a convolution, and a transposed convolution forward), FILTER gives the weights' gradient.  All tensors are dense and
 * channels-last; weights are (coarse channel, [kz,] ky, kx, fine channel). */
#ifndef FNR_NET_CUDA_DNN_H
#define FNR_NET_CUDA_DNN_H

#include <cudnn.h>

#include "net/cuda/number.h"
#include "src/core/err.h"

typedef enum { FNR_CU_FORWARD, FNR_CU_DATA, FNR_CU_FILTER } fnr_cu_pass;

/* Plain data: zero it, then fill it in, and memcmp tells whether two are the same. */
typedef struct {
    fnr_cu_pass pass;
    fnr_cu_type io;     /* of the tensors that are read */
    fnr_cu_type result; /* of the tensor that is written */
    int spatial, n, fine_c, coarse_c;
    int fine[3], coarse[3]; /* d, h, w */
    int kernel, stride, pad;
    int bias, relu; /* behind FORWARD or DATA: add float32 bias[channel]; then ReLU */
    int exact;      /* float32 products in full: no TF32, Winograd or Fourier engines */
} fnr_cu_conv_key;

/* Where plans are to run: an open handle, or, for checks without a GPU, a description of one. */
typedef struct {
    cudnnHandle_t handle;
    cudnnBackendDescriptor_t device;
} fnr_cu_target;

enum { FNR_CU_BAG = 80, FNR_CU_PLANS = 12 };

/* Descriptors that belong together, in the order in which they were made. */
typedef struct {
    cudnnBackendDescriptor_t items[FNR_CU_BAG];
    int count;
} fnr_cu_bag;

/* Ways to run one convolution, what cuDNN thinks is fastest first. */
typedef struct {
    fnr_cu_bag bag; /* owns everything */
    cudnnBackendDescriptor_t plans[FNR_CU_PLANS];
    size_t workspace[FNR_CU_PLANS]; /* bytes */
    int count;
} fnr_cu_plans;

/* All engines that cuDNN proposes, that are deterministic, compute as exactly as asked, build, and need at most max_workspace
 * bytes; at most `wanted`.  None is FNR_E_UNSUPPORTED.  Release with fnr_cu_plans_free, also after a failure. */
bool fnr_cu_plans_make(fnr_cu_plans *p, const fnr_cu_target *target, const fnr_cu_conv_key *key, int wanted, size_t max_workspace, fnr_error *err);
void fnr_cu_plans_free(fnr_cu_plans *p);
/* Frees all plans but number `keep`. */
void fnr_cu_plans_keep(fnr_cu_plans *p, int keep);

/* Device pointers of one run; bias may be NULL unless the key asks for it. */
typedef struct {
    void *fine, *coarse, *weight, *bias, *workspace;
} fnr_cu_conv_data;

bool fnr_cu_plan_run(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, const fnr_cu_conv_key *key, const fnr_cu_conv_data *data, fnr_error *err);

/* A description of an H200, for targets without a GPU (cuDNN 9.8 or newer). Goes into the bag. */
bool fnr_cu_describe_device(fnr_cu_bag *bag, const char *json, cudnnBackendDescriptor_t *out, fnr_error *err);
void fnr_cu_bag_free(fnr_cu_bag *bag);

#endif
