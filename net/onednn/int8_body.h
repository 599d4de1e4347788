/* not alone: the body of a translation unit, included once per instruction set */
/* The loops behind int8_kernels.h.  The includer defines
 *   TARGET                      function attribute that switches the instruction set on
 *   BLOCK                       floats in a block of fnr_dn_kernels
 *   sums                        64-byte vector of int32_t
 *   store_bytes(dst, &sums, alpha, beta)   16 bytes from 16 sums
 *   store_block(dst, floats), load_block(floats, src)    BLOCK bytes from floats and back
 *   product_group(p, first, group rows, vectors), GROUP(vectors)
 *   KERNELS, KERNELS_NAME       the table to define
 * 64-byte vectors are GCC's: where registers are shorter the compiler uses two. */

INLINE __m256i load_pixels(const uint8_t *p)
{
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* One column of patches: four pixels from the top down, transformed along it. */
INLINE void load_column(const uint8_t *p, size_t row, __m256i out[4])
{
    const __m256i d0 = load_pixels(p), d1 = load_pixels(p + row), d2 = load_pixels(p + 2 * row), d3 = load_pixels(p + 3 * row);
    out[0] = _mm256_sub_epi16(d0, d2);
    out[1] = _mm256_add_epi16(d1, d2);
    out[2] = _mm256_sub_epi16(d2, d1);
    out[3] = _mm256_sub_epi16(d1, d3);
}

/* A quarter, rounded; within 0..255 by the saturation. */
INLINE void store_quarter(uint8_t *to, __m256i v, int position)
{
    const int offset = position == FNR_I8_CENTRE ? 2 : 2 + 4 * FNR_I8_OFFSET;
    const __m256i x = _mm256_srai_epi16(_mm256_add_epi16(v, _mm256_set1_epi16((short)offset)), 2);
    _mm_storeu_si128((__m128i *)(void *)to, _mm_packus_epi16(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)));
}

INLINE void store_patch(const __m256i c0[4], const __m256i c1[4], const __m256i c2[4], const __m256i c3[4], uint8_t *v, size_t v_position)
{
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        uint8_t *to = v + (size_t)(4 * i) * v_position;
        store_quarter(to, _mm256_sub_epi16(c0[i], c2[i]), 4 * i);
        store_quarter(to + v_position, _mm256_add_epi16(c1[i], c2[i]), 4 * i + 1);
        store_quarter(to + 2 * v_position, _mm256_sub_epi16(c2[i], c1[i]), 4 * i + 2);
        store_quarter(to + 3 * v_position, _mm256_sub_epi16(c1[i], c3[i]), 4 * i + 3);
    }
}

TARGET static void transform_in(const uint8_t *src, size_t src_row, size_t src_pixel, int tiles, int channels, uint8_t *v, size_t v_tile,
                                size_t v_position)
{
    for (int c = 0; c < channels; c += FNR_I8_CHUNK) {
        const uint8_t *p = src + c;
        uint8_t *to = v + c;
        __m256i a[4], b[4], e[4], f[4];
        load_column(p, src_row, a);
        load_column(p + src_pixel, src_row, b);
        for (int t = 0; t < tiles; t++, p += 2 * src_pixel, to += v_tile) {
            load_column(p + 2 * src_pixel, src_row, e);
            load_column(p + 3 * src_pixel, src_row, f);
            store_patch(a, b, e, f, to, v_position);
            for (int i = 0; i < 4; i++) { /* the next patch begins with this one's last two columns */
                a[i] = e[i];
                b[i] = f[i];
            }
        }
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

TARGET static void to_floats(const uint8_t *src, size_t src_pixel, size_t pixels, float *block)
{
    for (size_t i = 0; i < pixels; i++) {
        load_block(block + i * BLOCK, src + i * src_pixel);
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
    .to_floats = to_floats,
};
