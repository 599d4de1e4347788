// Kernels that go element by element, the loss and the optimiser.
#include "net/cuda/body_plain.h"
#include "net/cuda/launch.cuh"

template <int V> __global__ void __launch_bounds__(FNR_CU_BLOCK) gather(const fnr_cu_gather a)
{
    const size_t groups = (size_t)a.channels / V;
    FNR_CU_EACH(i, a.rows * groups) { fnr_cu_gather_at(&a, i / groups, (int)(i % groups) * V, V); }
}

cudaError_t fnr_cu_launch_gather(const fnr_cu_gather *a, cudaStream_t s)
{
    if (a->group == FNR_CU_GROUP) {
        gather<FNR_CU_GROUP><<<fnr_cu_blocks(a->rows * a->channels / FNR_CU_GROUP), FNR_CU_BLOCK, 0, s>>>(*a);
    } else {
        gather<1><<<fnr_cu_blocks(a->rows * a->channels), FNR_CU_BLOCK, 0, s>>>(*a);
    }
    return cudaGetLastError();
}

static __global__ void planes(const fnr_cu_planes a)
{
    FNR_CU_EACH(i, a.samples * a.channels * a.pixels) { fnr_cu_planes_at(&a, i); }
}

cudaError_t fnr_cu_launch_planes(const fnr_cu_planes *a, cudaStream_t s)
{
    planes<<<fnr_cu_blocks(a->samples * a->channels * a->pixels), FNR_CU_BLOCK, 0, s>>>(*a);
    return cudaGetLastError();
}

static __global__ void add_bias(const fnr_cu_slice x, const float *bias, size_t rows, int channels, int relu)
{
    FNR_CU_EACH(i, rows * channels) { fnr_cu_bias_at(&x, bias, relu, i / channels, (int)(i % channels)); }
}

cudaError_t fnr_cu_launch_bias(const fnr_cu_slice *x, const float *bias, size_t rows, int channels, int relu, cudaStream_t s)
{
    add_bias<<<fnr_cu_blocks(rows * channels), FNR_CU_BLOCK, 0, s>>>(*x, bias, rows, channels, relu);
    return cudaGetLastError();
}

static __global__ void __launch_bounds__(FNR_CU_BLOCK) column_sums(const fnr_cu_slice x, size_t rows, float *to)
{
    double sum = 0;
    for (size_t r = threadIdx.x; r < rows; r += FNR_CU_BLOCK) {
        sum += (double)fnr_cu_get(x.data, x.type, r * x.stride + blockIdx.x);
    }
    sum = fnr_cu_block_sum(sum);
    if (threadIdx.x == 0) {
        to[blockIdx.x] = (float)sum;
    }
}

cudaError_t fnr_cu_launch_column_sums(const fnr_cu_slice *x, size_t rows, int channels, float *to, cudaStream_t s)
{
    column_sums<<<channels, FNR_CU_BLOCK, 0, s>>>(*x, rows, to);
    return cudaGetLastError();
}

static __global__ void direct_forward(const fnr_cu_direct a, size_t count)
{
    FNR_CU_EACH(i, count) { fnr_cu_direct_forward(&a, i); }
}

static __global__ void direct_data(const fnr_cu_direct a, size_t count)
{
    FNR_CU_EACH(i, count) { fnr_cu_direct_data(&a, i); }
}

static __global__ void direct_filter(const fnr_cu_direct a, size_t count)
{
    FNR_CU_EACH(i, count) { fnr_cu_direct_filter(&a, i); }
}

cudaError_t fnr_cu_launch_direct_forward(const fnr_cu_direct *a, cudaStream_t s)
{
    const size_t count = (size_t)a->n * a->coarse_d * a->coarse_h * a->coarse_w * a->coarse_c;
    direct_forward<<<fnr_cu_blocks(count), FNR_CU_BLOCK, 0, s>>>(*a, count);
    return cudaGetLastError();
}

