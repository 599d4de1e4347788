/* The innermost loops of int8 inference, one table per instruction set (int8_body.h is compiled once for each).
 *
 * Activations are unsigned bytes, channels innermost (NHWC), channels rounded up to CHUNK.  Products are of 16-bit words: bytes, or
 * what Winograd's transform makes of bytes, times weights so small that no sum leaves 32 bits.  Sums are exact, and what follows them
 * is written as fused multiply-adds in one order: every instruction set and thread count gives the same bytes.
 *
 * Winograd's F(6x6, 3x3) with the interpolation points of the float32 prediction (wino_f6.h), Y = A^T [(G g G^T) * (B^T d B)] A, with
 * the rows of B^T for the points +-2 doubled (and those of G halved): then B^T d B of bytes lies within +-28688, uses the 16 bits
 * evenly, and is rounded to whole numbers. */
#ifndef FNR_NET_ONEDNN_INT8_KERNELS_H
#define FNR_NET_ONEDNN_INT8_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FNR_I8_CHUNK 16 /* channels are counted in these */
#define FNR_I8_ROWS 48  /* most rows of a product; every kernel's group of rows divides half of it */
#define FNR_I8_TILE 6   /* Winograd's: outputs along an axis, ... */
#define FNR_I8_REACH (FNR_I8_TILE + 2) /* ... inputs along an axis, ... */
#define FNR_I8_FREQUENCIES (FNR_I8_REACH * FNR_I8_REACH) /* ... and products */

/* c = a b: rows of words times packed weights. */
typedef struct {
    const int16_t *a;
    size_t a_row; /* words between rows */
    int depth;    /* words in a row, a multiple of CHUNK */
    const int16_t *b; /* [depth / 2][vectors][16 outputs][2] */
    int vectors;      /* of 16 outputs: 1, 2 or 4, not more than the table's `vectors` */
    int32_t *c;
    size_t c_row; /* numbers between rows */
} fnr_i8_product;

/* Two neighbouring words of a row. */
static inline int fnr_i8_pair(const int16_t *a)
{
    int both;
    memcpy(&both, a, sizeof both);
    return both;
}

/* byte = round(alpha * sum + beta), within 0..255; per channel. */
typedef struct {
    const float *alpha, *beta;
} fnr_i8_requant;

typedef struct {
    const char *name;
    int vectors; /* most 16-output vectors of a product */

    /* `rows` <= FNR_I8_ROWS; up to the next multiple of the kernel's group is read and written. */
    void (*product)(const fnr_i8_product *p, int rows);

    /* v = B^T d B, rounded, of the 8x8 patches of `tiles` neighbours, the first one's corner at src, 6 pixels apart. */
    void (*transform_in)(const uint8_t *src, size_t src_row, size_t src_pixel, int tiles, int channels, int16_t *v, size_t v_tile,
                         size_t v_frequency);
    /* 6x6 bytes per tile: beta + A^T (alpha * m) A, where alpha is [frequency][16 vectors]. */
    void (*transform_out)(const int32_t *m, size_t m_tile, size_t m_frequency, int tiles, int vectors, const fnr_i8_requant *q,
                          uint8_t *dst, size_t dst_row, size_t dst_pixel);
    /* Bytes from the sums of `rows` pixels. */
    void (*requant)(const int32_t *c, size_t c_row, int rows, int vectors, const fnr_i8_requant *q, uint8_t *dst, size_t dst_pixel);

    /* Words from bytes; `count` is a multiple of CHUNK. */
    void (*widen)(const uint8_t *src, size_t count, int16_t *dst);
    /* Bytes from a channel block of floats (fnr_dn_kernels): `pixels` times `block` numbers. */
    void (*from_floats)(const float *block, size_t pixels, uint8_t *dst, size_t dst_pixel);
} fnr_i8_kernels;

/* VNNI; AVX2 (also for AVX-512 without VNNI). */
extern const fnr_i8_kernels fnr_i8_kernels_vnni, fnr_i8_kernels_avx2;

#endif
