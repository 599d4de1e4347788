/* not alone: the body of a translation unit, included once per instruction set */
/* The loops behind int8_kernels.h.  The includer defines
 *   TARGET                      function attribute that switches the instruction set on
 *   BLOCK                       floats in a block of fnr_dn_kernels
 *   sums                        64-byte vector of int32_t
 *   store_bytes(dst, &sums, alpha, beta)   16 bytes from 16 sums
 *   store_block(dst, floats)    BLOCK bytes from floats
 *   product_group(p, first, group rows, vectors), GROUP(vectors)
 *   KERNELS, KERNELS_NAME       the table to define
 * 64-byte vectors are GCC's: where registers are shorter the compiler uses two. */

/* 32 channels (16 where `half`) as 16-bit numbers.  Unpacking and packing both work within halves of a register, so that the order
 * comes out right. */
typedef struct {
    __m256i low, high;
} words;

INLINE words load_words(const uint8_t *p, const bool half)
{
    const __m256i x = half ? _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p)) : _mm256_loadu_si256((const __m256i *)(const void *)p);
    return (words){_mm256_unpacklo_epi8(x, _mm256_setzero_si256()), _mm256_unpackhi_epi8(x, _mm256_setzero_si256())};
}

INLINE words plus(words a, words b)
{
    return (words){_mm256_add_epi16(a.low, b.low), _mm256_add_epi16(a.high, b.high)};
}

INLINE words minus(words a, words b)
{
    return (words){_mm256_sub_epi16(a.low, b.low), _mm256_sub_epi16(a.high, b.high)};
}

/* One column of patches: four pixels from the top down, transformed along it. */
INLINE void load_column(const uint8_t *p, size_t row, const bool half, words out[4])
{
    const words d0 = load_words(p, half), d1 = load_words(p + row, half), d2 = load_words(p + 2 * row, half), d3 = load_words(p + 3 * row, half);
    out[0] = minus(d0, d2);
    out[1] = plus(d1, d2);
    out[2] = minus(d2, d1);
    out[3] = minus(d1, d3);
}

/* A quarter, rounded; within 0..255 by the saturation. */
INLINE void store_quarter(uint8_t *to, words v, int position, const bool half)
{
    const __m256i offset = _mm256_set1_epi16(position == FNR_I8_CENTRE ? 2 : 2 + 4 * FNR_I8_OFFSET);
    const __m256i bytes = _mm256_packus_epi16(_mm256_srai_epi16(_mm256_add_epi16(v.low, offset), 2), _mm256_srai_epi16(_mm256_add_epi16(v.high, offset), 2));
    if (half) {
        _mm_storeu_si128((__m128i *)(void *)to, _mm256_castsi256_si128(bytes));
    } else {
        _mm256_storeu_si256((__m256i *)(void *)to, bytes);
    }
}

INLINE void transform_channels(const uint8_t *p, size_t row, size_t pixel, int tiles, const bool half, uint8_t *to, size_t v_tile, size_t v_position)
{
    words c[4][4];
    load_column(p, row, half, c[0]);
    load_column(p + pixel, row, half, c[1]);
    for (int t = 0; t < tiles; t++, p += 2 * pixel, to += v_tile) {
        load_column(p + 2 * pixel, row, half, c[2]);
        load_column(p + 3 * pixel, row, half, c[3]);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            uint8_t *v = to + (size_t)(4 * i) * v_position;
            store_quarter(v, minus(c[0][i], c[2][i]), 4 * i, half);
            store_quarter(v + v_position, plus(c[1][i], c[2][i]), 4 * i + 1, half);
            store_quarter(v + 2 * v_position, minus(c[2][i], c[1][i]), 4 * i + 2, half);
            store_quarter(v + 3 * v_position, minus(c[1][i], c[3][i]), 4 * i + 3, half);
            c[0][i] = c[2][i]; /* the next patch begins with this one's last two columns */
            c[1][i] = c[3][i];
        }
    }
}

