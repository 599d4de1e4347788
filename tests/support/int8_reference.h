/* Int8 inference as net/onednn/int8.h defines it, in plain C, one number at a time. */
#ifndef FNR_TESTS_INT8_REFERENCE_H
#define FNR_TESTS_INT8_REFERENCE_H

#include "net/graph.h"

/* One 2D sample x -> y (dense, c, h, w); `flat` holds the graph's parameters; each: 3x3 convolutions as they are defined, not by
 * Winograd.  Bytes are exact; only the last convolution's floats may differ in rounding. */
void fnr_int8_reference(const fnr_graph *g, const float *flat, const fnr_shape *input, bool each, const float *x, float *y);

/* v[8 i + j] of one 8x8 patch, and the 6x6 outputs of 64 products. */
void fnr_int8_reference_patch(const int d[64], int v[64]);
void fnr_int8_reference_inverse(const float m[64], float y[36]);

#endif
