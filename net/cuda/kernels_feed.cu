// Training patches, cut and varied on the GPU. Compiled without fused multiply-add, so that pixels are those of the processor.
#include "net/cuda/body_feed.h"
#include "net/cuda/launch.cuh"

static __global__ void cut_signal(const fnr_cu_cutter a, size_t count)
{
    FNR_CU_EACH(i, count) { fnr_cu_cut_signal(&a, i); }
}

static __global__ void cut_target(const fnr_cu_cutter a, size_t count)
{
    FNR_CU_EACH(i, count) { fnr_cu_cut_target(&a, i); }
}

static __global__ void blur_rows(const fnr_cu_cutter a, size_t count)
{
    FNR_CU_EACH(i, count) { fnr_cu_cut_blur_rows(&a, i); }
}

static __global__ void blur_columns(const fnr_cu_cutter a, size_t count)
{
    FNR_CU_EACH(i, count) { fnr_cu_cut_blur_columns(&a, i); }
}

cudaError_t fnr_cu_launch_cutter(const fnr_cu_cutter *a, cudaStream_t s)
{
    const size_t pixels = (size_t)a->n * a->d * a->h * a->w, in = pixels * a->in_channels, out = pixels * a->out_channels;
    cut_signal<<<fnr_cu_blocks(in), FNR_CU_BLOCK, 0, s>>>(*a, in);
    cut_target<<<fnr_cu_blocks(out), FNR_CU_BLOCK, 0, s>>>(*a, out);
    if (a->blurs) {
        blur_rows<<<fnr_cu_blocks(in), FNR_CU_BLOCK, 0, s>>>(*a, in);
        blur_columns<<<fnr_cu_blocks(in), FNR_CU_BLOCK, 0, s>>>(*a, in);
    }
    return cudaGetLastError();
}
