#include "tests/support/support.h"

#include <complex.h>

#include "src/cv/cv.h"

static void small_transform_by_hand(void **state)
{
    (void)state;
    fnr_error err = {0};
    const float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    /* Rows: [10, -2+2i, -2, ..] and [26, -2+2i, -2, ..]; columns: their sum and difference.  Packed (CCS):
     * Re Y00, Re Y01, Im Y01, Re Y02 / Re Y10, Re Y11, Im Y11, Re Y12. */
    const float want[8] = {36, -4, 4, -4, -16, 0, 0, 0};
    float y[8], back[8];
    assert_ok(fnr_cv_dft(x, 4, 2, 0, y, &err), err);
    assert_at_most(fnr_test_max_abs(y, want, 8), 1e-5);
    assert_ok(fnr_cv_idft(y, 4, 2, back, &err), err);
    assert_at_most(fnr_test_max_abs(back, x, 8), 1e-5);
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

/* Columns 1, 2 | 3, 4 | ... hold re, im of kx = 1, 2, ...; column 0 (and the last, w even) is packed the same way down. */
static void packed_layout_matches_the_definition(void **state)
{
    (void)state;
    fnr_error err = {0};
    const int sizes[][2] = {{6, 5}, {5, 6}, {9, 4}, {8, 3}};
    for (size_t s = 0; s < 4; s++) {
        const int w = sizes[s][0], h = sizes[s][1];
        float x[48], y[48];
        for (int i = 0; i < w * h; i++) {
            x[i] = (float)((i * 37) % 23 - 11);
        }
        assert_ok(fnr_cv_dft(x, w, h, 0, y, &err), err);
        for (int ky = 0; ky < h; ky++) {
            for (int kx = 1; 2 * kx < w; kx++) {
                const double complex want = naive(x, w, h, ky, kx);
                assert_at_most(fabs(y[ky * w + 2 * kx - 1] - creal(want)), 1e-4);
                assert_at_most(fabs(y[ky * w + 2 * kx] - cimag(want)), 1e-4);
            }
        }
        for (int kx = 0; kx < w; kx += w % 2 ? w : w / 2) {
            const int column = kx ? w - 1 : 0;
            assert_at_most(fabs(y[column] - creal(naive(x, w, h, 0, kx))), 1e-4);
            for (int ky = 1; 2 * ky < h; ky++) {
                assert_at_most(fabs(y[(2 * ky - 1) * w + column] - creal(naive(x, w, h, ky, kx))), 1e-4);
                assert_at_most(fabs(y[2 * ky * w + column] - cimag(naive(x, w, h, ky, kx))), 1e-4);
            }
        }
    }
}

static void in_place_and_zero_rows(void **state)
{
    (void)state;
    fnr_error err = {0};
    enum { W = 45, H = 30, USED = 11 };
    static float x[W * H], y[W * H], z[W * H];
    for (int i = 0; i < W * USED; i++) {
        x[i] = (float)((i * 31) % 101);
    }
    assert_ok(fnr_cv_dft(x, W, H, 0, y, &err), err);
    memcpy(z, x, sizeof x);
    assert_ok(fnr_cv_dft(z, W, H, USED, z, &err), err);
    assert_at_most(fnr_test_rel_l2(z, y, W * H), 1e-6);
    assert_ok(fnr_cv_idft(z, W, H, z, &err), err);
    assert_at_most(fnr_test_max_abs(z, x, W * H), 1e-4);
}

static void correlation_peaks_at_the_shift(void **state)
{
    (void)state;
    fnr_error err = {0};
    enum { W = 24, H = 15 };
    float *a = fnr_test_guarded(W * H), *b = fnr_test_guarded(W * H), *c = fnr_test_guarded(W * H);
    memset(a, 0, W * H * sizeof *a);
    memset(b, 0, W * H * sizeof *b);
    a[7 * W + 9] = 2; /* the template's impulses at (2, 1) and (3, 1), seen at (9, 7) and (10, 7): moved by (7, 6) */
    a[7 * W + 10] = 3;
    b[1 * W + 2] = 2;
    b[1 * W + 3] = 3;
    assert_ok(fnr_cv_dft(a, W, H, 0, a, &err), err);
    assert_ok(fnr_cv_dft(b, W, H, 0, b, &err), err);
    assert_ok(fnr_cv_mul_conj(a, b, W, H, c, &err), err);
    assert_ok(fnr_cv_idft(c, W, H, c, &err), err);
    float want[W * H] = {0};
    want[6 * W + 7] = 13; /* 2*2 + 3*3; one step off only one impulse meets: 6 */
    want[6 * W + 6] = want[6 * W + 8] = 6;
    assert_at_most(fnr_test_max_abs(c, want, W * H), 1e-5);
    fnr_test_check_guards(a, W * H);
    fnr_test_check_guards(b, W * H);
    fnr_test_check_guards(c, W * H);
    fnr_test_guarded_free(a);
    fnr_test_guarded_free(b);
    fnr_test_guarded_free(c);
}

static void good_sizes_are_products_of_2_3_5(void **state)
{
    (void)state;
    assert_int_equal(fnr_cv_good_dft_size(97), 100);
    assert_int_equal(fnr_cv_good_dft_size(2049), 2160);
    assert_int_equal(fnr_cv_good_dft_size(-1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_transform_by_hand),          cmocka_unit_test(packed_layout_matches_the_definition),
        cmocka_unit_test(in_place_and_zero_rows),           cmocka_unit_test(correlation_peaks_at_the_shift),
        cmocka_unit_test(good_sizes_are_products_of_2_3_5),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
