/* Everything else that goes element by element: copies, the slow convolution, loss, Adam, weights for inference. */
#ifndef FNR_NET_CUDA_BODY_PLAIN_H
#define FNR_NET_CUDA_BODY_PLAIN_H

#include "net/cuda/body_norm.h"

static FNR_HD void fnr_cu_gather_at(const fnr_cu_gather *a, size_t r, int c, int v)
{
    float sum[FNR_CU_GROUP], more[FNR_CU_GROUP];
    fnr_cu_get_group(a->from[0].data, a->from[0].type, v, r * a->from[0].stride + (size_t)c, sum);
    for (int i = 1; i < a->count; i++) {
        fnr_cu_get_group(a->from[i].data, a->from[i].type, v, r * a->from[i].stride + (size_t)c, more);
        for (int k = 0; k < v; k++) {
            sum[k] += more[k];
        }
    }
    fnr_cu_put_group(a->to.data, a->to.type, v, r * a->to.stride + (size_t)c, sum);
}

/* Element i of the planes. */
static FNR_HD void fnr_cu_planes_at(const fnr_cu_planes *a, size_t i)
{
    const size_t pixel = i % a->pixels, c = i / a->pixels % (size_t)a->channels, n = i / a->pixels / (size_t)a->channels;
    const size_t at = (n * a->pixels + pixel) * a->rows.stride + c;
    if (a->to_planes) {
        a->planes[i] = fnr_cu_get(a->rows.data, a->rows.type, at);
    } else {
        fnr_cu_put(a->rows.data, a->rows.type, at, a->planes[i]);
    }
}

static FNR_HD void fnr_cu_bias_at(const fnr_cu_slice *x, const float *bias, int relu, size_t r, int c)
{
    const size_t at = r * x->stride + (size_t)c;
    const float y = fnr_cu_get(x->data, x->type, at) + bias[c];
    fnr_cu_put(x->data, x->type, at, relu && y <= 0 ? 0.0f : y);
}

/* ---- convolution by plain loops --------------------------------------------------------------------------------------------- */

static FNR_HD size_t fnr_cu_fine_row(const fnr_cu_direct *a, int n, int z, int y, int x)
{
    return (((size_t)n * (size_t)a->fine_d + (size_t)z) * (size_t)a->fine_h + (size_t)y) * (size_t)a->fine_w + (size_t)x;
}

static FNR_HD size_t fnr_cu_coarse_row(const fnr_cu_direct *a, int n, int z, int y, int x)
{
    return (((size_t)n * (size_t)a->coarse_d + (size_t)z) * (size_t)a->coarse_h + (size_t)y) * (size_t)a->coarse_w + (size_t)x;
}

static FNR_HD size_t fnr_cu_tap(const fnr_cu_direct *a, int coarse_c, int kz, int ky, int kx)
{
    return ((((size_t)coarse_c * (size_t)a->kernel[0] + (size_t)kz) * (size_t)a->kernel[1] + (size_t)ky) * (size_t)a->kernel[2] + (size_t)kx) *
           (size_t)a->fine_c;
}

static FNR_HD float fnr_cu_finish_direct(const fnr_cu_direct *a, int channel, float sum)
{
    const float y = sum + (a->bias ? a->bias[channel] : 0.0f);
    return a->relu && y <= 0 ? 0.0f : y;
}

/* Element i of the coarse tensor. */
static FNR_HD void fnr_cu_direct_forward(const fnr_cu_direct *a, size_t i)
{
    const int c = (int)(i % (size_t)a->coarse_c);
    size_t row = i / (size_t)a->coarse_c;
    const int x = (int)(row % (size_t)a->coarse_w), y = (int)((row /= (size_t)a->coarse_w) % (size_t)a->coarse_h);
    const int z = (int)((row /= (size_t)a->coarse_h) % (size_t)a->coarse_d), n = (int)(row / (size_t)a->coarse_d);
    float sum = 0;
    for (int kz = 0; kz < a->kernel[0]; kz++) {
        const int fz = z * a->stride[0] - a->pad[0] + kz;
        for (int ky = 0; fz >= 0 && fz < a->fine_d && ky < a->kernel[1]; ky++) {
            const int fy = y * a->stride[1] - a->pad[1] + ky;
            for (int kx = 0; fy >= 0 && fy < a->fine_h && kx < a->kernel[2]; kx++) {
                const int fx = x * a->stride[2] - a->pad[2] + kx;
                if (fx < 0 || fx >= a->fine_w) {
                    continue;
                }
                const size_t from = fnr_cu_fine_row(a, n, fz, fy, fx) * (size_t)a->fine_c, tap = fnr_cu_tap(a, c, kz, ky, kx);
                for (size_t b = 0; b < (size_t)a->fine_c; b++) {
                    sum += fnr_cu_get(a->weight, a->io, tap + b) * fnr_cu_get(a->fine, a->io, from + b);
                }
            }
        }
    }
    fnr_cu_put(a->coarse, a->result, i, fnr_cu_finish_direct(a, c, sum));
}

/* The coarse index that sees fine index i through tap k of an axis, or -1. */
static FNR_HD int fnr_cu_coarse_index(const fnr_cu_direct *a, int axis, int i, int k, int extent)
{
    const int scaled = i + a->pad[axis] - k;
    return scaled >= 0 && scaled % a->stride[axis] == 0 && scaled / a->stride[axis] < extent ? scaled / a->stride[axis] : -1;
}

