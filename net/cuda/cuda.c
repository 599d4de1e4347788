/* The CUDA backend's table, and what the plug-in exports. */
#include <stdlib.h>

#include "net/cuda/gpu.h"
#include "net/plugin.h"

static bool cu_open(const fnr_backend_options *opt, fnr_backend **out, fnr_error *err)
{
    int count;
    (void)opt;
    (void)out;
    return fnr_cu_count(&count, err) && fnr_fail(err, FNR_E_UNSUPPORTED, "the CUDA backend is being built up; use --device cpu");
}

static void cu_close(fnr_backend *b)
{
    (void)b;
}

static const fnr_backend_ops cuda_ops = {
    .name = "cuda",
    .description = "NVIDIA GPU, cuDNN 9 and own kernels",
    .precisions = 1u << FNR_PRECISION_FLOAT32 | 1u << FNR_PRECISION_TF32 | 1u << FNR_PRECISION_BF16,
    .open = cu_open,
    .close = cu_close,
};

extern const fnr_plugin fnr_cuda_plugin;
__attribute__((visibility("default"))) const fnr_plugin fnr_cuda_plugin = {
    .version = FNR_VERSION, .ops_bytes = sizeof(fnr_backend_ops), .ops = &cuda_ops};
