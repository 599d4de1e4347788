#include "tests/support/support.h"

#include <fcntl.h>
#include <unistd.h>

#include "src/cv/cv.h"

enum { W = 173, H = 131 };

/* Smooth texture without symmetry; waves of 9 to 60 px. */
static double texture(double x, double y)
{
    return 128 + 30 * sin(0.31 * x + 0.23 * y) + 25 * sin(0.17 * x - 0.41 * y + 1) + 20 * cos(0.53 * x + 0.11 * y) +
           25 * sin(0.11 * x + 0.07 * y + 2);
}

/* texture(t(x, y)) */
static void draw(float *px, const fnr_transform *t)
{
    for (int i = 0; i < W * H; i++) {
        const fnr_point p = fnr_transform_apply(t, (fnr_point){i % W, i / W});
        px[i] = (float)texture(p.x, p.y);
    }
}

static void resize_averages_areas(void **state)
{
    (void)state;
    fnr_error err = {0};
    float src[2 * 6] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, half[3], thirds[4];
    const fnr_view s = fnr_view_f32(src, 6, 2);
    fnr_view d = fnr_view_f32(half, 3, 1);
    assert_ok(fnr_cv_resize(&s, &d, &err), err);
    assert_at_most(fnr_test_max_abs(half, (float[]){4.5f, 6.5f, 8.5f}, 3), 1e-6);
    /* 6 -> 4: the first new pixel covers 1 1/2 old ones: (1 + 2/2) / 1.5. */
    d = fnr_view_f32(thirds, 4, 1);
    assert_ok(fnr_cv_resize(&s, &d, &err), err);
    assert_at_most(fnr_test_max_abs(thirds, (float[]){13 / 3.0f, 17 / 3.0f, 22 / 3.0f, 26 / 3.0f}, 4), 1e-5);
}

static void resize_takes_bytes_and_words_without_rounding(void **state)
{
    (void)state;
    fnr_error err = {0};
    uint8_t bytes[4] = {1, 2, 255, 254};
    uint16_t words[4] = {1, 2, 65535, 65534};
    float out[2];
    fnr_view s = {.w = 4, .h = 1, .d = 1, .c = 1, .dtype = FNR_U8, .sx = 1, .sy = 4, .px = bytes};
    fnr_view d = fnr_view_f32(out, 2, 1);
    assert_ok(fnr_cv_resize(&s, &d, &err), err);
    assert_at_most(fnr_test_max_abs(out, (float[]){1.5f, 254.5f}, 2), 0);
    s = (fnr_view){.w = 4, .h = 1, .d = 1, .c = 1, .dtype = FNR_U16, .sx = 2, .sy = 8, .px = words};
    assert_ok(fnr_cv_resize(&s, &d, &err), err);
    assert_at_most(fnr_test_max_abs(out, (float[]){1.5f, 65534.5f}, 2), 0);
}

/* Every size change keeps the corners of the image where they are: a ramp stays the ramp of fnr_transform_resample. */
static void resize_agrees_with_the_resample_transform(void **state)
{
    (void)state;
    fnr_error err = {0};
    static float src[60 * 44], out[120 * 88];
    for (int i = 0; i < 60 * 44; i++) {
        src[i] = (float)(3 * (i % 60) + 5 * (i / 60));
    }
    const fnr_view s = fnr_view_f32(src, 60, 44);
    const int sizes[][2] = {{20, 11}, {24, 16}, {120, 88}, {25, 80}, {90, 11}, {60, 44}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const int w = sizes[k][0], h = sizes[k][1];
        fnr_view d = fnr_view_f32(out, w, h);
        assert_ok(fnr_cv_resize(&s, &d, &err), err);
        const fnr_transform back = fnr_transform_resample(60.0 / w, 44.0 / h, 0, 0);
        for (int y = 3; y < h - 3; y++) {
            for (int x = 3; x < w - 3; x++) {
                const fnr_point p = fnr_transform_apply(&back, (fnr_point){x, y});
                /* An area that covers fractions of pixels sees a staircase, not a ramp. */
                const double limit = 60 % w && w < 60 ? 0.4 : 1e-3;
                assert_at_most(fabs(out[y * w + x] - (3 * p.x + 5 * p.y)), limit + (44 % h && h < 44 ? 0.7 : 0));
            }
        }
    }
}

