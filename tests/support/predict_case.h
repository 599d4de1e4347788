/* What tests of prediction have in common: random models and images, and images that are read and written in parts. */
#ifndef FNR_TESTS_PREDICT_CASE_H
#define FNR_TESTS_PREDICT_CASE_H

#include "tests/support/support.h"

#include "net/predict.h"

/* Random in everything, running statistics included, and symmetric in nothing; outputs of order 1.  positive: all weights are. */
void fnr_test_model(const fnr_netdesc *desc, uint64_t seed, bool positive, fnr_model *m);
/* malloc'ed; even noise of variance 1. */
float *fnr_test_noise(size_t n, unsigned seed);

/* An image that a series is given and gives back: the context of the two functions below, which fail the test when what they are
 * asked for is outside the image or out of order. */
typedef struct {
    const float *in;
    float *out;
    int channels_in, channels_out, h, w;
    int next_row, bands, reads;
    int fail_read, fail_band; /* -1 = never */
    fnr_cancel *cancel;       /* requested at the second band, when set */
} fnr_test_stream;

bool fnr_test_read_rect(void *ctx, size_t image, int x, int y, int w, int h, float *dst, fnr_error *err);
bool fnr_test_take_rows(void *ctx, size_t image, int y, int count, const float *rows, fnr_error *err);

#endif
