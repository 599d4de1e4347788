/* F(4x4, 3x3) for AVX2 with FMA: 8 channels in a block, 6 x 2 accumulators. */
#include "net/onednn/wino_kernels.h"
#include "net/onednn/vec_avx2.h"

#define vstream(p, v) _mm256_stream_ps((float *)(p), (__m256)(v))

#define TILE       4
#define MOST_ROWS  6
#define OUTER_ROWS 4
#define KERNELS    fnr_dn_wino_avx2
#include "net/onednn/wino_body.h"
