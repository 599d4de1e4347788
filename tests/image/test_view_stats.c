/* Views, images and statistics, against numbers worked out by hand or with numpy. */
#include "tests/support/support.h"

#include "src/image/stats.h"

static void layout_of_an_image(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_image im;
    assert_ok(fnr_image_new(&im, 5, 3, 4, 2, FNR_U16, &err), err);
    assert_true(im.v.sx == 2 && im.v.sy == 10 && im.v.sz == 30 && im.v.sc == 120 && im.v.nm == 0);
    for (int i = 0; i < 5 * 3 * 4 * 2; i++) {
        assert_int_equal(((uint16_t *)im.v.px)[i], 0);
        ((uint16_t *)im.v.px)[i] = (uint16_t)(i + 1000);
    }
    assert_at_most(fabs((double)fnr_pixel(&im.v, 3, 2, 1, 1) - (1000 + 60 + 15 + 10 + 3)), 0);
    const fnr_view plane = fnr_view_plane(&im.v, 2, 1), crop = fnr_view_crop(&plane, 1, 1, 4, 2);
    assert_true(plane.d == 1 && plane.c == 1 && crop.w == 4 && crop.h == 2);
    assert_at_most(fabs((double)fnr_pixel(&crop, 3, 1, 0, 0) - (1000 + 60 + 30 + 10 + 4)), 0);
    fnr_image_free(&im);
    assert_null(im.v.px);
    fnr_image_free(&im);
    fnr_image_free(NULL);
}

