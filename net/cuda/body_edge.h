/* The first and the last convolution: what one thread does. */
#ifndef FNR_NET_CUDA_BODY_EDGE_H
#define FNR_NET_CUDA_BODY_EDGE_H

#include "net/cuda/body_norm.h"

typedef struct {
    int z, y, x; /* of a row in its sample */
    size_t row;
} fnr_cu_pixel;

static FNR_HD fnr_cu_pixel fnr_cu_pixel_of(const fnr_cu_edge *a, size_t row)
{
    fnr_cu_pixel p;
    p.row = row;
    p.x = (int)(row % (size_t)a->w);
    p.y = (int)(row / (size_t)a->w % (size_t)a->h);
    p.z = (int)(row / ((size_t)a->w * (size_t)a->h) % (size_t)a->d);
    return p;
}

/* Row of the neighbour at tap t, or -1 outside the image. */
static FNR_HD ptrdiff_t fnr_cu_neighbour(const fnr_cu_edge *a, const fnr_cu_pixel *p, int t)
{
    const int dx = a->sign * (t % 3 - 1), dy = a->sign * (t / 3 % 3 - 1), dz = a->taps == 27 ? a->sign * (t / 9 - 1) : 0;
    const int x = p->x + dx, y = p->y + dy, z = p->z + dz;
    if (x < 0 || x >= a->w || y < 0 || y >= a->h || z < 0 || z >= a->d) {
        return -1;
    }
    return (ptrdiff_t)p->row + ((ptrdiff_t)dz * a->h + dy) * a->w + dx;
}

static FNR_HD float fnr_cu_edge_weight(const fnr_cu_edge *a, int c, int t)
{
    return a->weight[(size_t)c * (size_t)a->weight_c + (size_t)t * (size_t)a->weight_t];
}

/* wide[row][c .. c+v) from the thin channel. */
static FNR_HD void fnr_cu_expand(const fnr_cu_edge *a, size_t row, int c, int type, int v)
{
    const fnr_cu_pixel p = fnr_cu_pixel_of(a, row);
    float sum[FNR_CU_GROUP];
    for (int k = 0; k < v; k++) {
        sum[k] = a->bias ? a->bias[c + k] : 0.0f;
    }
    for (int t = 0; t < a->taps; t++) {
        const ptrdiff_t at = fnr_cu_neighbour(a, &p, t);
        if (at >= 0) {
            const float value = a->thin[at];
            for (int k = 0; k < v; k++) {
                sum[k] += value * fnr_cu_edge_weight(a, c + k, t);
            }
        }
    }
    for (int k = 0; k < v; k++) {
        sum[k] = a->relu && sum[k] <= 0 ? 0.0f : sum[k];
    }
    fnr_cu_put_group(a->wide.data, type, v, row * a->wide.stride + (size_t)c, sum);
}

/* thin[row] from all wide channels. */
static FNR_HD void fnr_cu_shrink(const fnr_cu_edge *a, size_t row, int type, int v)
{
    const fnr_cu_pixel p = fnr_cu_pixel_of(a, row);
    float sum = a->bias ? a->bias[0] : 0.0f, x[FNR_CU_GROUP];
    for (int t = 0; t < a->taps; t++) {
        const ptrdiff_t at = fnr_cu_neighbour(a, &p, t);
        for (int c = 0; at >= 0 && c < a->channels; c += v) {
            fnr_cu_get_group(a->wide.data, type, v, (size_t)at * a->wide.stride + (size_t)c, x);
            for (int k = 0; k < v; k++) {
                sum += x[k] * fnr_cu_edge_weight(a, c + k, t);
            }
        }
    }
    a->thin[row] = a->relu && sum <= 0 ? 0.0f : sum;
}

/* sums[t] += wide[r][c] * thin[r + tap t] over the lane's rows. taps: a->taps, as a constant where the compiler can use it. */
static FNR_HD void fnr_cu_correlate(const fnr_cu_edge *a, int part, int lane, int c, int type, int taps, float *sums)
{
    const size_t end = fnr_cu_part_end(&a->cut, part);
    for (size_t r = (size_t)part * a->cut.rows_per_part + (size_t)lane; r < end; r += (size_t)a->cut.lanes) {
        const fnr_cu_pixel p = fnr_cu_pixel_of(a, r);
        const float x = fnr_cu_get(a->wide.data, type, r * a->wide.stride + (size_t)c);
#ifdef __CUDA_ARCH__
#pragma unroll
#endif
        for (int t = 0; t < taps; t++) {
            const ptrdiff_t at = fnr_cu_neighbour(a, &p, t);
            sums[t] += at >= 0 ? x * a->thin[at] : 0.0f;
        }
    }
}

#endif
