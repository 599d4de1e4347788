#include "tests/support/support.h"

#include "src/geom/warp.h"

enum { W = 97, H = 61 };

static const fnr_interp kinds[] = {FNR_INTERP_LINEAR, FNR_INTERP_CUBIC, FNR_INTERP_LANCZOS};
static const fnr_border borders[] = {FNR_BORDER_ZERO, FNR_BORDER_REFLECT, FNR_BORDER_REPLICATE};

static fnr_transform shift(double x, double y)
{
    fnr_transform t = fnr_transform_identity(FNR_FRAME_ANY);
    t.m02 = x;
    t.m12 = y;
    return t;
}

static double scene(double x, double y)
{
    return 100 + 40 * sin(0.31 * x + 0.17 * y) + 30 * cos(0.23 * y - 0.11 * x);
}

static void fill(float *px, int w, int h, double (*f)(double, double))
{
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            px[y * w + x] = (float)f(x, y);
        }
    }
}

static void warp(const float *src, const fnr_transform *t, fnr_interp interp, fnr_border border, float *dst, int w, int h)
{
    fnr_error err = {0};
    const fnr_view s = fnr_view_f32((float *)(uintptr_t)src, W, H);
    fnr_view d = fnr_view_f32(dst, w, h);
    assert_ok(fnr_warp_affine(&s, t, interp, border, &d, &err), err);
}

static double blob(double x, double y)
{
    return exp(-((x - 45) * (x - 45) + (y - 30) * (y - 30)) / (2 * 3.0 * 3.0));
}

/* OpenCV's warpAffine fails this: it rounds 0.1 px to 3/32 px. */
static void blob_centroid_follows_sub_pixel_shifts(void **state)
{
    (void)state;
    static float src[W * H];
    fill(src, W, H, blob);
    float *dst = fnr_test_guarded(W * H);
    for (size_t k = 0; k < 3; k++) {
        for (int step = -12; step <= 12; step++) {
            const double dx = 0.1 * step, dy = -0.07 * step;
            const fnr_transform t = shift(-dx, -dy);
            warp(src, &t, kinds[k], FNR_BORDER_ZERO, dst, W, H);
            double sum = 0, sx = 0, sy = 0;
            for (int i = 0; i < W * H; i++) {
                sum += dst[i];
                sx += (double)dst[i] * (i % W);
                sy += (double)dst[i] * (i / W);
            }
            /* Lanczos does not reproduce a ramp: its weights' first moment is off by up to 0.0145 px per axis. */
            const double limit = kinds[k] == FNR_INTERP_LANCZOS ? 0.0146 : 0.0005;
            assert_at_most(fabs(sx / sum - (45 + dx)), limit);
            assert_at_most(fabs(sy / sum - (30 + dy)), limit);
        }
    }
    fnr_test_check_guards(dst, W * H);
    fnr_test_guarded_free(dst);
}

static double plane(double x, double y)
{
    return 2 * x - 3 * y + 7;
}

static double parabola(double x, double y)
{
    return 0.03 * x * x - 0.05 * x * y + 0.02 * y * y + plane(x, y);
}

static double one(double x, double y)
{
    (void)x, (void)y;
    return 1;
}

/* The orders of polynomials that each kernel reproduces (Keys 1981). */
static void kernels_reproduce_polynomials(void **state)
{
    (void)state;
    double (*const truth[])(double, double) = {plane, parabola, one};
    const fnr_transform t = {0.3, 0.11, -0.2, 0.4, 20.3, 12.7, 0, 0};
    static float src[W * H];
    float *dst = fnr_test_guarded(53 * 31);
    for (size_t k = 0; k < 3; k++) {
        fill(src, W, H, truth[k]);
        warp(src, &t, kinds[k], FNR_BORDER_REPLICATE, dst, 53, 31);
        for (int y = 0; y < 31; y++) {
            for (int x = 0; x < 53; x++) {
                const fnr_point p = fnr_transform_apply(&t, (fnr_point){x, y});
                assert_at_most(fabs(dst[y * 53 + x] - truth[k](p.x, p.y)), 1e-4);
            }
        }
    }
    fnr_test_check_guards(dst, 53 * 31);
    fnr_test_guarded_free(dst);
}

static void rotated_scene_matches_its_formula(void **state)
{
    (void)state;
    static float src[W * H], dst[W * H];
    fill(src, W, H, scene);
    fnr_transform t = fnr_transform_similarity(0.5, 33, 0, 0, 0, 0);
    t.m02 = 40;
    t.m12 = 20;
    const double limit[] = {1.1, 0.12, 0.33}; /* of an amplitude of 70; Lanczos: slope 22 per px times its 0.0145 px */
    for (size_t k = 0; k < 3; k++) {
        warp(src, &t, kinds[k], FNR_BORDER_REPLICATE, dst, W, H);
        double worst = 0;
        for (int y = 0; y < 30; y++) {
            for (int x = 0; x < 50; x++) {
                const fnr_point p = fnr_transform_apply(&t, (fnr_point){x, y});
                if (p.x > 4 && p.y > 4 && p.x < W - 5 && p.y < H - 5) {
                    worst = fmax(worst, fabs(dst[y * W + x] - scene(p.x, p.y)));
                }
            }
        }
        assert_at_most(worst, limit[k]);
    }
}

