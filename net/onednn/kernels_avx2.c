/* kernels.h for AVX2 with FMA: 8 channels in a block. */
#include <immintrin.h>
#include <string.h>
#include "net/onednn/kernels.h"

#define BLOCK 8
#define TARGET __attribute__((target("avx2,fma")))
typedef float vec __attribute__((vector_size(32), may_alias));

#define vset1(s) ((vec)_mm256_set1_ps(s))
#define vfma(a, b, c) ((vec)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define vmax(a, b) ((vec)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define vsqrt(a) ((vec)_mm256_sqrt_ps((__m256)(a)))
#define vloadu(p) ((vec)_mm256_loadu_ps(p))
#define vstoreu(p, v) _mm256_storeu_ps((p), (__m256)(v))
/* v where x > 0, else 0 */
#define vgate(x, v) ((vec)_mm256_and_ps(_mm256_cmp_ps((__m256)(x), _mm256_setzero_ps(), _CMP_GT_OQ), (__m256)(v)))

#define KERNELS fnr_dn_kernels_avx2
#define KERNELS_NAME "avx2"
#include "net/onednn/kernels_body.h"
