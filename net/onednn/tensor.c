#include "net/onednn/tensor.h"

#include <string.h>
#include "src/core/threads.h"

static size_t padded_plane(const fnr_shape *s)
{
    return (size_t)(s->h + 2) * (size_t)(s->w + 2);
}

static size_t padded_depth(const fnr_shape *s)
{
    return (size_t)(s->spatial == 3 ? s->d + 2 : 1);
}

size_t fnr_dn_planes_floats(const fnr_shape *s)
{
    return (size_t)s->n * (size_t)s->c * padded_depth(s) * padded_plane(s);
}

float *fnr_dn_planes_row(const fnr_dn_planes *p, int n, int c, int z, int y)
{
    const fnr_shape *s = &p->shape;
    size_t plane = ((size_t)n * (size_t)s->c + (size_t)c) * padded_depth(s) + (size_t)z;
    return p->data + plane * padded_plane(s) + (size_t)y * (size_t)(s->w + 2);
}

void fnr_dn_planes_from_dense(const fnr_dn_planes *p, const float *dense)
{
    const fnr_shape *s = &p->shape;
    const int dz = s->spatial == 3;
    for (int nc = 0; nc < s->n * s->c; nc++) {
        for (int z = 0; z < s->d; z++) {
            for (int y = 0; y < s->h; y++) {
                memcpy(fnr_dn_planes_row(p, nc / s->c, nc % s->c, z + dz, y + 1) + 1, dense, (size_t)s->w * sizeof *dense);
                dense += s->w;
            }
        }
    }
}

void fnr_dn_block(int block, const fnr_dn_extent *e, const float *dense, fnr_dn_tensor t)
{
    for (int i = 0; i < e->n * e->blocks; i++) {
        const int n = i / e->blocks, first = i % e->blocks * block;
        float *to = fnr_dn_block_at(t, e, block, n, i % e->blocks);
        const float *from = dense + ((size_t)n * (size_t)e->channels + (size_t)first) * e->pixels;
        for (size_t p = 0; p < e->pixels; p++) {
            for (int c = 0; c < block; c++) {
                to[p * (size_t)block + (size_t)c] = first + c < e->channels ? from[(size_t)c * e->pixels + p] : 0.0f;
            }
        }
    }
}

void fnr_dn_unblock(int block, const fnr_dn_extent *e, fnr_dn_tensor t, float *dense)
{
    for (int i = 0; i < e->n * e->channels; i++) {
        const int n = i / e->channels, c = i % e->channels;
        const float *from = fnr_dn_block_at(t, e, block, n, c / block) + c % block;
        float *to = dense + (size_t)i * e->pixels;
        for (size_t p = 0; p < e->pixels; p++) {
            to[p] = from[p * (size_t)block];
        }
    }
}

/* Copies one channel of one sample. */
static void copy_channel(int block, const fnr_dn_extent *from_e, fnr_dn_tensor from, int from_c, const fnr_dn_extent *to_e, fnr_dn_tensor to,
                         int to_c, int n)
{
    const float *a = fnr_dn_block_at(from, from_e, block, n, from_c / block) + from_c % block;
    float *b = fnr_dn_block_at(to, to_e, block, n, to_c / block) + to_c % block;
    for (size_t p = 0; p < from_e->pixels; p++) {
        b[p * (size_t)block] = a[p * (size_t)block];
    }
}

/* Channels beyond the true ones must be zero: arithmetic on whole blocks would spread whatever lay there. */
static void clear_rest(int block, const fnr_dn_extent *e, fnr_dn_tensor t, int n)
{
    float *last = fnr_dn_block_at(t, e, block, n, e->blocks - 1);
    for (int c = e->channels % block; c > 0 && c < block; c++) {
        for (size_t p = 0; p < e->pixels; p++) {
            last[p * (size_t)block + (size_t)c] = 0.0f;
        }
    }
}

void fnr_dn_channels_put(int block, const fnr_dn_extent *src_e, fnr_dn_tensor src, const fnr_dn_extent *dst_e, fnr_dn_tensor dst, int first)
{
    for (int n = 0; n < src_e->n; n++) {
        for (int c = 0; c < src_e->channels; c++) {
            copy_channel(block, src_e, src, c, dst_e, dst, first + c, n);
        }
        clear_rest(block, dst_e, dst, n);
    }
}

void fnr_dn_channels_get(int block, const fnr_dn_extent *src_e, fnr_dn_tensor src, int first, const fnr_dn_extent *dst_e, fnr_dn_tensor dst)
{
    for (int n = 0; n < dst_e->n; n++) {
        for (int c = 0; c < dst_e->channels; c++) {
            copy_channel(block, src_e, src, first + c, dst_e, dst, c, n);
        }
        clear_rest(block, dst_e, dst, n);
    }
}

typedef struct {
    const fnr_dn_kernels *kernels;
    const fnr_dn_extent *extent;
    fnr_dn_tensor a, b, out;
} add_job;

static void add_block(void *ctx, size_t i)
{
    const add_job *j = ctx;
    const int n = (int)i / j->extent->blocks, b = (int)i % j->extent->blocks, block = j->kernels->block;
    j->kernels->add(j->extent->pixels, fnr_dn_block_at(j->a, j->extent, block, n, b), fnr_dn_block_at(j->b, j->extent, block, n, b),
                    fnr_dn_block_at(j->out, j->extent, block, n, b));
}

void fnr_dn_add(const fnr_dn_kernels *k, const fnr_dn_extent *e, fnr_dn_tensor a, fnr_dn_tensor b, fnr_dn_tensor out)
{
    add_job job = {.kernels = k, .extent = e, .a = a, .b = b, .out = out};
    fnr_parallel_for((size_t)(e->n * e->blocks), add_block, &job);
}
