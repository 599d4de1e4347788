#include "tests/support/support.h"

#include <complex.h>

#include "src/core/mem.h"
#include "src/cv/fft.h"

/* An image and two spectra, aligned as fft.h asks for, with guard values behind each. */
typedef struct {
    fnr_fft *f;
    float *image, *a, *b;
} rig;

static const float guard = -12345.0f;

static float *guarded(size_t floats)
{
    fnr_error err = {0};
    float *p = fnr_alloc_aligned(floats + 16, sizeof *p, "a test", &err);
    assert_ok(p, err);
    for (size_t i = 0; i < floats + 16; i++) {
        p[i] = i < floats ? 0 : guard;
    }
    return p;
}

static rig rig_new(int w, int h)
{
    fnr_error err = {0};
    rig r = {.f = fnr_fft_new(w, h, &err)};
    assert_ok(r.f, err);
    assert_true(fnr_fft_image_floats(r.f) >= (size_t)(w * h));
    assert_int_equal(fnr_fft_image_floats(r.f) % 16, 0);
    assert_int_equal(fnr_fft_spectrum_floats(r.f) % 16, 0);
    r.image = guarded(fnr_fft_image_floats(r.f));
    r.a = guarded(fnr_fft_spectrum_floats(r.f));
    r.b = guarded(fnr_fft_spectrum_floats(r.f));
    return r;
}

static void check_guard(const float *p, size_t floats)
{
    for (size_t i = 0; i < 16; i++) {
        assert_true(p[floats + i] == guard);
    }
}

static void rig_free(rig *r)
{
    check_guard(r->image, fnr_fft_image_floats(r->f));
    check_guard(r->a, fnr_fft_spectrum_floats(r->f));
    check_guard(r->b, fnr_fft_spectrum_floats(r->f));
    free(r->image);
    free(r->a);
    free(r->b);
    fnr_fft_free(r->f);
}

static void small_transform_by_hand(void **state)
{
    (void)state;
    rig r = rig_new(4, 2);
    /* Rows: [10, -2+2i, -2, ..] and [26, -2+2i, -2, ..]; columns: their sum and difference. */
    const float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, want[12] = {36, 0, -4, 4, -4, 0, -16, 0, 0, 0, 0, 0};
    memcpy(r.image, x, sizeof x);
    fnr_fft_forward(r.f, r.image, r.a);
    assert_at_most(fnr_test_max_abs(r.a, want, 12), 1e-5);
    assert_memory_equal(r.image, x, sizeof x);
    fnr_fft_inverse(r.f, r.a, r.image);
    for (int i = 0; i < 8; i++) {
        assert_at_most(fabs(r.image[i] - 8 * x[i]), 1e-4);
    }
    rig_free(&r);
}

static double complex naive(const float *x, int w, int h, int ky, int kx)
{
    double complex sum = 0;
    for (int y = 0; y < h; y++) {
        for (int x0 = 0; x0 < w; x0++) {
            sum += x[y * w + x0] * cexp(-2 * M_PI * I * ((double)kx * x0 / w + (double)ky * y / h));
        }
    }
    return sum;
}

static void spectra_match_the_definition(void **state)
{
    (void)state;
    const int sizes[][2] = {{6, 5}, {5, 6}, {9, 4}, {8, 3}, {1, 7}};
    for (size_t s = 0; s < 5; s++) {
        const int w = sizes[s][0], h = sizes[s][1];
        rig r = rig_new(w, h);
        for (int i = 0; i < w * h; i++) {
            r.image[i] = (float)((i * 37) % 23 - 11);
        }
        fnr_fft_forward(r.f, r.image, r.a);
        for (int ky = 0; ky < h; ky++) {
            for (int kx = 0; kx <= w / 2; kx++) {
                const double complex want = naive(r.image, w, h, ky, kx);
                const float *got = r.a + 2 * (ky * (w / 2 + 1) + kx);
                assert_at_most(fabs(got[0] - creal(want)), 1e-4);
                assert_at_most(fabs(got[1] - cimag(want)), 1e-4);
            }
        }
        rig_free(&r);
    }
}

/* The template's impulses 2 and 3 at (2, 1) and (3, 1) are seen at (9, 7) and (10, 7), moved by (7, 6); its mirror image about (0, 0)
 * has them at (-2, -1) and (-3, -1). */
static void correlation_peaks_at_the_shift(void **state)
{
    (void)state;
    enum { W = 24, H = 15 };
    rig r = rig_new(W, H);
    float *c = guarded(fnr_fft_spectrum_floats(r.f)), want[W * H] = {0};
    r.image[7 * W + 9] = 2;
    r.image[7 * W + 10] = 3;
    fnr_fft_forward(r.f, r.image, r.a);
    memset(r.image, 0, W * H * sizeof *r.image);
    r.image[1 * W + 2] = 2;
    r.image[1 * W + 3] = 3;
    fnr_fft_forward(r.f, r.image, r.b);
    fnr_fft_correlation(r.f, r.a, r.b, c);
    fnr_fft_inverse(r.f, c, r.image);
    want[6 * W + 7] = 13; /* 2*2 + 3*3; one step off only one impulse meets: 6 */
    want[6 * W + 6] = want[6 * W + 8] = 6;
    assert_at_most(fnr_test_max_abs(r.image, want, W * H), 1e-5);
    fnr_fft_convolution(r.f, r.a, r.b, c);
    fnr_fft_inverse(r.f, c, r.image);
    memset(want, 0, sizeof want);
    want[8 * W + 11] = 4, want[8 * W + 12] = 12, want[8 * W + 13] = 9; /* (2 + 3x)^2, from (9 + 2, 7 + 1) on */
    assert_at_most(fnr_test_max_abs(r.image, want, W * H), 1e-5);
    check_guard(c, fnr_fft_spectrum_floats(r.f));
    free(c);
    rig_free(&r);
}

static void sizes(void **state)
{
    (void)state;
    fnr_error err = {0};
    assert_int_equal(fnr_fft_good_size(97), 100);
    assert_int_equal(fnr_fft_good_size(2049), 2160);
    assert_int_equal(fnr_fft_good_size(75), 80); /* odd sizes are no good */
    assert_int_equal(fnr_fft_good_size(1), 2);
    assert_null(fnr_fft_new(0, 4, &err));
    assert_int_equal(err.code, FNR_E_USAGE);
    fnr_fft_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_transform_by_hand),
        cmocka_unit_test(spectra_match_the_definition),
        cmocka_unit_test(correlation_peaks_at_the_shift),
        cmocka_unit_test(sizes),
    };
    return cmocka_run_group_tests_name("fft", tests, NULL, NULL);
}
