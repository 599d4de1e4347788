/* Batch norm: what one thread does.  Sums are taken of differences from the first row, so that a large mean costs no digits. */
#ifndef FNR_NET_CUDA_BODY_NORM_H
#define FNR_NET_CUDA_BODY_NORM_H

#include <math.h>

#include "net/cuda/kernels.h"

/* First and last row of the lane's part; the lane takes every `lanes`-th. */
static FNR_HD size_t fnr_cu_part_end(const fnr_cu_cut *cut, int part)
{
    const size_t end = ((size_t)part + 1) * cut->rows_per_part;
    return end < cut->rows ? end : cut->rows;
}

/* sums[k] += d, sums[v + k] += d * d, d = x - pivot, over the lane's rows; channel of k is c + k. */
static FNR_HD void fnr_cu_norm_sum(const fnr_cu_norm *a, int part, int lane, int c, int type, int v, float *sums)
{
    float pivot[FNR_CU_GROUP], x[FNR_CU_GROUP];
    fnr_cu_get_group(a->x.data, type, v, (size_t)c, pivot);
    const size_t end = fnr_cu_part_end(&a->cut, part);
    for (size_t r = (size_t)part * a->cut.rows_per_part + (size_t)lane; r < end; r += (size_t)a->cut.lanes) {
        fnr_cu_get_group(a->x.data, type, v, r * a->x.stride + (size_t)c, x);
        for (int k = 0; k < v; k++) {
            const float d = x[k] - pivot[k];
            sums[k] += d;
            sums[v + k] += d * d;
        }
    }
}

/* This rank's mean and sum of squared deviations of channel c. */
static FNR_HD void fnr_cu_norm_slot(const fnr_cu_norm *a, int c, double sum, double squares)
{
    double *slot = a->slots + (size_t)a->rank * 2 * (size_t)a->channels + 2 * (size_t)c;
    const double n = (double)a->cut.rows;
    slot[0] = (double)fnr_cu_get(a->x.data, a->x.type, (size_t)c) + sum / n;
    slot[1] = squares - sum * sum / n;
}

static FNR_HD void fnr_cu_norm_combine(const fnr_cu_norm *a, int c)
{
    const double n = (double)a->cut.rows, total = n * a->ranks, momentum = (double)a->momentum;
    double mean = 0, squares = 0;
    for (int r = 0; r < a->ranks; r++) {
        mean += a->slots[((size_t)r * (size_t)a->channels + (size_t)c) * 2] / a->ranks;
    }
    for (int r = 0; r < a->ranks; r++) {
        const double *slot = a->slots + ((size_t)r * (size_t)a->channels + (size_t)c) * 2;
        squares += slot[1] + n * (slot[0] - mean) * (slot[0] - mean);
    }
    squares = squares < 0 ? 0 : squares; /* by rounding; NaN passes */
    const double inv_sd = 1 / sqrt(squares / total + (double)a->eps), seen = mean + (a->bias ? (double)a->bias[c] : 0);
    a->mean[c] = (float)mean;
    a->inv_sd[c] = (float)inv_sd;
    a->scale[c] = (float)((double)a->gamma[c] * inv_sd);
    a->running_mean[c] = (float)((1 - momentum) * (double)a->running_mean[c] + momentum * seen);
    a->running_var[c] = (float)((1 - momentum) * (double)a->running_var[c] + momentum * squares / (total - 1));
}

static FNR_HD void fnr_cu_norm_running(const fnr_cu_norm *a, int c)
{
    a->mean[c] = a->running_mean[c];
    a->inv_sd[c] = (float)(1 / sqrt((double)a->running_var[c] + (double)a->eps));
    a->scale[c] = (float)((double)a->gamma[c] / sqrt((double)a->running_var[c] + (double)a->eps));
}

static FNR_HD float fnr_cu_norm_value(const fnr_cu_norm *a, int c, float x)
{
    return (x - a->mean[c]) * a->scale[c] + a->beta[c];
}

