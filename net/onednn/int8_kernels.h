/* The innermost loops of int8 inference, one table per instruction set (int8_body.h is compiled once for each).
 *
 * Activations are unsigned bytes, channels innermost (NHWC), channels rounded up to CHUNK; products of unsigned by signed bytes
 * are summed exactly in 32 bits, so that every instruction set, order and thread count gives the same sums. */
#ifndef FNR_NET_ONEDNN_INT8_KERNELS_H
#define FNR_NET_ONEDNN_INT8_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define FNR_I8_CHUNK 16 /* channels are counted in these */
#define FNR_I8_ROWS 48  /* most rows of a product; every kernel's group of rows divides it */
#define FNR_I8_POSITIONS 16 /* of the Winograd transform: 4 x 4 */
#define FNR_I8_CENTRE 5     /* the position (1, 1): a sum of unsigned numbers; all others are differences */
#define FNR_I8_OFFSET 128   /* added to differences, so that they are unsigned as well */

/* c = init + a b: rows of bytes times packed weights. */
typedef struct {
    const uint8_t *a;
    size_t a_row;               /* bytes between rows */
    int segments, segment_bytes; /* a row's numbers lie in so many pieces, multiples of CHUNK long, ... */
    size_t a_segment;           /* ... this many bytes apart */
    const int8_t *b;            /* [row's numbers / 4][vectors][16 outputs][4] */
    int vectors;                /* of 16 outputs: 1, 2 or 4 */
    const int32_t *init;        /* [16 vectors] */
    int32_t *c;
    size_t c_row; /* numbers between rows */
} fnr_i8_product;

/* byte = round(alpha * sum + beta), within 0..255; per channel. */
typedef struct {
    const float *alpha, *beta;
} fnr_i8_requant;

typedef struct {
    const char *name;

    /* `rows` <= FNR_I8_ROWS; up to the next multiple of the kernel's group is read and written. */
    void (*product)(const fnr_i8_product *p, int rows);

    /* Winograd F(2x2, 3x3): the 4x4 patches of `tiles` neighbours, the first one's corner at src, 2 pixels apart.  v = B^T d B / 4,
     * rounded, plus OFFSET but in the centre: exact but for that rounding. */
    void (*transform_in)(const uint8_t *src, size_t src_row, size_t src_pixel, int tiles, int channels, uint8_t *v, size_t v_tile,
                         size_t v_position);
    /* 2x2 bytes per tile from A^T m A. */
    void (*transform_out)(const int32_t *m, size_t m_tile, size_t m_position, int tiles, int vectors, const fnr_i8_requant *q,
                          uint8_t *dst, size_t dst_row, size_t dst_pixel);
    /* Bytes from the sums of `rows` pixels. */
    void (*requant)(const int32_t *c, size_t c_row, int rows, int vectors, const fnr_i8_requant *q, uint8_t *dst, size_t dst_pixel);

    /* Bytes from a channel block of floats (fnr_dn_kernels): `pixels` times `block` numbers. */
    void (*from_floats)(const float *block, size_t pixels, uint8_t *dst, size_t dst_pixel);
} fnr_i8_kernels;

/* VNNI; AVX2 (also for AVX-512 without VNNI). */
extern const fnr_i8_kernels fnr_i8_kernels_vnni, fnr_i8_kernels_avx2;

#endif