static void blur_has_its_variance(void **state)
{
    (void)state;
    fnr_error err = {0};
    static float src[W * H], dst[W * H];
    memset(src, 0, sizeof src);
    src[60 * W + 80] = 1;
    const fnr_view s = fnr_view_f32(src, W, H);
    fnr_view d = fnr_view_f32(dst, W, H);
    for (double sigma = 0.8; sigma < 10; sigma *= 2) {
        assert_ok(fnr_cv_blur(&s, sigma, &d, &err), err);
        double sum = 0, xx = 0, yy = 0;
        for (int i = 0; i < W * H; i++) {
            sum += dst[i];
            xx += (double)dst[i] * (i % W - 80) * (i % W - 80);
            yy += (double)dst[i] * (i / W - 60) * (i / W - 60);
        }
        assert_at_most(fabs(sum - 1), 1e-5);
        assert_at_most(fabs(sqrt(xx) / sigma - 1), 0.01);
        assert_at_most(fabs(sqrt(yy) / sigma - 1), 0.01);
    }
    assert_ok(fnr_cv_blur(&s, 0, &d, &err), err);
    assert_memory_equal(src, dst, sizeof src);
}

static void blur_reflects_without_repeating_the_edge(void **state)
{
    (void)state;
    fnr_error err = {0};
    float src[9] = {0, 1, 0, 0, 0, 0, 0, 0, 0}, dst[9];
    const fnr_view s = fnr_view_f32(src, 9, 1);
    fnr_view d = fnr_view_f32(dst, 9, 1);
    assert_ok(fnr_cv_blur(&s, 0.5, &d, &err), err);
    /* Pixel 0 sees the 1 on both sides; pixel 2 on one. */
    assert_at_most(fabs(dst[0] / dst[2] - 2), 1e-5);
}

static void strided_views_work_everywhere(void **state)
{
    (void)state;
    fnr_error err = {0};
    static float src[40 * 30], turned[40 * 30], want[40 * 30];
    for (int i = 0; i < 40 * 30; i++) {
        src[i] = (float)texture(i % 40, i / 40);
        turned[(i % 40) * 30 + i / 40] = src[i];
    }
    const fnr_view s = fnr_view_f32(src, 40, 30);
    fnr_view columns = fnr_view_f32(turned, 40, 30), w = fnr_view_f32(want, 40, 30);
    columns.sx = 30 * 4;
    columns.sy = 4;
    assert_ok(fnr_cv_blur(&s, 1.5, &w, &err), err);
    float *wide = fnr_test_guarded(50 * 30);
    fnr_view rows = fnr_view_f32(wide + 4, 40, 30); /* dense rows with gaps between: written in place */
    rows.sy = 50 * 4;
    assert_ok(fnr_cv_blur(&columns, 1.5, &rows, &err), err);
    for (int y = 0; y < 30; y++) {
        assert_at_most(fnr_test_max_abs(wide + y * 50 + 4, want + y * 40, 40), 0);
        assert_true(isnan(wide[y * 50 + 3]) && isnan(wide[y * 50 + 44]));
    }
    fnr_view sparse = fnr_view_f32(wide, 20, 30); /* every second pixel: copied */
    sparse.sx = 8;
    sparse.sy = 50 * 4;
    fnr_view part = s;
    part.w = 20;
    fnr_view w20 = fnr_view_f32(want, 20, 30);
    assert_ok(fnr_cv_blur(&part, 1.5, &w20, &err), err);
    assert_ok(fnr_cv_blur(&part, 1.5, &sparse, &err), err);
    for (int i = 0; i < 20 * 30; i++) {
        assert_true(*(float *)fnr_at(&sparse, i % 20, i / 20, 0, 0) == want[i]);
    }
    fnr_test_check_guards(wide, 50 * 30);
    fnr_test_guarded_free(wide);
}

