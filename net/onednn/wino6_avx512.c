/* F(6x6, 3x3) for AVX-512: 16 channels in a block, 12 x 2 accumulators. */
#include "net/onednn/wino_kernels.h"
#include "net/onednn/vec_avx512.h"

#define vstream(p, v) _mm512_stream_ps((float *)(p), (__m512)(v))

#define TILE       6
#define MOST_ROWS  12
#define OUTER_ROWS 8
#define KERNELS    fnr_dn_wino6_avx512
#include "net/onednn/wino_body.h"
