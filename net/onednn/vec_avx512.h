/* Vectors of AVX-512 for the bodies that are compiled once per instruction set: 16 floats, one block of channels. */
#ifndef FNR_NET_ONEDNN_VEC_AVX512_H
#define FNR_NET_ONEDNN_VEC_AVX512_H

#include <immintrin.h>

#ifndef TARGET_MORE
#define TARGET_MORE "" /* what the includer needs beyond that */
#endif

#define BLOCK 16
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma" TARGET_MORE)))
typedef float vec __attribute__((vector_size(64), may_alias));

#define vset1(s) ((vec)_mm512_set1_ps(s))
#define vfma(a, b, c) ((vec)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define vmax(a, b) ((vec)_mm512_max_ps((__m512)(a), (__m512)(b)))

#endif
