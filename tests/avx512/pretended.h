/* AVX-512 pretended with AVX2, so that the backend's AVX-512 loops can be tested on every machine.  Included in front of
 * the AVX-512 sources of net/onednn by the compiler (-include), in place of vec_avx512.h: same vectors of 64 bytes with their
 * alignment, each instruction by its definition in Intel's manual, fused multiply-adds by AVX2's own. */
#ifndef FNR_TESTS_AVX512_PRETENDED_H
#define FNR_TESTS_AVX512_PRETENDED_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wpsabi" /* vectors in memory instead of registers: all callers are inline */

#define FNR_NET_ONEDNN_VEC_AVX512_H
#define BLOCK 16
#define TARGET __attribute__((target("avx2,fma")))
typedef float vec __attribute__((vector_size(64), may_alias));

#define PRETENDED TARGET static inline __attribute__((always_inline, unused))

typedef union {
    vec v;
    __m512 f;
    __m512i i;
    __m256 floats[2];
    __m256i words[2];
    float x[16];
    int32_t n[16];
} pretended;

#define TWICE(result, halves, expression)   \
    pretended result;                       \
    for (int h = 0; h < 2; h++) {           \
        result.halves[h] = (expression);    \
    }

PRETENDED vec pretended_set1(float x)
{
    TWICE(r, floats, _mm256_set1_ps(x))
    return r.v;
}

PRETENDED vec pretended_fma(vec a, vec b, vec c)
{
    const pretended p = {.v = a}, q = {.v = b}, s = {.v = c};
    TWICE(r, floats, _mm256_fmadd_ps(p.floats[h], q.floats[h], s.floats[h]))
    return r.v;
}

PRETENDED vec pretended_max(vec a, vec b)
{
    const pretended p = {.v = a}, q = {.v = b};
    TWICE(r, floats, _mm256_max_ps(p.floats[h], q.floats[h]))
    return r.v;
}

PRETENDED vec pretended_min(vec a, vec b)
{
    const pretended p = {.v = a}, q = {.v = b};
    TWICE(r, floats, _mm256_min_ps(p.floats[h], q.floats[h]))
    return r.v;
}

PRETENDED vec pretended_sqrt(vec a)
{
    const pretended p = {.v = a};
    TWICE(r, floats, _mm256_sqrt_ps(p.floats[h]))
    return r.v;
}

PRETENDED vec pretended_load(const void *p)
{
    pretended r;
    memcpy(&r, p, sizeof r);
    return r.v;
}

PRETENDED void pretended_store(void *p, vec v)
{
    memcpy(p, &v, sizeof v);
}

/* Wants an aligned place. */
PRETENDED void pretended_stream(float *p, vec v)
{
    *(vec *)(void *)p = v;
}

/* v where x > 0, else 0. */
PRETENDED vec pretended_gate(vec x, vec v)
{
    pretended p = {.v = v};
    for (int i = 0; i < 16; i++) {
        p.n[i] = x[i] > 0 ? p.n[i] : 0;
    }
    return p.v;
}

PRETENDED __m512i pretended_whole(vec a)
{
    const pretended p = {.v = a};
    TWICE(r, words, _mm256_cvtps_epi32(p.floats[h]))
    return r.i;
}

/* The lowest byte of each number. */
PRETENDED __m128i pretended_bytes(__m512i a)
{
    const pretended p = {.i = a};
    uint8_t bytes[16];
    for (int i = 0; i < 16; i++) {
        bytes[i] = (uint8_t)p.n[i];
    }
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

PRETENDED __m512i pretended_numbers(int x)
{
    TWICE(r, words, _mm256_set1_epi32(x))
    return r.i;
}

/* sum + a b, words in pairs. */
PRETENDED __m512i pretended_dot(__m512i sum, __m512i a, __m512i b)
{
    const pretended s = {.i = sum}, p = {.i = a}, q = {.i = b};
    TWICE(r, words, _mm256_add_epi32(s.words[h], _mm256_madd_epi16(p.words[h], q.words[h])))
    return r.i;
}

#define vset1(s)    pretended_set1(s)
#define vfma(a, b, c) pretended_fma(a, b, c)
#define vmax(a, b)  pretended_max(a, b)

#undef _mm512_cmp_ps_mask
#define _mm512_set1_ps(s)          ((__m512)pretended_set1(s))
#define _mm512_setzero_ps()        ((__m512)pretended_set1(0))
#define _mm512_max_ps(a, b)        ((__m512)pretended_max((vec)(a), (vec)(b)))
#define _mm512_min_ps(a, b)        ((__m512)pretended_min((vec)(a), (vec)(b)))
#define _mm512_sqrt_ps(a)          ((__m512)pretended_sqrt((vec)(a)))
#define _mm512_loadu_ps(p)         ((__m512)pretended_load(p))
#define _mm512_storeu_ps(p, v)     pretended_store((p), (vec)(v))
#define _mm512_stream_ps(p, v)     pretended_stream((p), (vec)(v))
#define _mm512_cvtps_epi32(a)      pretended_whole((vec)(a))
#define _mm512_cvtepi32_epi8(a)    pretended_bytes(a)
#define _mm512_setzero_si512()     pretended_numbers(0)
#define _mm512_set1_epi32(n)       pretended_numbers(n)
#define _mm512_loadu_si512(p)      ((__m512i)pretended_load(p))
#define _mm512_storeu_si512(p, v)  pretended_store((p), (vec)(v))
#define _mm512_dpwssd_epi32(s, a, b) pretended_dot((s), (a), (b))
/* As kernels_avx512.c uses them: one inside the other, against zero. */
#define _mm512_cmp_ps_mask(x, zero, greater) (vec)(x)
#define _mm512_maskz_mov_ps(gate, v) ((__m512)pretended_gate((gate), (vec)(v)))

#endif