static int compare_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double median_away_from_edges(const float *px)
{
    static float v[W * H];
    size_t n = 0;
    for (int y = 20; y < H - 20; y++) {
        for (int x = 20; x < W - 20; x++) {
            v[n++] = px[y * W + x];
        }
    }
    qsort(v, n, sizeof *v, compare_floats);
    return v[n / 2];
}

static void flow_finds_a_shift(void **state)
{
    (void)state;
    fnr_error err = {0};
    static float fixed[W * H], moving[W * H], u[W * H], v[W * H];
    fnr_transform t = fnr_transform_identity(FNR_FRAME_ANY);
    draw(fixed, &t);
    t.m02 = -2.3; /* moving(p) = fixed(p - (2.3, -1.4)) */
    t.m12 = 1.4;
    draw(moving, &t);
    const fnr_view a = fnr_view_f32(fixed, W, H), b = fnr_view_f32(moving, W, H);
    fnr_view fu = fnr_view_f32(u, W, H), fv = fnr_view_f32(v, W, H);
    assert_ok(fnr_cv_flow_dis(&a, &b, 0, 255, &fu, &fv, &err), err);
    assert_at_most(fabs(median_away_from_edges(u) - 2.3), 0.05);
    assert_at_most(fabs(median_away_from_edges(v) + 1.4), 0.05);
    assert_false(fnr_cv_flow_dis(&a, &b, 5, 5, &fu, &fv, &err));
    assert_false(fnr_cv_flow_dis(&a, &b, NAN, 5, &fu, &fv, &err));
}

static double ecc_error(const fnr_transform *truth, bool affine, const fnr_view *mask, double *rho)
{
    fnr_error err = {0};
    static float fixed[W * H], moving[W * H];
    const fnr_transform id = fnr_transform_identity(FNR_FRAME_ANY);
    /* fixed(p) = texture(truth p), moving(q) = texture(q): dst_to_src = truth. */
    draw(fixed, truth);
    draw(moving, &id);
    if (mask) { /* spoil what the mask leaves out */
        for (int i = 0; i < W * H; i++) {
            fixed[i] = ((const uint8_t *)mask->px)[i] ? fixed[i] : (float)(i * 7919 % 256);
        }
    }
    const fnr_view a = fnr_view_f32(fixed, W, H), b = fnr_view_f32(moving, W, H);
    fnr_transform t = id;
    assert_ok(fnr_cv_ecc(&a, &b, mask, affine, 100, 1e-7, 0, &t, rho, &err), err);
    return fnr_transform_mean_distance(&t, truth, W, H);
}

static void ecc_finds_known_maps(void **state)
{
    (void)state;
    double rho = 0;
    const fnr_transform shift = {1, 0, 0, 1, 1.37, -0.82, 0, 0};
    const fnr_transform turn = fnr_transform_similarity(1, 1.2, 1.1, -0.6, 0, 0);
    const fnr_transform affine = {1.01, 0.012, -0.02, 0.985, 0.7, 1.9, 0, 0};
    assert_at_most(ecc_error(&shift, true, NULL, &rho), 0.02);
    assert_at_most(1 - rho, 0.006); /* linear interpolation blurs a little */
    assert_at_most(ecc_error(&turn, false, NULL, &rho), 0.02);
    assert_at_most(ecc_error(&affine, true, NULL, &rho), 0.02);
}

static void ecc_mask_lies_on_the_fixed_image(void **state)
{
    (void)state;
    static uint8_t px[W * H];
    for (int i = 0; i < W * H; i++) {
        px[i] = i % W < 110 ? 255 : 0; /* the right third of the fixed image is spoilt */
    }
    const fnr_view mask = {.w = W, .h = H, .d = 1, .c = 1, .dtype = FNR_U8, .sx = 1, .sy = W, .px = px};
    const fnr_transform affine = {1.01, 0.012, -0.02, 0.985, 0.7, 1.9, 0, 0};
    double rho = 0;
    assert_at_most(ecc_error(&affine, true, &mask, &rho), 0.05);
    assert_at_most(1 - rho, 0.01);
}

