/* The kernels' launchers on the processor: the same functions of one element or one thread, called in loops.  What is not checked
 * this way is the grid, and the sums over a block. */
#include <math.h>
#include <stdbool.h>

#include "net/cuda/body_edge.h"
#include "net/cuda/body_feed.h"
#include "net/cuda/body_plain.h"
#include "tests/cuda/emulated.h"

#define EACH(i, count) for (size_t i = 0; i < (count); i++)
/* A launcher queues what do_NAME does to a copy of its operands. */
#define LAUNCHER(name, type)                                                                                                                \
    static void do_##name(const void *operands);                                                                                            \
    cudaError_t fnr_cu_launch_##name(const type *a, cudaStream_t s)                                                                          \
    {                                                                                                                                       \
        return emulated_launch(s, do_##name, a, sizeof *a);                                                                                   \
    }                                                                                                                                       \
    static void do_##name(const void *operands)

LAUNCHER(gather, fnr_cu_gather)
{
    const fnr_cu_gather *a = operands;
    const size_t groups = (size_t)(a->channels / a->group);
    EACH(i, a->rows * groups) { fnr_cu_gather_at(a, i / groups, (int)(i % groups) * a->group, a->group); }
}

LAUNCHER(planes, fnr_cu_planes)
{
    const fnr_cu_planes *a = operands;
    EACH(i, a->samples * (size_t)a->channels * a->pixels) { fnr_cu_planes_at(a, i); }
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

LAUNCHER(norm_stats, fnr_cu_norm)
{
    const fnr_cu_norm *a = operands;
    norm_sums(a, false);
}

LAUNCHER(norm_back_stats, fnr_cu_norm)
{
    const fnr_cu_norm *a = operands;
    norm_sums(a, true);
}

LAUNCHER(norm_combine, fnr_cu_norm)
{
    const fnr_cu_norm *a = operands;
    EACH(c, (size_t)a->channels) { fnr_cu_norm_combine(a, (int)c); }
}

LAUNCHER(norm_back_combine, fnr_cu_norm)
{
    const fnr_cu_norm *a = operands;
    EACH(c, (size_t)a->channels) { fnr_cu_norm_back_combine(a, (int)c); }
}

LAUNCHER(norm_running, fnr_cu_norm)
{
    const fnr_cu_norm *a = operands;
    EACH(c, (size_t)a->channels) { fnr_cu_norm_running(a, (int)c); }
}

LAUNCHER(norm_apply, fnr_cu_norm)
{
    const fnr_cu_norm *a = operands;
    const size_t groups = (size_t)a->cut.groups;
    EACH(i, a->cut.rows * groups) { fnr_cu_norm_apply(a, i / groups, (int)(i % groups) * a->cut.group, a->x.type, a->cut.group); }
}

LAUNCHER(norm_back_apply, fnr_cu_norm)
{
    const fnr_cu_norm *a = operands;
    const size_t groups = (size_t)a->cut.groups;
    EACH(i, a->cut.rows * groups) { fnr_cu_norm_back_apply(a, i / groups, (int)(i % groups) * a->cut.group, a->x.type, a->cut.group); }
}

LAUNCHER(expand, fnr_cu_edge)
{
    const fnr_cu_edge *a = operands;
    const size_t groups = (size_t)a->cut.groups;
    EACH(i, a->cut.rows * groups) { fnr_cu_expand(a, i / groups, (int)(i % groups) * a->cut.group, a->wide.type, a->cut.group); }
}

LAUNCHER(shrink, fnr_cu_edge)
{
    const fnr_cu_edge *a = operands;
    EACH(row, a->cut.rows) { fnr_cu_shrink(a, row, a->wide.type, a->cut.group); }
}

LAUNCHER(correlate, fnr_cu_edge)
{
    const fnr_cu_edge *a = operands;
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
}

LAUNCHER(direct_forward, fnr_cu_direct)
{
    const fnr_cu_direct *a = operands;
    EACH(i, (size_t)a->n * (size_t)a->coarse_d * (size_t)a->coarse_h * (size_t)a->coarse_w * (size_t)a->coarse_c) { fnr_cu_direct_forward(a, i); }
}

LAUNCHER(direct_data, fnr_cu_direct)
{
    const fnr_cu_direct *a = operands;
    EACH(i, (size_t)a->n * (size_t)a->fine_d * (size_t)a->fine_h * (size_t)a->fine_w * (size_t)a->fine_c) { fnr_cu_direct_data(a, i); }
}

LAUNCHER(direct_filter, fnr_cu_direct)
{
    const fnr_cu_direct *a = operands;
    const size_t taps = (size_t)a->kernel[0] * (size_t)a->kernel[1] * (size_t)a->kernel[2];
    EACH(i, (size_t)a->coarse_c * taps * (size_t)a->fine_c) { fnr_cu_direct_filter(a, i); }
}

typedef struct {
    fnr_cu_slice x;
    const float *bias;
    size_t rows;
    int channels, relu;
    float *to;
} columns;

static void do_bias(const void *operands)
{
    const columns *a = operands;
    const size_t channels = (size_t)a->channels;
    EACH(i, a->rows * channels) { fnr_cu_bias_at(&a->x, a->bias, a->relu, i / channels, (int)(i % channels)); }
}

cudaError_t fnr_cu_launch_bias(const fnr_cu_slice *x, const float *bias, size_t rows, int channels, int relu, cudaStream_t s)
{
    const columns a = {.x = *x, .bias = bias, .rows = rows, .channels = channels, .relu = relu};
    return emulated_launch(s, do_bias, &a, sizeof a);
}

static void do_column_sums(const void *operands)
{
    const columns *a = operands;
    EACH(c, (size_t)a->channels) {
        double sum = 0;
        EACH(r, a->rows) { sum += (double)fnr_cu_get(a->x.data, a->x.type, r * a->x.stride + c); }
        a->to[c] = (float)sum;
    }
}

cudaError_t fnr_cu_launch_column_sums(const fnr_cu_slice *x, size_t rows, int channels, float *to, cudaStream_t s)
{
    const columns a = {.x = *x, .rows = rows, .channels = channels, .to = to};
    return emulated_launch(s, do_column_sums, &a, sizeof a);
}

LAUNCHER(fold, fnr_cu_fold)
{
    const fnr_cu_fold *a = operands;
    EACH(i, a->count) { fnr_cu_fold_weight(a, i); }
    EACH(c, (size_t)a->channels) { fnr_cu_fold_bias(a, (int)c); }
}

LAUNCHER(adam, fnr_cu_adam)
{
    const fnr_cu_adam *a = operands;
    EACH(i, *a->broken ? 0 : a->count) { fnr_cu_adam_at(a, i); }
}

typedef struct {
    const float *values;
    uint16_t *low;
    size_t count;
} lowering;

static void do_lower(const void *operands)
{
    const lowering *a = operands;
    EACH(i, a->count) { a->low[i] = fnr_cu_to_bf16(a->values[i]); }
}

cudaError_t fnr_cu_launch_lower(const float *values, uint16_t *low, size_t count, cudaStream_t s)
{
    const lowering a = {values, low, count};
    return emulated_launch(s, do_lower, &a, sizeof a);
}

typedef struct {
    const double *loss;
    int *broken;
} loss_check;

static void do_check_loss(const void *operands)
{
    const loss_check *a = operands;
    if (!isfinite(*a->loss)) {
        *a->broken = 1;
    }
}

cudaError_t fnr_cu_launch_check_loss(const double *loss, int *broken, cudaStream_t s)
{
    const loss_check a = {loss, broken};
    return emulated_launch(s, do_check_loss, &a, sizeof a);
}

LAUNCHER(mse, fnr_cu_mse)
{
    const fnr_cu_mse *a = operands;
    double sum = 0;
    EACH(i, a->samples * (size_t)a->channels * a->pixels) { sum += fnr_cu_mse_at(a, i); }
    *a->loss = sum * a->inverse_count;
    do_check_loss(&(loss_check){a->loss, a->broken});
}

LAUNCHER(cutter, fnr_cu_cutter)
{
    const fnr_cu_cutter *a = operands;
    const size_t pixels = (size_t)a->n * (size_t)a->d * (size_t)a->h * (size_t)a->w, in = pixels * (size_t)a->in_channels;
    EACH(i, in) { fnr_cu_cut_signal(a, i); }
    EACH(i, pixels * (size_t)a->out_channels) { fnr_cu_cut_target(a, i); }
    EACH(i, a->blurs ? in : 0) { fnr_cu_cut_blur_rows(a, i); }
    EACH(i, a->blurs ? in : 0) { fnr_cu_cut_blur_columns(a, i); }
}
