/* GPUs in use: a stream, a cuDNN handle and a place in the team for each. */
#ifndef FNR_NET_CUDA_GPU_H
#define FNR_NET_CUDA_GPU_H

#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "net/backend.h"

typedef struct {
    int ordinal, rank; /* CUDA's number, and ours: 0 .. team size - 1 */
    cudaStream_t stream;
    cudnnHandle_t cudnn;
    int sms;           /* multiprocessors */
    size_t memory;     /* bytes, all of it */
    char name[256];
} fnr_cu_gpu;

/* True when the call went well.  Out of memory is FNR_E_LIMIT, everything else FNR_E_INTERNAL; clears CUDA's own error. */
bool fnr_cu_ok(cudaError_t status, const char *what, fnr_error *err);
/* The same for cuDNN; what it refuses is FNR_E_UNSUPPORTED. */
bool fnr_cu_dnn_ok(cudnnStatus_t status, const char *what, fnr_error *err);

/* How many GPUs there are; fails, with what to do, when there is none. */
bool fnr_cu_count(int *count, fnr_error *err);
/* Opens GPU `ordinal` and makes it the calling thread's. */
bool fnr_cu_gpu_open(fnr_cu_gpu *gpu, int ordinal, int rank, fnr_error *err);
void fnr_cu_gpu_close(fnr_cu_gpu *gpu);

#endif
