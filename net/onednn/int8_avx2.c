/* int8_kernels.h for AVX2: vpmaddwd multiplies 16 pairs of words and sums them in twos. */
#include <stdbool.h>
#include "net/onednn/int8_kernels.h"
#include "net/onednn/vec_avx2.h"

#define INLINE TARGET static inline __attribute__((always_inline))
#define MOST_VECTORS 2
#define GROUP(vectors) 6 /* by 16 outputs: as many sums as registers hold beside the operands */

INLINE void store_block(uint8_t *dst, vec y)
{
    const __m256i whole = _mm256_cvtps_epi32(_mm256_min_ps((__m256)y, _mm256_set1_ps(255.0f))); /* and what is below 0 saturates */
    const __m128i narrow = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storel_epi64((__m128i *)(void *)dst, _mm_packus_epi16(narrow, narrow));
}

INLINE __m256i weights_at(const int16_t *b)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)b);
}

INLINE void product_16(const fnr_i8_product *p, int first, const int rows, const int vectors, int vector)
{
    const int16_t *a = p->a + (size_t)first * p->a_row, *b = p->b + 32 * vector;
    __m256i acc[GROUP(1)][2];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        acc[r][0] = acc[r][1] = _mm256_setzero_si256();
    }
#pragma GCC unroll 2
    for (int k = 0; k < p->depth; k += 2, b += 32 * vectors) {
        const __m256i w0 = weights_at(b), w1 = weights_at(b + 16);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const __m256i x = _mm256_set1_epi32(fnr_i8_pair(a + (size_t)r * p->a_row + k));
            acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(x, w0));
            acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(x, w1));
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        int32_t *c = p->c + (size_t)(first + r) * p->c_row + 16 * vector;
        _mm256_storeu_si256((__m256i *)(void *)c, acc[r][0]);
        _mm256_storeu_si256((__m256i *)(void *)(c + 8), acc[r][1]);
    }
}

INLINE void product_group(const fnr_i8_product *p, int first, const int rows, const int vectors)
{
    for (int v = 0; v < vectors; v++) {
        product_16(p, first, rows, vectors, v);
    }
}

#define KERNELS fnr_i8_kernels_avx2
#define KERNELS_NAME "avx2"
#include "net/onednn/int8_body.h"