/* Catmull-Rom and Lanczos weights of single taps, by hand. */
static void impulse_shows_the_kernel(void **state)
{
    (void)state;
    static float src[W * H], dst[W * H];
    src[30 * W + 40] = 1;
    const fnr_transform half = shift(0.5, 0);
    warp(src, &half, FNR_INTERP_LINEAR, FNR_BORDER_ZERO, dst, W, H);
    assert_at_most(fabs(dst[30 * W + 39] - 0.5), 0);
    assert_at_most(fabs(dst[30 * W + 40] - 0.5), 0);
    warp(src, &half, FNR_INTERP_CUBIC, FNR_BORDER_ZERO, dst, W, H);
    const float cubic[] = {-1.0f / 16, 9.0f / 16, 9.0f / 16, -1.0f / 16};
    assert_at_most(fnr_test_max_abs(dst + 30 * W + 38, cubic, 4), 1e-7);
    const fnr_transform quarter = shift(0.25, 0);
    warp(src, &quarter, FNR_INTERP_CUBIC, FNR_BORDER_ZERO, dst, W, H);
    /* Tap i sees the pixel at its distance: -(f - 2f2 + f3)/2 and so on at f = 1/4, from the right-most tap to the left-most. */
    const float keys[] = {-3.0f / 128, 29.0f / 128, 111.0f / 128, -9.0f / 128};
    assert_at_most(fnr_test_max_abs(dst + 30 * W + 38, keys, 4), 1e-7);
    warp(src, &half, FNR_INTERP_LANCZOS, FNR_BORDER_ZERO, dst, W, H);
    /* sinc(d) sinc(d/4) at d = 1/2, 3/2, 5/2, 7/2 = 0.620383, -0.166415, 0.059909, -0.012661; twice their sum = 1.002433. */
    const float lanczos[] = {-0.0126302f, 0.0597641f, -0.1660114f, 0.6188774f, 0.6188774f, -0.1660114f, 0.0597641f, -0.0126302f};
    assert_at_most(fnr_test_max_abs(dst + 30 * W + 36, lanczos, 8), 2e-7);
}

static void whole_pixel_shifts_are_exact(void **state)
{
    (void)state;
    static float src[W * H], dst[W * H];
    fill(src, W, H, scene);
    const fnr_transform t = shift(3, -2);
    for (size_t k = 0; k < 3; k++) {
        warp(src, &t, kinds[k], FNR_BORDER_ZERO, dst, W, H);
        for (int y = 2; y < H; y++) {
            assert_memory_equal(dst + y * W, src + (y - 2) * W + 3, (W - 3) * sizeof(float));
            assert_true(dst[y * W + W - 1] == 0);
        }
        assert_true(dst[0] == 0);
    }
}

static void borders_by_hand(void **state)
{
    (void)state;
    fnr_error err = {0};
    float src[4] = {1, 2, 3, 4}, dst[14];
    const fnr_view s = fnr_view_f32(src, 4, 1);
    fnr_view d = fnr_view_f32(dst, 14, 1);
    const fnr_transform t = shift(-5, 0); /* dst 0 looks at -5 */
    const float want[3][14] = {{0, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0},
                               {2, 3, 4, 3, 2, 1, 2, 3, 4, 3, 2, 1, 2, 3},
                               {1, 1, 1, 1, 1, 1, 2, 3, 4, 4, 4, 4, 4, 4}};
    for (size_t b = 0; b < 3; b++) {
        for (size_t k = 0; k < 3; k++) {
            assert_ok(fnr_warp_affine(&s, &t, kinds[k], borders[b], &d, &err), err);
            assert_at_most(fnr_test_max_abs(dst, want[b], 14), 0);
        }
    }
    /* Half a pixel outside: the zero border fades linearly. */
    const fnr_transform half = shift(-0.5, 0);
    assert_ok(fnr_warp_affine(&s, &half, FNR_INTERP_LINEAR, FNR_BORDER_ZERO, &d, &err), err);
    assert_at_most(fabs(dst[0] - 0.5), 0);
    assert_at_most(fabs(dst[4] - 2.0), 0);
    assert_at_most(fabs(dst[5]), 0);
}

static void one_pixel_images_and_huge_coordinates_stay_finite(void **state)
{
    (void)state;
    fnr_error err = {0};
    float src[1] = {5}, dst[6];
    const fnr_view s = fnr_view_f32(src, 1, 1);
    fnr_view d = fnr_view_f32(dst, 3, 2);
    const fnr_transform tests[] = {
        shift(0.3, -0.4), shift(1e300, -1e300), {1e200, 0, 0, -1e200, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0}};
    for (size_t i = 0; i < 4; i++) {
        for (size_t b = 0; b < 3; b++) {
            for (size_t k = 0; k < 3; k++) {
                assert_ok(fnr_warp_affine(&s, &tests[i], kinds[k], borders[b], &d, &err), err);
                for (int n = 0; n < 6; n++) {
                    assert_true(isfinite(dst[n]));
                    assert_true(borders[b] == FNR_BORDER_ZERO || fabsf(dst[n] - 5) < 1e-5f);
                }
            }
        }
    }
}

