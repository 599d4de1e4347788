/* wino_kernels.h for AVX-512: 16 channels in a block, 12 x 2 accumulators. */
#include <immintrin.h>
#include "net/onednn/wino_kernels.h"

#define BLOCK  16
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")))
typedef float vec __attribute__((vector_size(64), may_alias));

#define vset1(s)      ((vec)_mm512_set1_ps(s))
#define vfma(a, b, c) ((vec)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define vmax(a, b)    ((vec)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define vstream(p, v) _mm512_stream_ps((float *)(p), (__m512)(v))

#define MOST_ROWS  12
#define OUTER_ROWS 8
#define KERNELS    fnr_dn_wino_avx512
#include "net/onednn/wino_body.h"
