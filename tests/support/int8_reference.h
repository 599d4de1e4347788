/* Int8 inference as net/onednn/int8.h defines it, in plain C, one number at a time. */
#ifndef FNR_TESTS_INT8_REFERENCE_H
#define FNR_TESTS_INT8_REFERENCE_H

#include "net/graph.h"

/* One 2D sample x -> y (dense, c, h, w); `flat` holds the graph's parameters.  Bytes are exact; only the float sums of the last
 * convolution may differ in rounding. */
void fnr_int8_reference(const fnr_graph *g, const float *flat, const fnr_shape *input, const float *x, float *y);

/* v[4 i + j] of one 4x4 patch, and the 2x2 sums of 16 products. */
void fnr_int8_reference_patch(const int d[16], int v[16]);
void fnr_int8_reference_inverse(const int m[16], int y[4]);

#endif
