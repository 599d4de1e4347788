/* kernels.h for AVX-512: 16 channels in a block. */
#include <string.h>
#include "net/onednn/kernels.h"
#include "net/onednn/vec_avx512.h"

#define vsqrt(a) ((vec)_mm512_sqrt_ps((__m512)(a)))
#define vloadu(p) ((vec)_mm512_loadu_ps(p))
#define vstoreu(p, v) _mm512_storeu_ps((p), (__m512)(v))
/* v where x > 0, else 0 */
#define vgate(x, v) ((vec)_mm512_maskz_mov_ps(_mm512_cmp_ps_mask((__m512)(x), _mm512_setzero_ps(), _CMP_GT_OQ), (__m512)(v)))

#define KERNELS fnr_dn_kernels_avx512
#define KERNELS_NAME "avx512"
#include "net/onednn/kernels_body.h"
