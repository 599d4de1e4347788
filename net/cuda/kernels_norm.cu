// Batch norm: sums over rows in two steps (parts, then all parts of a channel), then one pass over the elements.
#include "net/cuda/body_norm.h"
#include "net/cuda/launch.cuh"

// One block sums one part for up to groups_per_block groups of channels; lanes are added up in order, in double.
template <int TYPE, int V, bool BACK> __global__ void __launch_bounds__(FNR_CU_BLOCK) norm_parts(const fnr_cu_norm a)
{
    __shared__ float lanes[FNR_CU_BLOCK][2 * V + 1];
    const int per_block = a.cut.groups_per_block, in_block = threadIdx.x % per_block, lane = threadIdx.x / per_block;
    const int group = blockIdx.y * per_block + in_block;
    float sums[2 * V] = {0};
    if (lane < a.cut.lanes && group < a.cut.groups) {
        if (BACK) {
            fnr_cu_norm_back_sum(&a, blockIdx.x, lane, group * V, TYPE, V, sums);
        } else {
            fnr_cu_norm_sum(&a, blockIdx.x, lane, group * V, TYPE, V, sums);
        }
    }
#pragma unroll
    for (int k = 0; k < 2 * V; k++) {
        lanes[threadIdx.x][k] = sums[k];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < per_block * 2 * V; i += FNR_CU_BLOCK) {
        const int of = i / (2 * V), k = i % (2 * V), c = (blockIdx.y * per_block + of) * V + k % V;
        if (c < a.channels) {
            double sum = 0;
            for (int l = 0; l < a.cut.lanes; l++) {
                sum += (double)lanes[l * per_block + of][k];
            }
            a.partial[((size_t)blockIdx.x * 2 + k / V) * a.channels + c] = sum;
        }
    }
}

// One block per channel.
template <bool BACK> __global__ void __launch_bounds__(FNR_CU_BLOCK) norm_collect(const fnr_cu_norm a)
{
    const int c = blockIdx.x;
    double first = 0, second = 0;
    for (int p = threadIdx.x; p < a.cut.parts; p += FNR_CU_BLOCK) {
        first += a.partial[(size_t)p * 2 * a.channels + c];
        second += a.partial[((size_t)p * 2 + 1) * a.channels + c];
    }
    first = fnr_cu_block_sum(first);
    second = fnr_cu_block_sum(second);
    if (threadIdx.x == 0) {
        if (BACK) {
            fnr_cu_norm_back_slot(&a, c, first, second);
        } else {
            fnr_cu_norm_slot(&a, c, first, second);
        }
    }
}

static __global__ void norm_combine(const fnr_cu_norm a)
{
    FNR_CU_EACH(c, (size_t)a.channels) { fnr_cu_norm_combine(&a, (int)c); }
}

static __global__ void norm_back_combine(const fnr_cu_norm a)
{
    FNR_CU_EACH(c, (size_t)a.channels) { fnr_cu_norm_back_combine(&a, (int)c); }
}

static __global__ void norm_running(const fnr_cu_norm a)
{
    FNR_CU_EACH(c, (size_t)a.channels) { fnr_cu_norm_running(&a, (int)c); }
}

template <int TYPE, int V> __global__ void __launch_bounds__(FNR_CU_BLOCK) norm_apply(const fnr_cu_norm a)
{
    FNR_CU_EACH(i, a.cut.rows * a.cut.groups) { fnr_cu_norm_apply(&a, i / a.cut.groups, (int)(i % a.cut.groups) * V, TYPE, V); }
}

template <int TYPE, int V> __global__ void __launch_bounds__(FNR_CU_BLOCK) norm_back_apply(const fnr_cu_norm a)
{
    FNR_CU_EACH(i, a.cut.rows * a.cut.groups) { fnr_cu_norm_back_apply(&a, i / a.cut.groups, (int)(i % a.cut.groups) * V, TYPE, V); }
}

template <bool BACK> static cudaError_t launch_sums(const fnr_cu_norm *a, cudaStream_t s)
{
    const dim3 grid(a->cut.parts, (a->cut.groups + a->cut.groups_per_block - 1) / a->cut.groups_per_block);
    const bool wide = a->cut.group == FNR_CU_GROUP;
    if (a->x.type == FNR_CU_BF16) {
        if (wide) {
            norm_parts<FNR_CU_BF16, FNR_CU_GROUP, BACK><<<grid, FNR_CU_BLOCK, 0, s>>>(*a);
        } else {
            norm_parts<FNR_CU_BF16, 1, BACK><<<grid, FNR_CU_BLOCK, 0, s>>>(*a);
        }
    } else if (wide) {
        norm_parts<FNR_CU_FLOAT32, FNR_CU_GROUP, BACK><<<grid, FNR_CU_BLOCK, 0, s>>>(*a);
    } else {
        norm_parts<FNR_CU_FLOAT32, 1, BACK><<<grid, FNR_CU_BLOCK, 0, s>>>(*a);
    }
    norm_collect<BACK><<<a->channels, FNR_CU_BLOCK, 0, s>>>(*a);
    return cudaGetLastError();
}

cudaError_t fnr_cu_launch_norm_stats(const fnr_cu_norm *a, cudaStream_t s)
{
    return launch_sums<false>(a, s);
}

cudaError_t fnr_cu_launch_norm_back_stats(const fnr_cu_norm *a, cudaStream_t s)
{
    return launch_sums<true>(a, s);
}

cudaError_t fnr_cu_launch_norm_combine(const fnr_cu_norm *a, cudaStream_t s)
{
    norm_combine<<<fnr_cu_blocks(a->channels), FNR_CU_BLOCK, 0, s>>>(*a);
    return cudaGetLastError();
}

cudaError_t fnr_cu_launch_norm_back_combine(const fnr_cu_norm *a, cudaStream_t s)
{
    norm_back_combine<<<fnr_cu_blocks(a->channels), FNR_CU_BLOCK, 0, s>>>(*a);
    return cudaGetLastError();
}

cudaError_t fnr_cu_launch_norm_running(const fnr_cu_norm *a, cudaStream_t s)
{
    norm_running<<<fnr_cu_blocks(a->channels), FNR_CU_BLOCK, 0, s>>>(*a);
    return cudaGetLastError();
}

cudaError_t fnr_cu_launch_norm_apply(const fnr_cu_norm *a, cudaStream_t s)
{
    FNR_CU_DISPATCH(a->x.type, a->cut.group, norm_apply, fnr_cu_blocks(a->cut.rows * a->cut.groups), s, *a);
    return cudaGetLastError();
}

cudaError_t fnr_cu_launch_norm_back_apply(const fnr_cu_norm *a, cudaStream_t s)
{
    FNR_CU_DISPATCH(a->x.type, a->cut.group, norm_back_apply, fnr_cu_blocks(a->cut.rows * a->cut.groups), s, *a);
    return cudaGetLastError();
}