static void sizes_that_are_refused(void **state)
{
    (void)state;
    static const int sizes[][4] = {{0, 5, 1, 1},
                                   {5, -1, 1, 1},
                                   {5, 5, 0, 1},
                                   {5, 5, 1, 0},
                                   {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX},
                                   {INT32_MAX, INT32_MAX, 4, 1},
                                   {1 << 20, 1 << 16, 1, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fnr_error err = {0};
        fnr_image im;
        assert_false(fnr_image_new(&im, sizes[i][0], sizes[i][1], sizes[i][2], sizes[i][3], FNR_F32, &err));
        assert_int_equal(err.code, i < 4 ? FNR_E_INTERNAL : FNR_E_LIMIT);
        assert_null(im.v.px);
    }
}

static void to_float(void **state)
{
    (void)state;
    fnr_error err = {0};
    uint8_t bytes[2 * 3 * 4]; /* 4 x 3, interleaved with a second channel */
    for (int i = 0; i < 24; i++) {
        bytes[i] = (uint8_t)(i * 10);
    }
    const fnr_view v = {
        .w = 4, .h = 3, .d = 1, .c = 2, .dtype = FNR_U8, .sx = 2, .sy = 8, .sz = 24, .sc = 1, .nm = 3.5, .px = bytes};
    fnr_image im;
    assert_ok(fnr_image_to_f32(&v, 0, 1, &im, &err), err);
    assert_true(im.v.dtype == FNR_F32 && im.v.w == 4 && im.v.h == 3 && im.v.c == 1);
    assert_at_most(fabs(im.v.nm - 3.5), 0);
    for (int i = 0; i < 12; i++) {
        assert_at_most(fabs((double)((float *)im.v.px)[i] - (2 * i + 1) * 10), 0);
    }
    fnr_image_free(&im);
}

/* numpy: a = [3, -1, nan, 4, inf, 10]; finite mean 4, population sd sqrt((1+25+0+36)/4) = sqrt(15.5) */
static void small_statistics(void **state)
{
    (void)state;
    float px[6] = {3, -1, NAN, 4, INFINITY, 10};
    fnr_view v = fnr_view_f32(px, 3, 2);
    fnr_stats s = fnr_stats_of(&v);
    assert_true(s.count == 4 && s.nonfinite == 2);
    assert_at_most(fabs(s.mean - 4), 1e-15);
    assert_at_most(fabs(s.sd - sqrt(15.5)), 1e-15);
    assert_true(s.min == -1 && s.max == 10);
    fnr_zscore(&v, &s);
    static const double expected[6] = {-1, -5, 0, 0, 0, 6};
    for (int i = 0; i < 6; i++) {
        assert_at_most(fabs((double)px[i] - expected[i] / sqrt(15.5)), 1e-6);
    }
    assert_at_most(fabs(s.mean - 4), 1e-15);
}

/* A large offset: sum(x^2)/n - mean^2 in float or double would give nothing of this. */
static void offset_does_not_hurt(void **state)
{
    (void)state;
    float px[999];
    for (int i = 0; i < 999; i++) {
        px[i] = 8388608.0f + (float)(i % 3);
    }
    const fnr_view v = fnr_view_f32(px, 37, 27);
    const fnr_stats s = fnr_stats_of(&v);
    assert_at_most(fabs(s.mean - 8388609), 1e-6);
    assert_at_most(fabs(s.sd - sqrt(2.0 / 3)), 1e-9);
}

static void flat_and_empty(void **state)
{
    (void)state;
    float flat[6] = {0.1f, 0.1f, 0.1f, NAN, 0.1f, 0.1f}, none[2] = {NAN, -INFINITY};
    fnr_view v = fnr_view_f32(flat, 3, 2), n = fnr_view_f32(none, 2, 1);
    assert_true(fnr_stats_of(&v).sd == 0);
    assert_at_most(fabs(fnr_quantile(&v, 0.3) - (double)0.1f), 0);
    fnr_zscore(&v, NULL);
    for (int i = 0; i < 6; i++) {
        assert_true(flat[i] == 0);
    }
    const fnr_stats s = fnr_stats_of(&n);
    assert_true(s.count == 0 && s.nonfinite == 2 && isnan(s.mean) && isnan(s.sd) && isnan(s.min) && isnan(s.max));
    assert_true(isnan(fnr_quantile(&n, 0.5)));
    fnr_zscore(&n, NULL);
    assert_true(none[0] == 0 && none[1] == 0);
}

/* Nearest rank: of 1..1000 (shuffled, with NaN between) the value at q is ceil(1000 q), up to half a bin of 999/65535. */
static void quantiles(void **state)
{
    (void)state;
    static float px[1010];
    for (int i = 0, k = 0; i < 1010; i++) {
        px[i] = i % 101 == 50 ? NAN : (float)(1 + (k++ * 377) % 1000);
    }
    const fnr_view v = fnr_view_f32(px, 101, 10);
    assert_int_equal(fnr_stats_of(&v).count, 1000);
    static const double q[] = {0.0005, 0.001, 0.01, 0.25, 0.5, 0.5001, 0.997, 0.9999};
    static const double expected[] = {1, 1, 10, 250, 500, 501, 997, 1000};
    for (int i = 0; i < 8; i++) {
        assert_at_most(fabs(fnr_quantile(&v, q[i]) - expected[i]), 0.0077);
    }
    assert_true(fnr_quantile(&v, 0) == 1 && fnr_quantile(&v, 1) == 1000 && fnr_quantile(&v, -3) == 1 &&
                fnr_quantile(&v, 7) == 1000);
    assert_true(isnan(fnr_quantile(&v, NAN)));
}

/* Full-range 8- and 16-bit data come out as their own integers, also when most pixels share one bin. */
static void quantiles_of_integers(void **state)
{
    (void)state;
    uint16_t px[301];
    for (int i = 0; i < 301; i++) {
        px[i] = i < 250 ? 7 : (uint16_t)(20000 + i);
    }
    px[299] = 0;
    px[300] = 65535;
    const fnr_view v = {.w = 43, .h = 7, .d = 1, .c = 1, .dtype = FNR_U16, .sx = 2, .sy = 86, .px = px};
    assert_true(fnr_quantile(&v, 0.5) == 7);
    assert_true(fnr_quantile(&v, 252.0 / 301) == 20250);
    assert_true(fnr_quantile(&v, 300.0 / 301) == 20298);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout_of_an_image), cmocka_unit_test(sizes_that_are_refused), cmocka_unit_test(to_float),
        cmocka_unit_test(small_statistics),   cmocka_unit_test(offset_does_not_hurt),   cmocka_unit_test(flat_and_empty),
        cmocka_unit_test(quantiles),          cmocka_unit_test(quantiles_of_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