/* Element i of the fine tensor. */
static FNR_HD void fnr_cu_direct_data(const fnr_cu_direct *a, size_t i)
{
    const int b = (int)(i % (size_t)a->fine_c);
    size_t row = i / (size_t)a->fine_c;
    const int x = (int)(row % (size_t)a->fine_w), y = (int)((row /= (size_t)a->fine_w) % (size_t)a->fine_h);
    const int z = (int)((row /= (size_t)a->fine_h) % (size_t)a->fine_d), n = (int)(row / (size_t)a->fine_d);
    float sum = 0;
    for (int kz = 0; kz < a->kernel[0]; kz++) {
        const int cz = fnr_cu_coarse_index(a, 0, z, kz, a->coarse_d);
        for (int ky = 0; cz >= 0 && ky < a->kernel[1]; ky++) {
            const int cy = fnr_cu_coarse_index(a, 1, y, ky, a->coarse_h);
            for (int kx = 0; cy >= 0 && kx < a->kernel[2]; kx++) {
                const int cx = fnr_cu_coarse_index(a, 2, x, kx, a->coarse_w);
                const size_t from = cx < 0 ? 0 : fnr_cu_coarse_row(a, n, cz, cy, cx) * (size_t)a->coarse_c;
                for (int c = 0; cx >= 0 && c < a->coarse_c; c++) {
                    sum += fnr_cu_get(a->weight, a->io, fnr_cu_tap(a, c, kz, ky, kx) + (size_t)b) * fnr_cu_get(a->coarse, a->io, from + (size_t)c);
                }
            }
        }
    }
    fnr_cu_put(a->fine, a->result, i, fnr_cu_finish_direct(a, b, sum));
}

/* Element i of the weights' gradient. */
static FNR_HD void fnr_cu_direct_filter(const fnr_cu_direct *a, size_t i)
{
    size_t rest = i / (size_t)a->fine_c;
    const size_t b = i % (size_t)a->fine_c;
    const int kx = (int)(rest % (size_t)a->kernel[2]), ky = (int)((rest /= (size_t)a->kernel[2]) % (size_t)a->kernel[1]);
    const int kz = (int)((rest /= (size_t)a->kernel[1]) % (size_t)a->kernel[0]);
    const size_t c = rest / (size_t)a->kernel[0];
    double sum = 0;
    for (int n = 0; n < a->n; n++) {
        for (int z = 0; z < a->coarse_d; z++) {
            const int fz = z * a->stride[0] - a->pad[0] + kz;
            for (int y = 0; fz >= 0 && fz < a->fine_d && y < a->coarse_h; y++) {
                const int fy = y * a->stride[1] - a->pad[1] + ky;
                for (int x = 0; fy >= 0 && fy < a->fine_h && x < a->coarse_w; x++) {
                    const int fx = x * a->stride[2] - a->pad[2] + kx;
                    if (fx >= 0 && fx < a->fine_w) {
                        sum += (double)fnr_cu_get(a->coarse, a->io, fnr_cu_coarse_row(a, n, z, y, x) * (size_t)a->coarse_c + c) *
                               (double)fnr_cu_get(a->fine, a->io, fnr_cu_fine_row(a, n, fz, fy, fx) * (size_t)a->fine_c + b);
                    }
                }
            }
        }
    }
    fnr_cu_put(a->weight, a->result, i, (float)sum);
}

/* ---- parameters ------------------------------------------------------------------------------------------------------------- */

static FNR_HD double fnr_cu_fold_scale(const fnr_cu_fold *a, int channel)
{
    return a->gamma ? (double)a->gamma[channel] / sqrt((double)a->variance[channel] + (double)a->eps) : 1;
}

static FNR_HD void fnr_cu_fold_weight(const fnr_cu_fold *a, size_t i)
{
    const int channel = (int)(i / a->divide % (size_t)a->channels);
    fnr_cu_put(a->to, a->type, i, (float)((double)a->weight[i] * fnr_cu_fold_scale(a, channel)));
}

static FNR_HD void fnr_cu_fold_bias(const fnr_cu_fold *a, int c)
{
    const double bias = a->bias ? (double)a->bias[c] : 0;
    a->to_bias[c] = (float)(a->gamma ? (bias - (double)a->mean[c]) * fnr_cu_fold_scale(a, c) + (double)a->beta[c] : bias);
}

/* Kingma & Ba 2015, algorithm 1, with eps outside the bias correction of the root, as torch.optim.Adam has it. */
static FNR_HD void fnr_cu_adam_at(const fnr_cu_adam *a, size_t i)
{
    const fnr_cu_step_numbers *s = a->numbers;
    const double g = (double)a->grads[i];
    const double m = s->beta1 * (double)a->moment1[i] + (1 - s->beta1) * g;
    const double v = s->beta2 * (double)a->moment2[i] + (1 - s->beta2) * g * g;
    a->moment1[i] = (float)m;
    a->moment2[i] = (float)v;
    a->values[i] = (float)((double)a->values[i] - s->step_size * m / (sqrt(v) * s->root_scale + s->eps));
    if (a->low) {
        a->low[i] = fnr_cu_to_bf16(a->values[i]);
    }
}

/* Squared difference of element i (channels-last); its gradient into dy. */
static FNR_HD double fnr_cu_mse_at(const fnr_cu_mse *a, size_t i)
{
    const size_t c = i % (size_t)a->channels, row = i / (size_t)a->channels, n = row / a->pixels, pixel = row % a->pixels;
    const double y = (double)fnr_cu_get(a->y.data, a->y.type, row * a->y.stride + c);
    const double difference = y - (double)a->target[(n * (size_t)a->channels + c) * a->pixels + pixel];
    fnr_cu_put(a->dy.data, a->dy.type, row * a->dy.stride + c, (float)(2 * difference * a->inverse_count));
    return difference * difference;
}

#endif