cudaError_t fnr_cu_launch_direct_data(const fnr_cu_direct *a, cudaStream_t s)
{
    const size_t count = (size_t)a->n * a->fine_d * a->fine_h * a->fine_w * a->fine_c;
    direct_data<<<fnr_cu_blocks(count), FNR_CU_BLOCK, 0, s>>>(*a, count);
    return cudaGetLastError();
}

cudaError_t fnr_cu_launch_direct_filter(const fnr_cu_direct *a, cudaStream_t s)
{
    const size_t count = (size_t)a->coarse_c * a->kernel[0] * a->kernel[1] * a->kernel[2] * a->fine_c;
    direct_filter<<<fnr_cu_blocks(count), FNR_CU_BLOCK, 0, s>>>(*a, count);
    return cudaGetLastError();
}

static __global__ void fold(const fnr_cu_fold a)
{
    FNR_CU_EACH(i, a.count) { fnr_cu_fold_weight(&a, i); }
    FNR_CU_EACH(c, a.to_bias ? (size_t)a.channels : 0) { fnr_cu_fold_bias(&a, (int)c); }
}

cudaError_t fnr_cu_launch_fold(const fnr_cu_fold *a, cudaStream_t s)
{
    fold<<<fnr_cu_blocks(a->count), FNR_CU_BLOCK, 0, s>>>(*a);
    return cudaGetLastError();
}

static __global__ void adam(const fnr_cu_adam a)
{
    if (*a.broken) {
        return;
    }
    FNR_CU_EACH(i, a.count) { fnr_cu_adam_at(&a, i); }
}

cudaError_t fnr_cu_launch_adam(const fnr_cu_adam *a, cudaStream_t s)
{
    adam<<<fnr_cu_blocks(a->count), FNR_CU_BLOCK, 0, s>>>(*a);
    return cudaGetLastError();
}

static __global__ void lower(const float *values, uint16_t *low, size_t count)
{
    FNR_CU_EACH(i, count) { low[i] = fnr_cu_to_bf16(values[i]); }
}

cudaError_t fnr_cu_launch_lower(const float *values, uint16_t *low, size_t count, cudaStream_t s)
{
    lower<<<fnr_cu_blocks(count), FNR_CU_BLOCK, 0, s>>>(values, low, count);
    return cudaGetLastError();
}

static __global__ void __launch_bounds__(FNR_CU_BLOCK) mse_parts(const fnr_cu_mse a, size_t count)
{
    double sum = 0;
    FNR_CU_EACH(i, count) { sum += fnr_cu_mse_at(&a, i); }
    sum = fnr_cu_block_sum(sum);
    if (threadIdx.x == 0) {
        a.partial[blockIdx.x] = sum;
    }
}

static __global__ void __launch_bounds__(FNR_CU_BLOCK) mse_collect(const fnr_cu_mse a)
{
    double sum = 0;
    for (int p = threadIdx.x; p < a.parts; p += FNR_CU_BLOCK) {
        sum += a.partial[p];
    }
    sum = fnr_cu_block_sum(sum);
    if (threadIdx.x == 0) {
        *a.loss = sum * a.inverse_count;
        if (!isfinite(*a.loss)) {
            *a.broken = 1;
        }
    }
}

cudaError_t fnr_cu_launch_mse(const fnr_cu_mse *a, cudaStream_t s)
{
    mse_parts<<<a->parts, FNR_CU_BLOCK, 0, s>>>(*a, a->samples * a->channels * a->pixels);
    mse_collect<<<1, FNR_CU_BLOCK, 0, s>>>(*a);
    return cudaGetLastError();
}

static __global__ void check_loss(const double *loss, int *broken)
{
    if (!isfinite(*loss)) {
        *broken = 1;
    }
}

cudaError_t fnr_cu_launch_check_loss(const double *loss, int *broken, cudaStream_t s)
{
    check_loss<<<1, 1, 0, s>>>(loss, broken);
    return cudaGetLastError();
}
