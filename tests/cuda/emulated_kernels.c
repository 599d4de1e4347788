/* The kernels' launchers on the processor: the same functions of one element or one thread, called in loops.  What is not checked
 * this way is the grid, and the sums over a block. */
#include <math.h>
#include <stdbool.h>

#include "net/cuda/body_edge.h"
#include "net/cuda/body_feed.h"
#include "net/cuda/body_plain.h"

#define EACH(i, count) for (size_t i = 0; i < (count); i++)
#define DONE                                                                                                                                \
    (void)s;                                                                                                                                \
    return cudaSuccess

cudaError_t fnr_cu_launch_gather(const fnr_cu_gather *a, cudaStream_t s)
{
    const size_t groups = (size_t)(a->channels / a->group);
    EACH(i, a->rows * groups) { fnr_cu_gather_at(a, i / groups, (int)(i % groups) * a->group, a->group); }
    DONE;
}

cudaError_t fnr_cu_launch_planes(const fnr_cu_planes *a, cudaStream_t s)
{
    EACH(i, a->samples * (size_t)a->channels * a->pixels) { fnr_cu_planes_at(a, i); }
    DONE;
}

static void norm_sums(const fnr_cu_norm *a, bool back)
{
    for (int c = 0; c < a->channels; c += a->cut.group) {
        double total[2 * FNR_CU_GROUP] = {0};
        for (int part = 0; part < a->cut.parts; part++) {
            for (int lane = 0; lane < a->cut.lanes; lane++) {
                float sums[2 * FNR_CU_GROUP] = {0};
                (back ? fnr_cu_norm_back_sum : fnr_cu_norm_sum)(a, part, lane, c, a->x.type, a->cut.group, sums);
                EACH(k, 2 * (size_t)a->cut.group) { total[k] += (double)sums[k]; }
            }
        }
        for (int k = 0; k < a->cut.group; k++) {
            (back ? fnr_cu_norm_back_slot : fnr_cu_norm_slot)(a, c + k, total[k], total[a->cut.group + k]);
        }
    }
}

cudaError_t fnr_cu_launch_norm_stats(const fnr_cu_norm *a, cudaStream_t s)
{
    norm_sums(a, false);
    DONE;
}

cudaError_t fnr_cu_launch_norm_back_stats(const fnr_cu_norm *a, cudaStream_t s)
{
    norm_sums(a, true);
    DONE;
}

cudaError_t fnr_cu_launch_norm_combine(const fnr_cu_norm *a, cudaStream_t s)
{
    EACH(c, (size_t)a->channels) { fnr_cu_norm_combine(a, (int)c); }
    DONE;
}

cudaError_t fnr_cu_launch_norm_back_combine(const fnr_cu_norm *a, cudaStream_t s)
{
    EACH(c, (size_t)a->channels) { fnr_cu_norm_back_combine(a, (int)c); }
    DONE;
}

cudaError_t fnr_cu_launch_norm_running(const fnr_cu_norm *a, cudaStream_t s)
{
    EACH(c, (size_t)a->channels) { fnr_cu_norm_running(a, (int)c); }
    DONE;
}

cudaError_t fnr_cu_launch_norm_apply(const fnr_cu_norm *a, cudaStream_t s)
{
    const size_t groups = (size_t)a->cut.groups;
    EACH(i, a->cut.rows * groups) { fnr_cu_norm_apply(a, i / groups, (int)(i % groups) * a->cut.group, a->x.type, a->cut.group); }
    DONE;
}

cudaError_t fnr_cu_launch_norm_back_apply(const fnr_cu_norm *a, cudaStream_t s)
{
    const size_t groups = (size_t)a->cut.groups;
    EACH(i, a->cut.rows * groups) { fnr_cu_norm_back_apply(a, i / groups, (int)(i % groups) * a->cut.group, a->x.type, a->cut.group); }
    DONE;
}

cudaError_t fnr_cu_launch_expand(const fnr_cu_edge *a, cudaStream_t s)
{
    const size_t groups = (size_t)a->cut.groups;
    EACH(i, a->cut.rows * groups) { fnr_cu_expand(a, i / groups, (int)(i % groups) * a->cut.group, a->wide.type, a->cut.group); }
    DONE;
}

cudaError_t fnr_cu_launch_shrink(const fnr_cu_edge *a, cudaStream_t s)
{
    EACH(row, a->cut.rows) { fnr_cu_shrink(a, row, a->wide.type, a->cut.group); }
    DONE;
}

