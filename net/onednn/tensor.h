/* Tensors inside a program: channel blocks, and zero-bordered planes. */
#ifndef FNR_NET_ONEDNN_TENSOR_H
#define FNR_NET_ONEDNN_TENSOR_H

#include <stddef.h>
#include "net/onednn/kernels.h"
#include "net/shape.h"

/* Size of a blocked tensor. */
typedef struct {
    int n, channels, blocks; /* channels: true number; the rest of the last block is zero */
    size_t pixels;           /* d * h * w */
} fnr_dn_extent;

/* Where it lies: blocks of a sample follow each other; samples are sample_stride floats apart (a part of a concatenated tensor
 * has the stride of the whole). */
typedef struct {
    float *data; /* NULL: there is none */
    size_t sample_stride;
} fnr_dn_tensor;

static inline float *fnr_dn_block_at(fnr_dn_tensor t, const fnr_dn_extent *e, int block, int sample, int b)
{
    return t.data ? t.data + (size_t)sample * t.sample_stride + (size_t)b * e->pixels * (size_t)block : NULL;
}

/* A few channels as plain planes with a border of one zero pixel (rows, columns and, in 3D, planes), so that 3x3 kernels need not
 * look where the image ends. */
typedef struct {
    float *data;
    fnr_shape shape; /* without border */
} fnr_dn_planes;

size_t fnr_dn_planes_floats(const fnr_shape *s);
/* Row y - 1 + dy of plane z - 1 + dz (3D), from the border pixel on its left: kernel taps (dz, dy) in 0..2. */
float *fnr_dn_planes_row(const fnr_dn_planes *p, int n, int c, int z, int y);
void fnr_dn_planes_from_dense(const fnr_dn_planes *p, const float *dense);

/* Dense (n, c, pixels) <-> blocked. */
void fnr_dn_block(int block, const fnr_dn_extent *e, const float *dense, fnr_dn_tensor t);
void fnr_dn_unblock(int block, const fnr_dn_extent *e, fnr_dn_tensor t, float *dense);
/* Channels [first, first + src channels) of dst = src, for counts that do not fill blocks; and back. */
void fnr_dn_channels_put(int block, const fnr_dn_extent *src_e, fnr_dn_tensor src, const fnr_dn_extent *dst_e, fnr_dn_tensor dst, int first);
void fnr_dn_channels_get(int block, const fnr_dn_extent *src_e, fnr_dn_tensor src, int first, const fnr_dn_extent *dst_e, fnr_dn_tensor dst);

/* out = a + b (b.data NULL: copy), in parallel. */
void fnr_dn_add(const fnr_dn_kernels *k, const fnr_dn_extent *e, fnr_dn_tensor a, fnr_dn_tensor b, fnr_dn_tensor out);

#endif
