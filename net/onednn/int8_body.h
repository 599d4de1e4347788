/* not alone: the body of a translation unit, included once per instruction set */
/* The loops behind int8_kernels.h.  The includer has vectors of BLOCK floats (vec_*.h) and defines
 *   store_block(dst, vec)                  BLOCK bytes: rounded, within 0..255
 *   product_group(p, first, rows, vectors) sums of `rows` rows, constants where it is inlined
 *   GROUP(vectors), MOST_VECTORS           rows of a group; most vectors of a product
 *   KERNELS, KERNELS_NAME                  the table to define */

#define UNROLL _Pragma("GCC unroll 16")
#include "net/onednn/wino_f6.h"

typedef int32_t sums __attribute__((vector_size(4 * BLOCK), may_alias));
typedef int16_t words __attribute__((vector_size(32), may_alias)); /* a chunk of channels */

INLINE vec floats_at(const float *p)
{
    return *(const vec *)(const void *)p;
}

INLINE vec sums_at(const int32_t *p)
{
    return __builtin_convertvector(*(const sums *)(const void *)p, vec);
}

/* ---- Winograd: into the transformed domain --------------------------------------------------------------------------------- */

INLINE words chunk_at(const uint8_t *p)
{
    return (words)_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* x * numerator / 2^15, rounded. */
INLINE words scaled(words x, short numerator)
{
    return (words)_mm256_mulhrs_epi16((__m256i)x, _mm256_set1_epi16(numerator));
}

INLINE words half(words x)
{
    return scaled(x, 1 << 14);
}

INLINE words quarter(words x)
{
    return scaled(x, 1 << 13);
}

/* t(p), t(-p) from the even and the odd part. */
INLINE void both_signs(words even, words odd, words *t)
{
    t[0] = even + odd;
    t[1] = even - odd;
}

/* 4 B^T d of bytes: exact, within +-8670. */
INLINE void bytes_1d(const words d[8], words t[8])
{
    t[0] = 21 * (d[2] - d[4]) + 4 * (d[6] - d[0]);
    both_signs(16 * d[2] - 20 * d[4] + 4 * d[6], 8 * d[1] - 10 * d[3] + 2 * d[5], t + 1);
    both_signs(4 * (d[2] + d[6]) - 17 * d[4], 4 * (d[1] + d[5]) - 17 * d[3], t + 3);
    both_signs(2 * d[2] - 10 * d[4] + 8 * d[6], 4 * d[1] - 20 * d[3] + 16 * d[5], t + 5);
    t[7] = 21 * (d[3] - d[5]) + 4 * (d[7] - d[1]);
}

/* B^T t / 4 of such numbers, each part rounded: four times as much would leave 16 bits. */
INLINE void words_1d(const words t[8], words v[8])
{
    const words low = t[2] - t[4], high = t[3] - t[5];
    v[0] = low + scaled(low, 5 << 11) + quarter(t[6] - t[0]); /* 5.25 / 4 = 1 + 5/16 */
    both_signs(low - quarter(t[4] - t[6]), half(t[1] - t[3] - quarter(high)), v + 1);
    both_signs(quarter(t[2] + t[6] - quarter(t[4])) - t[4], quarter(t[1] + t[5] - quarter(t[3])) - t[3], v + 3);
    both_signs(half(t[6] - t[4] + quarter(low)), quarter(t[1] - t[3]) - high, v + 5);
    v[7] = high + scaled(high, 5 << 11) + quarter(t[7] - t[1]);
}

INLINE void patch_in(const uint8_t *src, size_t row, size_t pixel, int16_t *v, size_t v_frequency)
{
    words t[8][8];
    for (int x = 0; x < 8; x++) {
        words d[8];
        UNROLL for (int y = 0; y < 8; y++)
        {
            d[y] = chunk_at(src + (size_t)y * row + (size_t)x * pixel);
        }
        bytes_1d(d, t[x]);
    }
    for (int y = 0; y < 8; y++) {
        words d[8], out[8];
        UNROLL for (int x = 0; x < 8; x++)
        {
            d[x] = t[x][y];
        }
        words_1d(d, out);
        UNROLL for (int x = 0; x < 8; x++)
        {
            _mm256_storeu_si256((__m256i *)(void *)(v + (size_t)(8 * y + x) * v_frequency), (__m256i)out[x]);
        }
    }
}

TARGET static void transform_in(const uint8_t *src, size_t src_row, size_t src_pixel, int tiles, int channels, int16_t *v, size_t v_tile,
                                size_t v_frequency)
{
    for (int t = 0; t < tiles; t++) {
        for (int c = 0; c < channels; c += FNR_I8_CHUNK) {
            patch_in(src + (size_t)(FNR_I8_TILE * t) * src_pixel + c, src_row, src_pixel, v + (size_t)t * v_tile + c, v_frequency);
        }
    }
}

/* ---- and back --------------------------------------------------------------------------------------------------------------- */

/* One tile, BLOCK outputs; alpha's rows are `outputs` long. */
INLINE void patch_out(const int32_t *m, size_t m_frequency, const float *alpha, int outputs, vec beta, uint8_t *dst, size_t row, size_t pixel)
{
    vec t[FNR_I8_TILE * 8], y[FNR_I8_TILE];
    for (int x = 0; x < 8; x++) {
        vec s[8];
        UNROLL for (int i = 0; i < 8; i++)
        {
            const int f = 8 * i + x;
            s[i] = sums_at(m + (size_t)f * m_frequency) * floats_at(alpha + f * outputs);
        }
        output_1d(s, 1, t + x, 8);
    }
    for (int r = 0; r < FNR_I8_TILE; r++) {
        output_1d(t + 8 * r, 1, y, 1);
        UNROLL for (int c = 0; c < FNR_I8_TILE; c++)
        {
            store_block(dst + (size_t)r * row + (size_t)c * pixel, y[c] + beta);
        }
    }
}

TARGET static void transform_out(const int32_t *m, size_t m_tile, size_t m_frequency, int tiles, int vectors, const fnr_i8_requant *q,
                                 uint8_t *dst, size_t dst_row, size_t dst_pixel)
{
    for (int t = 0; t < tiles; t++) {
        for (int c = 0; c < 16 * vectors; c += BLOCK) {
            patch_out(m + (size_t)t * m_tile + c, m_frequency, q->alpha + c, 16 * vectors, floats_at(q->beta + c),
                      dst + (size_t)(FNR_I8_TILE * t) * dst_pixel + c, dst_row, dst_pixel);
        }
    }
}

/* ---- the rest --------------------------------------------------------------------------------------------------------------- */

TARGET static void requant(const int32_t *c, size_t c_row, int rows, int vectors, const fnr_i8_requant *q, uint8_t *dst, size_t dst_pixel)
{
    for (int r = 0; r < rows; r++) {
        for (int o = 0; o < 16 * vectors; o += BLOCK) {
            store_block(dst + (size_t)r * dst_pixel + o, vfma(sums_at(c + (size_t)r * c_row + o), floats_at(q->alpha + o), floats_at(q->beta + o)));
        }
    }
}

TARGET static void widen(const uint8_t *src, size_t count, int16_t *dst)
{
    for (size_t i = 0; i < count; i += FNR_I8_CHUNK) {
        _mm256_storeu_si256((__m256i *)(void *)(dst + i), (__m256i)chunk_at(src + i));
    }
}

TARGET static void from_floats(const float *block, size_t pixels, uint8_t *dst, size_t dst_pixel)
{
    for (size_t i = 0; i < pixels; i++) {
        store_block(dst + i * dst_pixel, floats_at(block + i * BLOCK));
    }
}

TARGET static void product(const fnr_i8_product *p, int rows)
{
#if MOST_VECTORS > 2
    for (int r = 0; p->vectors == 4 && r < rows; r += GROUP(4)) {
        product_group(p, r, GROUP(4), 4);
    }
#endif
    for (int r = 0; p->vectors == 2 && r < rows; r += GROUP(2)) {
        product_group(p, r, GROUP(2), 2);
    }
    for (int r = 0; p->vectors == 1 && r < rows; r += GROUP(1)) {
        product_group(p, r, GROUP(1), 1);
    }
}

const fnr_i8_kernels KERNELS = {
    .name = KERNELS_NAME,
    .vectors = MOST_VECTORS,
    .product = product,
    .transform_in = transform_in,
    .transform_out = transform_out,
    .requant = requant,
    .widen = widen,
    .from_floats = from_floats,
};
