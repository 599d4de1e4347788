/* int8_kernels.h for AVX-512 with VNNI: one instruction multiplies 64 pairs of bytes and sums them in fours. */
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>
#include "net/onednn/int8_kernels.h"

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma")))
#define INLINE TARGET static inline __attribute__((always_inline))
#define BLOCK 16
#define GROUP(vectors) ((vectors) == 4 ? 6 : 8) /* as many sums as registers hold beside the operands */

typedef int32_t sums __attribute__((vector_size(64), may_alias));

INLINE __m512 clamp(__m512 y)
{
    return _mm512_max_ps(_mm512_min_ps(y, _mm512_set1_ps(255.0f)), _mm512_setzero_ps());
}

INLINE void store_16(uint8_t *dst, __m512 y)
{
    _mm_storeu_si128((__m128i *)(void *)dst, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(clamp(y))));
}

INLINE void store_bytes(uint8_t *dst, const sums *y, const float *alpha, const float *beta)
{
    store_16(dst, _mm512_fmadd_ps(_mm512_cvtepi32_ps((__m512i)*y), _mm512_load_ps(alpha), _mm512_load_ps(beta)));
}

#define store_block(dst, f) store_16(dst, _mm512_load_ps(f))

INLINE void product_group(const fnr_i8_product *p, int first, const int rows, const int vectors)
{
    __m512i acc[8][4];
    const int8_t *b = p->b;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            acc[r][v] = _mm512_loadu_si512(p->init + 16 * v);
        }
    }
    for (int s = 0; s < p->segments; s++) {
        const uint8_t *a = p->a + (size_t)first * p->a_row + (size_t)s * p->a_segment;
        for (int k = 0; k < p->segment_bytes; k += 4, b += 64 * vectors) {
            __m512i w[4];
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) {
                w[v] = _mm512_loadu_si512(b + 64 * v);
            }
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                int four;
                memcpy(&four, a + (size_t)r * p->a_row + k, sizeof four);
                const __m512i x = _mm512_set1_epi32(four);
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++) {
                    acc[r][v] = _mm512_dpbusd_epi32(acc[r][v], x, w[v]);
                }
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
