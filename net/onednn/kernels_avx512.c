/* kernels.h for AVX-512: 16 channels in a block. */
#include <immintrin.h>
#include <string.h>
#include "net/onednn/kernels.h"

#define BLOCK 16
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")))
typedef float vec __attribute__((vector_size(64), may_alias));

#define vset1(s) ((vec)_mm512_set1_ps(s))
#define vfma(a, b, c) ((vec)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define vmax(a, b) ((vec)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define vsqrt(a) ((vec)_mm512_sqrt_ps((__m512)(a)))
#define vloadu(p) ((vec)_mm512_loadu_ps(p))
#define vstoreu(p, v) _mm512_storeu_ps((p), (__m512)(v))
/* v where x > 0, else 0 */
#define vgate(x, v) ((vec)_mm512_maskz_mov_ps(_mm512_cmp_ps_mask((__m512)(x), _mm512_setzero_ps(), _CMP_GT_OQ), (__m512)(v)))

#define KERNELS fnr_dn_kernels_avx512
#define KERNELS_NAME "avx512"
#include "net/onednn/kernels_body.h"
