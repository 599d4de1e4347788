#include "net/cuda/gpu.h"

#include <stdio.h>

bool fnr_cu_ok(cudaError_t status, const char *what, fnr_error *err)
{
    if (status == cudaSuccess) {
        return true;
    }
    (void)cudaGetLastError();
    if (status == cudaErrorMemoryAllocation) {
        return fnr_fail(err, FNR_E_LIMIT, "%s: the GPU's memory is used up; use a smaller batch, patch or tile", what);
    }
    return fnr_fail(err, FNR_E_INTERNAL, "%s: CUDA reports %s (%s)", what, cudaGetErrorName(status), cudaGetErrorString(status));
}

bool fnr_cu_dnn_ok(cudnnStatus_t status, const char *what, fnr_error *err)
{
    if (status == CUDNN_STATUS_SUCCESS) {
        return true;
    }
    char detail[512] = "";
    cudnnGetLastErrorString(detail, sizeof detail);
    if (status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED) {
        return fnr_fail(err, FNR_E_LIMIT, "%s: cuDNN finds the GPU's memory used up; use a smaller batch, patch or tile", what);
    }
    const bool refused = status / 1000 == CUDNN_STATUS_NOT_SUPPORTED / 1000;
    return fnr_fail(err, refused ? FNR_E_UNSUPPORTED : FNR_E_INTERNAL, "%s: cuDNN reports %s%s%.400s", what, cudnnGetErrorString(status),
                    *detail ? ": " : "", detail);
}

bool fnr_cu_count(int *count, fnr_error *err)
{
    *count = 0;
    const cudaError_t status = cudaGetDeviceCount(count);
    if (status == cudaSuccess && *count > 0) {
        return true;
    }
    (void)cudaGetLastError();
    return fnr_fail(err, FNR_E_UNSUPPORTED, "no NVIDIA GPU: %s; use --device cpu",
                    status == cudaSuccess ? "none is visible" : cudaGetErrorString(status));
}

bool fnr_cu_gpu_open(fnr_cu_gpu *gpu, int ordinal, int rank, fnr_error *err)
{
    struct cudaDeviceProp properties;
    *gpu = (fnr_cu_gpu){.ordinal = ordinal, .rank = rank};
    if (!fnr_cu_ok(cudaSetDevice(ordinal), "opening the GPU", err) ||
        !fnr_cu_ok(cudaGetDeviceProperties(&properties, ordinal), "asking the GPU for its properties", err)) {
        return false;
    }
    gpu->sms = properties.multiProcessorCount;
    gpu->memory = properties.totalGlobalMem;
    snprintf(gpu->name, sizeof gpu->name, "%s", properties.name);
    if (properties.major < 8) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "%s has compute capability %d.%d; the CUDA backend needs 8.0 (A100) or newer; use --device cpu",
                        properties.name, properties.major, properties.minor);
    }
    const bool ok = fnr_cu_ok(cudaStreamCreateWithFlags(&gpu->stream, cudaStreamNonBlocking), "creating a stream", err) &&
                    fnr_cu_dnn_ok(cudnnCreate(&gpu->cudnn), "opening cuDNN", err) &&
                    fnr_cu_dnn_ok(cudnnSetStream(gpu->cudnn, gpu->stream), "opening cuDNN", err);
    if (!ok) {
        fnr_cu_gpu_close(gpu);
    }
    return ok;
}

void fnr_cu_gpu_close(fnr_cu_gpu *gpu)
{
    if (gpu->stream || gpu->cudnn) {
        (void)cudaSetDevice(gpu->ordinal);
    }
    if (gpu->cudnn) {
        (void)cudnnDestroy(gpu->cudnn);
    }
    if (gpu->stream) {
        (void)cudaStreamDestroy(gpu->stream);
    }
    *gpu = (fnr_cu_gpu){0};
}
