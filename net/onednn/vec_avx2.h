/* Vectors of AVX2 with FMA for the bodies that are compiled once per instruction set: 8 floats, one block of channels. */
#ifndef FNR_NET_ONEDNN_VEC_AVX2_H
#define FNR_NET_ONEDNN_VEC_AVX2_H

#include <immintrin.h>

#define BLOCK 8
#define TARGET __attribute__((target("avx2,fma")))
typedef float vec __attribute__((vector_size(32), may_alias));

#define vset1(s) ((vec)_mm256_set1_ps(s))
#define vfma(a, b, c) ((vec)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define vmax(a, b) ((vec)_mm256_max_ps((__m256)(a), (__m256)(b)))

#endif
