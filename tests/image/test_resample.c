/* Resampling against Pillow 10 (Image.resize, BICUBIC, mode F: the same stretched Keys kernel) at interior pixels, where the two
 * treatments of the border do not differ; and joins without seams. */
#include "tests/support/support.h"

#include "src/image/resample.h"

enum { W = 40, H = 30 };

static float pattern[W * H];

static fnr_raster pattern_raster(void)
{
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            pattern[y * W + x] = (float)((x * 7 + y * 13) % 31) + 0.25f * (float)x - 0.5f * (float)y;
        }
    }
    fnr_error err = {0};
    fnr_raster r;
    const fnr_view v = fnr_view_f32(pattern, W, H);
    assert_ok(fnr_raster_from_view(&r, &v, &err), err);
    return r;
}

typedef struct {
    double f;
    int x, y;
    double pillow;
} expectation;

static void matches_pillow(void **state)
{
    (void)state;
    static const expectation table[] = {
        {0.3, 4, 3, 12.583173751831055}, {0.3, 6, 5, 11.50904369354248},   {0.3, 7, 4, 14.595609664916992},
        {2.5, 40, 30, 12.434677124023438}, {2.5, 41, 31, 18.04121971130371}, {2.5, 60, 44, 17.15403175354004},
    };
    fnr_raster r = pattern_raster();
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        fnr_error err = {0};
        float v = NAN;
        assert_ok(fnr_resample(&r, table[i].f, 0, table[i].x, table[i].y, 1, 1, &v, &err), err);
        assert_at_most(fabs(v - table[i].pillow), 2e-5); /* float sums of 14 taps of values near 15 */
    }
    fnr_raster_release(&r);
}

static void rectangles_join_without_seams(void **state)
{
    (void)state;
    static const double factors[] = {0.3, 0.71, 1, 2.5};
    fnr_raster r = pattern_raster();
    for (size_t k = 0; k < 4; k++) {
        fnr_error err = {0};
        const int w = (int)(W * factors[k]), h = (int)(H * factors[k]), cut_x = w / 3, cut_y = h / 2;
        float *whole = fnr_test_guarded((size_t)w * (size_t)h), *part = fnr_test_guarded((size_t)w * (size_t)h);
        assert_ok(fnr_resample(&r, factors[k], 0, 0, 0, w, h, whole, &err), err);
        const int rects[4][4] = {{0, 0, cut_x, cut_y}, {cut_x, 0, w - cut_x, cut_y}, {0, cut_y, cut_x, h - cut_y}, {cut_x, cut_y, w - cut_x, h - cut_y}};
        for (int q = 0; q < 4; q++) {
            const int *t = rects[q];
            assert_ok(fnr_resample(&r, factors[k], 0, t[0], t[1], t[2], t[3], part, &err), err);
            for (int y = 0; y < t[3]; y++) {
                assert_memory_equal(&part[y * t[2]], &whole[(t[1] + y) * w + t[0]], (size_t)t[2] * sizeof *part);
            }
        }
        fnr_test_check_guards(whole, (size_t)w * (size_t)h);
        fnr_test_guarded_free(whole);
        fnr_test_guarded_free(part);
    }
    fnr_raster_release(&r);
}

/* A constant stays constant up to the border, also where a pixel is NaN and filled with that constant. */
static void keeps_constants_and_fills_nan(void **state)
{
    (void)state;
    float flat[7 * 5], out[3 * 2];
    fnr_error err = {0};
    fnr_raster r;
    for (int i = 0; i < 35; i++) {
        flat[i] = 3.5f;
    }
    flat[17] = NAN;
    const fnr_view v = fnr_view_f32(flat, 7, 5);
    assert_ok(fnr_raster_from_view(&r, &v, &err), err);
    assert_ok(fnr_resample(&r, 0.43, 3.5f, 0, 0, 3, 2, out, &err), err);
    for (int i = 0; i < 6; i++) {
        assert_at_most(fabsf(out[i] - 3.5f), 1e-6);
    }
    fnr_raster_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_pillow),
        cmocka_unit_test(rectangles_join_without_seams),
        cmocka_unit_test(keeps_constants_and_fills_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