cudaError_t fnr_cu_launch_correlate(const fnr_cu_edge *a, cudaStream_t s)
{
    for (int c = 0; c < a->channels; c++) {
        double total[FNR_CU_MAX_TAPS] = {0};
        for (int part = 0; part < a->cut.parts; part++) {
            for (int lane = 0; lane < a->cut.lanes; lane++) {
                float sums[FNR_CU_MAX_TAPS] = {0};
                fnr_cu_correlate(a, part, lane, c, a->wide.type, a->taps, sums);
                EACH(t, (size_t)a->taps) { total[t] += (double)sums[t]; }
            }
        }
        EACH(t, (size_t)a->taps) { a->dweight[(size_t)c * (size_t)a->weight_c + t * (size_t)a->weight_t] = (float)total[t]; }
    }
    DONE;
}

cudaError_t fnr_cu_launch_direct_forward(const fnr_cu_direct *a, cudaStream_t s)
{
    EACH(i, (size_t)a->n * (size_t)a->coarse_d * (size_t)a->coarse_h * (size_t)a->coarse_w * (size_t)a->coarse_c) { fnr_cu_direct_forward(a, i); }
    DONE;
}

cudaError_t fnr_cu_launch_direct_data(const fnr_cu_direct *a, cudaStream_t s)
{
    EACH(i, (size_t)a->n * (size_t)a->fine_d * (size_t)a->fine_h * (size_t)a->fine_w * (size_t)a->fine_c) { fnr_cu_direct_data(a, i); }
    DONE;
}

cudaError_t fnr_cu_launch_direct_filter(const fnr_cu_direct *a, cudaStream_t s)
{
    const size_t taps = (size_t)a->kernel[0] * (size_t)a->kernel[1] * (size_t)a->kernel[2];
    EACH(i, (size_t)a->coarse_c * taps * (size_t)a->fine_c) { fnr_cu_direct_filter(a, i); }
    DONE;
}

cudaError_t fnr_cu_launch_bias(const fnr_cu_slice *x, const float *bias, size_t rows, int channels, int relu, cudaStream_t s)
{
    EACH(i, rows * (size_t)channels) { fnr_cu_bias_at(x, bias, relu, i / (size_t)channels, (int)(i % (size_t)channels)); }
    DONE;
}

cudaError_t fnr_cu_launch_column_sums(const fnr_cu_slice *x, size_t rows, int channels, float *to, cudaStream_t s)
{
    EACH(c, (size_t)channels) {
        double sum = 0;
        EACH(r, rows) { sum += (double)fnr_cu_get(x->data, x->type, r * x->stride + c); }
        to[c] = (float)sum;
    }
    DONE;
}

cudaError_t fnr_cu_launch_fold(const fnr_cu_fold *a, cudaStream_t s)
{
    EACH(i, a->count) { fnr_cu_fold_weight(a, i); }
    EACH(c, (size_t)a->channels) { fnr_cu_fold_bias(a, (int)c); }
    DONE;
}

cudaError_t fnr_cu_launch_adam(const fnr_cu_adam *a, cudaStream_t s)
{
    EACH(i, *a->broken ? 0 : a->count) { fnr_cu_adam_at(a, i); }
    DONE;
}

cudaError_t fnr_cu_launch_lower(const float *values, uint16_t *low, size_t count, cudaStream_t s)
{
    EACH(i, count) { low[i] = fnr_cu_to_bf16(values[i]); }
    DONE;
}

cudaError_t fnr_cu_launch_mse(const fnr_cu_mse *a, cudaStream_t s)
{
    double sum = 0;
    EACH(i, a->samples * (size_t)a->channels * a->pixels) { sum += fnr_cu_mse_at(a, i); }
    *a->loss = sum * a->inverse_count;
    return fnr_cu_launch_check_loss(a->loss, a->broken, s);
}

cudaError_t fnr_cu_launch_check_loss(const double *loss, int *broken, cudaStream_t s)
{
    if (!isfinite(*loss)) {
        *broken = 1;
    }
    DONE;
}

cudaError_t fnr_cu_launch_cutter(const fnr_cu_cutter *a, cudaStream_t s)
{
    const size_t pixels = (size_t)a->n * (size_t)a->d * (size_t)a->h * (size_t)a->w, in = pixels * (size_t)a->in_channels;
    EACH(i, in) { fnr_cu_cut_signal(a, i); }
    EACH(i, pixels * (size_t)a->out_channels) { fnr_cu_cut_target(a, i); }
    EACH(i, a->blurs ? in : 0) { fnr_cu_cut_blur_rows(a, i); }
    EACH(i, a->blurs ? in : 0) { fnr_cu_cut_blur_columns(a, i); }
    DONE;
}
