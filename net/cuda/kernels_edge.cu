// The first and the last convolution of the network: one thin channel.
#include "net/cuda/body_edge.h"
#include "net/cuda/launch.cuh"

template <int TYPE, int V> __global__ void __launch_bounds__(FNR_CU_BLOCK) expand(const fnr_cu_edge a)
{
    FNR_CU_EACH(i, a.cut.rows * a.cut.groups) { fnr_cu_expand(&a, i / a.cut.groups, (int)(i % a.cut.groups) * V, TYPE, V); }
}

template <int TYPE, int V> __global__ void __launch_bounds__(FNR_CU_BLOCK) shrink(const fnr_cu_edge a)
{
    FNR_CU_EACH(row, a.cut.rows) { fnr_cu_shrink(&a, row, TYPE, V); }
}

// As norm_parts, one channel a thread and a sum for every tap.
template <int TYPE, int TAPS> __global__ void __launch_bounds__(FNR_CU_BLOCK) correlate_parts(const fnr_cu_edge a)
{
    __shared__ float lanes[FNR_CU_BLOCK][TAPS];
    const int per_block = a.cut.groups_per_block, in_block = threadIdx.x % per_block, lane = threadIdx.x / per_block;
    const int c = blockIdx.y * per_block + in_block;
    float sums[TAPS] = {0};
    if (lane < a.cut.lanes && c < a.channels) {
        fnr_cu_correlate(&a, blockIdx.x, lane, c, TYPE, TAPS, sums);
    }
#pragma unroll
    for (int t = 0; t < TAPS; t++) {
        lanes[threadIdx.x][t] = sums[t];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < per_block * TAPS; i += FNR_CU_BLOCK) {
        const int of = i / TAPS, t = i % TAPS, channel = blockIdx.y * per_block + of;
        if (channel < a.channels) {
            double sum = 0;
            for (int l = 0; l < a.cut.lanes; l++) {
                sum += (double)lanes[l * per_block + of][t];
            }
            a.partial[((size_t)blockIdx.x * a.channels + channel) * TAPS + t] = sum;
        }
    }
}

// One block per weight.
static __global__ void __launch_bounds__(FNR_CU_BLOCK) correlate_collect(const fnr_cu_edge a)
{
    const size_t weights = (size_t)a.channels * a.taps;
    double sum = 0;
    for (int p = threadIdx.x; p < a.cut.parts; p += FNR_CU_BLOCK) {
        sum += a.partial[(size_t)p * weights + blockIdx.x];
    }
    sum = fnr_cu_block_sum(sum);
    if (threadIdx.x == 0) {
        a.dweight[blockIdx.x / a.taps * (size_t)a.weight_c + blockIdx.x % a.taps * (size_t)a.weight_t] = (float)sum;
    }
}

cudaError_t fnr_cu_launch_expand(const fnr_cu_edge *a, cudaStream_t s)
{
    FNR_CU_DISPATCH(a->wide.type, a->cut.group, expand, fnr_cu_blocks(a->cut.rows * a->cut.groups), s, *a);
    return cudaGetLastError();
}

cudaError_t fnr_cu_launch_shrink(const fnr_cu_edge *a, cudaStream_t s)
{
    FNR_CU_DISPATCH(a->wide.type, a->cut.group, shrink, fnr_cu_blocks(a->cut.rows), s, *a);
    return cudaGetLastError();
}

cudaError_t fnr_cu_launch_correlate(const fnr_cu_edge *a, cudaStream_t s)
{
    const dim3 grid(a->cut.parts, (a->channels + a->cut.groups_per_block - 1) / a->cut.groups_per_block);
    if (a->wide.type == FNR_CU_BF16) {
        if (a->taps == 27) {
            correlate_parts<FNR_CU_BF16, 27><<<grid, FNR_CU_BLOCK, 0, s>>>(*a);
        } else {
            correlate_parts<FNR_CU_BF16, 9><<<grid, FNR_CU_BLOCK, 0, s>>>(*a);
        }
    } else if (a->taps == 27) {
        correlate_parts<FNR_CU_FLOAT32, 27><<<grid, FNR_CU_BLOCK, 0, s>>>(*a);
    } else {
        correlate_parts<FNR_CU_FLOAT32, 9><<<grid, FNR_CU_BLOCK, 0, s>>>(*a);
    }
    correlate_collect<<<a->channels * a->taps, FNR_CU_BLOCK, 0, s>>>(*a);
    return cudaGetLastError();
}