/* Runs a call that fails inside OpenCV; nothing may appear on stderr. */
static void failures_become_errors_and_print_nothing(void **state)
{
    (void)state;
    fnr_error err = {0};
    static float flat[W * H], dst[W * H];
    char path[512];
    snprintf(path, sizeof path, "%s/stderr", fnr_test_tmpdir());
    const int keep = dup(2), file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(file, 2);
    const fnr_view a = fnr_view_f32(flat, W, H);
    fnr_view small = fnr_view_f32(dst, 7, 5);
    fnr_transform t = fnr_transform_identity(FNR_FRAME_ANY), before = t;
    double rho = 0;
    const bool blurred = fnr_cv_blur(&a, 1, &small, &err);
    const fnr_error blur_err = err;
    const bool constant = fnr_cv_ecc(&a, &a, NULL, true, 20, 1e-6, 0, &t, &rho, &err);
    const fnr_error ecc_err = err;
    const bool tiny_flow = fnr_cv_flow_dis(&small, &small, 0, 1, &small, &small, &err);
    const fnr_error flow_err = err;
    dup2(keep, 2);
    const off_t printed = lseek(file, 0, SEEK_END);
    close(file);
    close(keep);
    assert_false(blurred);
    assert_int_equal(blur_err.code, FNR_E_INTERNAL);
    assert_non_null(strstr(blur_err.message, "OpenCV could not blur an image: src->w == dst->w"));
    assert_false(constant);
    assert_int_equal(ecc_err.code, FNR_E_NUMERIC);
    assert_non_null(strstr(ecc_err.message, "NaN encountered"));
    assert_memory_equal(&t, &before, sizeof t);
    assert_false(tiny_flow);
    assert_non_null(strstr(flow_err.message, "optical flow"));
    assert_int_equal(printed, 0);
}

static void misuse_is_an_error(void **state)
{
    (void)state;
    fnr_error err = {0};
    static float px[W * H], out[W * H];
    const fnr_view s = fnr_view_f32(px, W, H);
    fnr_view d = fnr_view_f32(out, W, H), bytes = s, stack = s;
    bytes.dtype = FNR_U8;
    stack.c = 3;
    assert_false(fnr_cv_blur(&bytes, 1, &d, &err));
    assert_false(fnr_cv_resize(&stack, &d, &err));
    assert_false(fnr_cv_resize(&s, &bytes, &err));
    assert_false(fnr_cv_blur(&s, -1, &d, &err));
    assert_false(fnr_cv_blur(&s, NAN, &d, &err));
    assert_false(fnr_cv_blur(&s, 1e9, &d, &err));
    fnr_transform scaled = {0.5, 0, 0, 0.5, 0, 0, 0, 0};
    double rho;
    assert_false(fnr_cv_ecc(&s, &s, NULL, false, 20, 1e-6, 0, &scaled, &rho, &err));
}

int main(int argc, char **argv)
{
    (void)argc;
    /* OpenCV looks at this while it is loaded: let it print its exceptions, if it can. */
    if (!getenv("OPENCV_DUMP_ERRORS")) {
        setenv("OPENCV_DUMP_ERRORS", "1", 1);
        execv("/proc/self/exe", argv);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resize_averages_areas),
        cmocka_unit_test(resize_takes_bytes_and_words_without_rounding),
        cmocka_unit_test(resize_agrees_with_the_resample_transform),
        cmocka_unit_test(blur_has_its_variance),
        cmocka_unit_test(blur_reflects_without_repeating_the_edge),
        cmocka_unit_test(strided_views_work_everywhere),
        cmocka_unit_test(flow_finds_a_shift),
        cmocka_unit_test(ecc_finds_known_maps),
        cmocka_unit_test(ecc_mask_lies_on_the_fixed_image),
        cmocka_unit_test(failures_become_errors_and_print_nothing),
        cmocka_unit_test(misuse_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