/* Group of v channels of row r. */
static FNR_HD void fnr_cu_norm_apply(const fnr_cu_norm *a, size_t r, int c, int type, int v)
{
    float x[FNR_CU_GROUP];
    fnr_cu_get_group(a->x.data, type, v, r * a->x.stride + (size_t)c, x);
    for (int k = 0; k < v; k++) {
        const float y = fnr_cu_norm_value(a, c + k, x[k]);
        x[k] = a->relu && y <= 0 ? 0.0f : y; /* NaN passes */
    }
    fnr_cu_put_group(a->y[0].data, type, v, r * a->y[0].stride + (size_t)c, x);
    if (a->y[1].data) {
        fnr_cu_put_group(a->y[1].data, type, v, r * a->y[1].stride + (size_t)c, x);
    }
}

/* x and the gradient behind the ReLU's mask of a group. */
static FNR_HD void fnr_cu_norm_gradient(const fnr_cu_norm *a, size_t r, int c, int type, int v, float *x, float *g)
{
    fnr_cu_get_group(a->x.data, type, v, r * a->x.stride + (size_t)c, x);
    fnr_cu_get_group(a->dy[0].data, type, v, r * a->dy[0].stride + (size_t)c, g);
    if (a->dy[1].data) {
        float more[FNR_CU_GROUP];
        fnr_cu_get_group(a->dy[1].data, type, v, r * a->dy[1].stride + (size_t)c, more);
        for (int k = 0; k < v; k++) {
            g[k] += more[k];
        }
    }
    for (int k = 0; k < v; k++) {
        g[k] = a->relu && !(fnr_cu_norm_value(a, c + k, x[k]) > 0) ? 0.0f : g[k];
    }
}

/* sums[k] += g, sums[v + k] += g * xhat. */
static FNR_HD void fnr_cu_norm_back_sum(const fnr_cu_norm *a, int part, int lane, int c, int type, int v, float *sums)
{
    float x[FNR_CU_GROUP], g[FNR_CU_GROUP];
    const size_t end = fnr_cu_part_end(&a->cut, part);
    for (size_t r = (size_t)part * a->cut.rows_per_part + (size_t)lane; r < end; r += (size_t)a->cut.lanes) {
        fnr_cu_norm_gradient(a, r, c, type, v, x, g);
        for (int k = 0; k < v; k++) {
            sums[k] += g[k];
            sums[v + k] += g[k] * ((x[k] - a->mean[c + k]) * a->inv_sd[c + k]);
        }
    }
}

static FNR_HD void fnr_cu_norm_back_slot(const fnr_cu_norm *a, int c, double sum_g, double sum_gx)
{
    double *slot = a->slots + (size_t)a->rank * 2 * (size_t)a->channels + 2 * (size_t)c;
    slot[0] = sum_g;
    slot[1] = sum_gx;
    a->dbeta[c] = (float)sum_g;
    a->dgamma[c] = (float)sum_gx;
}

static FNR_HD void fnr_cu_norm_back_combine(const fnr_cu_norm *a, int c)
{
    const double total = (double)a->cut.rows * a->ranks;
    double g = 0, gx = 0;
    for (int r = 0; r < a->ranks; r++) {
        const double *slot = a->slots + ((size_t)r * (size_t)a->channels + (size_t)c) * 2;
        g += slot[0];
        gx += slot[1];
    }
    a->mean_g[c] = (float)(g / total);
    a->mean_gx[c] = (float)(gx / total);
}

static FNR_HD void fnr_cu_norm_back_apply(const fnr_cu_norm *a, size_t r, int c, int type, int v)
{
    float x[FNR_CU_GROUP], g[FNR_CU_GROUP];
    fnr_cu_norm_gradient(a, r, c, type, v, x, g);
    for (int k = 0; k < v; k++) {
        const float xhat = (x[k] - a->mean[c + k]) * a->inv_sd[c + k];
        x[k] = a->scale[c + k] * (g[k] - a->mean_g[c + k] - xhat * a->mean_gx[c + k]);
    }
    fnr_cu_put_group(a->dx.data, type, v, r * a->dx.stride + (size_t)c, x);
}

#endif