TARGET static void transform_in(const uint8_t *src, size_t src_row, size_t src_pixel, int tiles, int channels, uint8_t *v, size_t v_tile,
                                size_t v_position)
{
    int c = 0;
    for (; c + 32 <= channels; c += 32) {
        transform_channels(src + c, src_row, src_pixel, tiles, false, v + c, v_tile, v_position);
    }
    if (c < channels) {
        transform_channels(src + c, src_row, src_pixel, tiles, true, v + c, v_tile, v_position);
    }
}

static inline const sums *sums_at(const int32_t *p)
{
    return (const sums *)(const void *)p;
}

/* A^T m A of one tile and 16 outputs: y[0], y[1] above y[2], y[3]. */
INLINE void inverse(const int32_t *m, size_t position, sums y[4])
{
    sums top[4], low[4];
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) {
        const int32_t *from = m + (size_t)q * position;
        const sums m1 = *sums_at(from + 4 * position), m2 = *sums_at(from + 8 * position);
        top[q] = *sums_at(from) + (m1 + m2);
        low[q] = (m1 - m2) - *sums_at(from + 12 * position);
    }
    y[0] = top[0] + (top[1] + top[2]);
    y[1] = (top[1] - top[2]) - top[3];
    y[2] = low[0] + (low[1] + low[2]);
    y[3] = (low[1] - low[2]) - low[3];
}

TARGET static void transform_out(const int32_t *m, size_t m_tile, size_t m_position, int tiles, int vectors, const fnr_i8_requant *q,
                                 uint8_t *dst, size_t dst_row, size_t dst_pixel)
{
    for (int t = 0; t < tiles; t++) {
        for (int v = 0; v < vectors; v++) {
            uint8_t *to = dst + (size_t)(2 * t) * dst_pixel + (size_t)(16 * v);
            const float *alpha = q->alpha + 16 * v, *beta = q->beta + 16 * v;
            sums y[4];
            inverse(m + (size_t)t * m_tile + (size_t)(16 * v), m_position, y);
            store_bytes(to, &y[0], alpha, beta);
            store_bytes(to + dst_pixel, &y[1], alpha, beta);
            store_bytes(to + dst_row, &y[2], alpha, beta);
            store_bytes(to + dst_row + dst_pixel, &y[3], alpha, beta);
        }
    }
}

TARGET static void requant(const int32_t *c, size_t c_row, int rows, int vectors, const fnr_i8_requant *q, uint8_t *dst, size_t dst_pixel)
{
    for (int r = 0; r < rows; r++) {
        for (int v = 0; v < vectors; v++) {
            const sums *y = sums_at(c + (size_t)r * c_row + (size_t)(16 * v));
            store_bytes(dst + (size_t)r * dst_pixel + (size_t)(16 * v), y, q->alpha + 16 * v, q->beta + 16 * v);
        }
    }
}

TARGET static void from_floats(const float *block, size_t pixels, uint8_t *dst, size_t dst_pixel)
{
    for (size_t i = 0; i < pixels; i++) {
        store_block(dst + i * dst_pixel, block + i * BLOCK);
    }
}

TARGET static void product(const fnr_i8_product *p, int rows)
{
    if (p->vectors == 4) {
        for (int r = 0; r < rows; r += GROUP(4)) {
            product_group(p, r, GROUP(4), 4);
        }
    } else if (p->vectors == 2) {
        for (int r = 0; r < rows; r += GROUP(2)) {
            product_group(p, r, GROUP(2), 2);
        }
    } else {
        for (int r = 0; r < rows; r += GROUP(1)) {
            product_group(p, r, GROUP(1), 1);
        }
    }
}

const fnr_i8_kernels KERNELS = {
    .name = KERNELS_NAME,
    .product = product,
    .transform_in = transform_in,
    .transform_out = transform_out,
    .requant = requant,
    .from_floats = from_floats,
};
