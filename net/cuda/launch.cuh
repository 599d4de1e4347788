// What the launchers share: grids for work by the element, and dispatch on type and group width.
#pragma once

#include "net/cuda/kernels.h"

// Blocks for `count` threads; kernels loop, so the grid may be cut off.
static inline unsigned fnr_cu_blocks(size_t count)
{
    const size_t blocks = (count + FNR_CU_BLOCK - 1) / FNR_CU_BLOCK, most = 1u << 20;
    return (unsigned)(blocks < 1 ? 1 : blocks < most ? blocks : most);
}

#define FNR_CU_EACH(i, count)                                                                                                               \
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < (count); i += (size_t)gridDim.x * blockDim.x)

// Calls f<type, group>(...) with both as constants.
#define FNR_CU_DISPATCH(type, group, f, grid, stream, ...)                                                                                  \
    do {                                                                                                                                    \
        if ((type) == FNR_CU_BF16 && (group) == FNR_CU_GROUP) {                                                                             \
            f<FNR_CU_BF16, FNR_CU_GROUP><<<grid, FNR_CU_BLOCK, 0, stream>>>(__VA_ARGS__);                                                   \
        } else if ((type) == FNR_CU_BF16) {                                                                                                 \
            f<FNR_CU_BF16, 1><<<grid, FNR_CU_BLOCK, 0, stream>>>(__VA_ARGS__);                                                              \
        } else if ((group) == FNR_CU_GROUP) {                                                                                               \
            f<FNR_CU_FLOAT32, FNR_CU_GROUP><<<grid, FNR_CU_BLOCK, 0, stream>>>(__VA_ARGS__);                                                \
        } else {                                                                                                                            \
            f<FNR_CU_FLOAT32, 1><<<grid, FNR_CU_BLOCK, 0, stream>>>(__VA_ARGS__);                                                           \
        }                                                                                                                                   \
    } while (0)

// Sum over the block's threads, in a fixed order; the result is thread 0's.
static __device__ inline double fnr_cu_block_sum(double v)
{
    __shared__ double parts[FNR_CU_BLOCK];
    __syncthreads();
    parts[threadIdx.x] = v;
    __syncthreads();
    for (int step = FNR_CU_BLOCK / 2; step > 0; step /= 2) {
        if ((int)threadIdx.x < step) {
            parts[threadIdx.x] += parts[threadIdx.x + step];
        }
        __syncthreads();
    }
    return parts[0];
}