static void strided_views_are_respected(void **state)
{
    (void)state;
    fnr_error err = {0};
    static float src[W * H], turned[W * H], want[50 * 20];
    fill(src, W, H, scene);
    for (int i = 0; i < W * H; i++) {
        turned[(i % W) * H + i / W] = src[i];
    }
    fnr_view s = fnr_view_f32(src, W, H);
    fnr_view columns = fnr_view_f32(turned, W, H); /* stored column by column */
    columns.sx = H * 4;
    columns.sy = 4;
    const fnr_transform t = fnr_transform_similarity(0.9, 12, 8, 3, 0, 0);
    fnr_view w = fnr_view_f32(want, 50, 20);
    assert_ok(fnr_warp_affine(&s, &t, FNR_INTERP_CUBIC, FNR_BORDER_REFLECT, &w, &err), err);
    float *wide = fnr_test_guarded(60 * 20);
    fnr_view d = fnr_view_f32(wide + 5, 50, 20);
    d.sy = 60 * 4;
    assert_ok(fnr_warp_affine(&columns, &t, FNR_INTERP_CUBIC, FNR_BORDER_REFLECT, &d, &err), err);
    for (int y = 0; y < 20; y++) {
        assert_memory_equal(wide + y * 60 + 5, want + y * 50, 50 * sizeof(float));
        assert_true(isnan(wide[y * 60 + 4]) && isnan(wide[y * 60 + 55]));
    }
    fnr_test_check_guards(wide, 60 * 20);
    fnr_test_guarded_free(wide);
}

static void flow_moves_pixels(void **state)
{
    (void)state;
    fnr_error err = {0};
    static float src[W * H], fx[W * H], fy[W * H], dst[W * H], want[W * H];
    fill(src, W, H, scene);
    for (int i = 0; i < W * H; i++) {
        fx[i] = 1.25f;
        fy[i] = -0.5f;
    }
    fx[7] = NAN;
    fy[8] = INFINITY;
    const fnr_view s = fnr_view_f32(src, W, H), u = fnr_view_f32(fx, W, H), v = fnr_view_f32(fy, W, H);
    fnr_view d = fnr_view_f32(dst, W, H);
    assert_ok(fnr_warp_flow(&s, &u, &v, &d, &err), err);
    const fnr_transform t = shift(1.25, -0.5);
    warp(src, &t, FNR_INTERP_LINEAR, FNR_BORDER_REPLICATE, want, W, H);
    assert_true(isnan(dst[7]) && isnan(dst[8]));
    dst[7] = want[7];
    dst[8] = want[8];
    assert_at_most(fnr_test_max_abs(dst, want, W * H), 0);
    /* By hand: src(3 + 1.25, 2 - 0.5). */
    const float a = 0.75f * src[1 * W + 4] + 0.25f * src[1 * W + 5], b = 0.75f * src[2 * W + 4] + 0.25f * src[2 * W + 5];
    assert_at_most(fabs(dst[2 * W + 3] - 0.5f * (a + b)), 1e-4);
}

static void misuse_is_an_error(void **state)
{
    (void)state;
    fnr_error err = {0};
    float px[12] = {0};
    const fnr_view s = fnr_view_f32(px, 4, 3);
    fnr_view d = fnr_view_f32(px, 3, 4), bytes = s, deep = s;
    bytes.dtype = FNR_U8;
    deep.d = 2;
    fnr_transform t = shift(0, 0);
    assert_false(fnr_warp_affine(&bytes, &t, FNR_INTERP_LINEAR, FNR_BORDER_ZERO, &d, &err));
    assert_false(fnr_warp_affine(&deep, &t, FNR_INTERP_LINEAR, FNR_BORDER_ZERO, &d, &err));
    assert_false(fnr_warp_flow(&s, &s, &s, &d, &err));
    t.m01 = NAN;
    assert_false(fnr_warp_affine(&s, &t, FNR_INTERP_LINEAR, FNR_BORDER_ZERO, &d, &err));
    assert_int_equal(err.code, FNR_E_NUMERIC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blob_centroid_follows_sub_pixel_shifts),
        cmocka_unit_test(kernels_reproduce_polynomials),
        cmocka_unit_test(rotated_scene_matches_its_formula),
        cmocka_unit_test(impulse_shows_the_kernel),
        cmocka_unit_test(whole_pixel_shifts_are_exact),
        cmocka_unit_test(borders_by_hand),
        cmocka_unit_test(one_pixel_images_and_huge_coordinates_stay_finite),
        cmocka_unit_test(strided_views_are_respected),
        cmocka_unit_test(flow_moves_pixels),
        cmocka_unit_test(misuse_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
