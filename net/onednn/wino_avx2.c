/* wino_kernels.h for AVX2 with FMA: 8 channels in a block, 6 x 2 accumulators. */
#include <immintrin.h>
#include "net/onednn/wino_kernels.h"

#define BLOCK  8
#define TARGET __attribute__((target("avx2,fma")))
typedef float vec __attribute__((vector_size(32), may_alias));

#define vset1(s)      ((vec)_mm256_set1_ps(s))
#define vfma(a, b, c) ((vec)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define vmax(a, b)    ((vec)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define vstream(p, v) _mm256_stream_ps((float *)(p), (__m256)(v))

#define MOST_ROWS  6
#define OUTER_ROWS 4
#define KERNELS    fnr_dn_wino_avx2
#include "net/onednn/wino_body.h"
