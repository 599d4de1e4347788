/* kernels.h for AVX2 with FMA: 8 channels in a block. */
#include <string.h>
#include "net/onednn/kernels.h"
#include "net/onednn/vec_avx2.h"

#define vsqrt(a) ((vec)_mm256_sqrt_ps((__m256)(a)))
#define vloadu(p) ((vec)_mm256_loadu_ps(p))
#define vstoreu(p, v) _mm256_storeu_ps((p), (__m256)(v))
/* v where x > 0, else 0 */
#define vgate(x, v) ((vec)_mm256_and_ps(_mm256_cmp_ps((__m256)(x), _mm256_setzero_ps(), _CMP_GT_OQ), (__m256)(v)))

#define KERNELS fnr_dn_kernels_avx2
#define KERNELS_NAME "avx2"
#include "net/onednn/kernels_body.h"
