/* int8_kernels.h for AVX2.  Its instruction for bytes, vpmaddubsw, saturates at 16 bits; here bytes are widened and multiplied as
 * 16-bit numbers, which is exact: slower, but the same results to the bit as with VNNI. */
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>
#include "net/onednn/int8_kernels.h"

#define TARGET __attribute__((target("avx2,fma")))
#define INLINE TARGET static inline __attribute__((always_inline))
#define BLOCK 8
#define GROUP(vectors) 4

typedef int32_t sums __attribute__((vector_size(64), may_alias));

INLINE __m256i clamped(__m256 y)
{
    return _mm256_cvtps_epi32(_mm256_max_ps(_mm256_min_ps(y, _mm256_set1_ps(255.0f)), _mm256_setzero_ps()));
}

INLINE __m256 affine(const int32_t *sum, const float *alpha, const float *beta)
{
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)(const void *)sum)), _mm256_load_ps(alpha), _mm256_load_ps(beta));
}

/* 8 numbers below 256 as 8 bytes. */
INLINE __m128i narrow(__m256i x)
{
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    return _mm_packus_epi16(words, words);
}

INLINE void store_8(uint8_t *dst, __m256 y)
{
    _mm_storel_epi64((__m128i *)(void *)dst, narrow(clamped(y)));
}

INLINE void store_bytes(uint8_t *dst, const sums *y, const float *alpha, const float *beta)
{
    const int32_t *numbers = (const int32_t *)y;
    store_8(dst, affine(numbers, alpha, beta));
    store_8(dst + 8, affine(numbers + 8, alpha + 8, beta + 8));
}

#define store_block(dst, f) store_8(dst, _mm256_load_ps(f))

/* Four rows by 8 outputs; `b` is that half's place in the packed weights. */
INLINE void product_4x8(const fnr_i8_product *p, int first, const int8_t *b, int column)
{
    const size_t step = (size_t)(64 * p->vectors);
    const __m256i low = _mm256_set1_epi16(255);
    __m256i acc[4];
    for (int r = 0; r < 4; r++) {
        acc[r] = _mm256_loadu_si256((const __m256i *)(const void *)(p->init + column));
    }
    for (int s = 0; s < p->segments; s++) {
        const uint8_t *a = p->a + (size_t)first * p->a_row + (size_t)s * p->a_segment;
        for (int k = 0; k < p->segment_bytes; k += 4, b += step) {
            const __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)b);
            const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8), odd = _mm256_srai_epi16(w, 8);
#pragma GCC unroll 4
            for (int r = 0; r < 4; r++) {
                int four;
                memcpy(&four, a + (size_t)r * p->a_row + k, sizeof four);
                const __m256i x = _mm256_set1_epi32(four);
                acc[r] = _mm256_add_epi32(acc[r], _mm256_madd_epi16(_mm256_and_si256(x, low), even));
                acc[r] = _mm256_add_epi32(acc[r], _mm256_madd_epi16(_mm256_srli_epi16(x, 8), odd));
            }
        }
    }
    for (int r = 0; r < 4; r++) {
        _mm256_storeu_si256((__m256i *)(void *)(p->c + (size_t)(first + r) * p->c_row + column), acc[r]);
    }
}

INLINE void product_group(const fnr_i8_product *p, int first, const int rows, const int vectors)
{
    (void)rows;
    for (int half = 0; half < 2 * vectors; half++) {
        product_4x8(p, first, p->b + 32 * half, 8 * half);
    }
}

#define KERNELS fnr_i8_kernels_avx2
#define KERNELS_NAME "avx2"
#include "net/onednn/int8_body.h"
