/* The few functions of NCCL that we call, loaded when there is more than one GPU: with one it need not be installed. */
#ifndef FNR_NET_CUDA_NCCL_H
#define FNR_NET_CUDA_NCCL_H

#include <nccl.h>

#include "src/core/err.h"

typedef struct {
    ncclResult_t (*init_all)(ncclComm_t *comms, int count, const int *devices);
    ncclResult_t (*destroy)(ncclComm_t comm);
    ncclResult_t (*all_reduce)(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream);
    ncclResult_t (*all_gather)(const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream);
    const char *(*error_string)(ncclResult_t result);
} fnr_cu_nccl;

bool fnr_cu_nccl_load(fnr_cu_nccl *calls, fnr_error *err);

#endif
