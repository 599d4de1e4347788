/* int8_kernels.h for AVX-512 with VNNI: one instruction multiplies 32 pairs of words and adds them in twos to 16 sums. */
#include <stdbool.h>
#include "net/onednn/int8_kernels.h"
#define TARGET_MORE ",avx512vnni"
#include "net/onednn/vec_avx512.h"

#define INLINE TARGET static inline __attribute__((always_inline))
#define MOST_VECTORS 4
#define GROUP(vectors) ((vectors) == 4 ? 6 : 8) /* as many sums as registers hold beside the operands */

INLINE void store_block(uint8_t *dst, vec y)
{
    const __m512 inside = _mm512_max_ps(_mm512_min_ps((__m512)y, _mm512_set1_ps(255.0f)), _mm512_setzero_ps());
    _mm_storeu_si128((__m128i *)(void *)dst, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(inside)));
}

INLINE void product_group(const fnr_i8_product *p, int first, const int rows, const int vectors)
{
    const int16_t *a = p->a + (size_t)first * p->a_row, *b = p->b;
    __m512i acc[8][4];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            acc[r][v] = _mm512_setzero_si512();
        }
    }
    for (int k = 0; k < p->depth; k += 2, b += 32 * vectors) {
        __m512i w[4];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            w[v] = _mm512_loadu_si512(b + 32 * v);
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const __m512i x = _mm512_set1_epi32(fnr_i8_pair(a + (size_t)r * p->a_row + k));
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) {
                acc[r][v] = _mm512_dpwssd_epi32(acc[r][v], x, w[v]);
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            _mm512_storeu_si512(p->c + (size_t)(first + r) * p->c_row + 16 * v, acc[r][v]);
        }
    }
}

#define KERNELS fnr_i8_kernels_vnni
#define KERNELS_NAME "avx512-vnni"
#include "net/onednn/int8_body.h"
