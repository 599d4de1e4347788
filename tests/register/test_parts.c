/* The pieces under the search, each against a second way to get the same number. */
#include "register/coarse.h"
#include "register/normal.h"
#include "src/cv/cv.h"
#include "tests/register/rings.h"

enum { MW = 330, MH = 250, TW = 170, TH = 130 };
#define NET_NM 80.0

static void halving_keeps_positions(void **state)
{
    (void)state;
    fnr_grid g, half = {0};
    fnr_error err;
    assert_ok(fnr_grid_new(&g, 21, 10, "test", &err), err);
    for (int y = 0; y < g.h; y++) {
        for (int x = 0; x < g.w; x++) {
            g.px[y * g.w + x] = (float)(3 * x - 2 * y);
        }
    }
    assert_ok(fnr_grid_halve(&g, &half, &err), err);
    assert_int_equal(half.w, 11);
    assert_int_equal(half.h, 5);
    for (int y = 1; y < 4; y++) { /* a ramp stays a ramp: pixel p lies at 2 p + 0.5 of the source */
        for (int x = 1; x < 9; x++) {
            assert_at_most(fabs((double)half.px[y * half.w + x] - (3 * (2 * x + 0.5) - 2 * (2 * y + 0.5))), 1e-4);
        }
    }
    fnr_grid_free(&g);
    fnr_grid_free(&half);
}

static void compression_finds_the_typical_brightness(void **state)
{
    (void)state;
    /* 1000 background pixels 9, 10, 11 in turn; then ten of 110 and five of 60: excess 100 * 10 + 50 * 5, half of it reached at
     * 110. */
    float v[1015];
    for (int i = 0; i < 1000; i++) {
        v[i] = (float)(9 + i % 3);
    }
    for (int i = 1000; i < 1015; i++) {
        v[i] = i < 1010 ? 110 : 60;
    }
    const fnr_compression c = fnr_compression_fit(v, 1015, 0.5);
    assert_at_most(fabs(c.background - 10), 1e-9);
    assert_at_most(fabs(c.knee - 50), 1e-9);
    assert_at_most(fabs((double)fnr_compress(&c, 60) - 0.5), 1e-6);
    assert_true(fnr_compress(&c, 10) == 0);
    assert_true(fnr_compress(&c, 1e30) <= 1);
}

static void poses_and_transforms_agree(void **state)
{
    (void)state;
    const fnr_tile_size s = {TW, TH, 0.8};
    const fnr_transform t = rings_place(TW, TH, NET_NM, 120.25, 88.5, 0.95, 37);
    fnr_pose p;
    fnr_error err;
    fnr_transform back;
    assert_ok(fnr_pose_from_transform(&t, &s, &p, &err), err);
    assert_at_most(hypot(p.cx - 120.25, p.cy - 88.5), 1e-9);
    assert_at_most(fabs(fnr_pose_scale(&p, &s) - 0.95), 1e-9);
    assert_at_most(fabs(fnr_pose_rotation_deg(&p) - 37), 1e-9);
    assert_ok(fnr_pose_to_transform(&p, &s, &back, &err), err);
    assert_at_most(fnr_transform_mean_distance(&t, &back, TW, TH), 1e-9);
    const fnr_pose q = fnr_pose_similarity(&s, 120.25, 88.5, 0.95, 37);
    assert_at_most(fnr_pose_distance(&p, &q, &s), 1e-9);
    /* A change by 1, -2 px, 3 degrees and +1 % is that similarity. */
    const double change[FNR_POSE_PARAMETERS] = {1, -2, 3 * 0.017453292519943295, log(1.01), 0, 0};
    const fnr_pose moved = fnr_pose_changed(&p, change), expected = fnr_pose_similarity(&s, 121.25, 86.5, 0.95 * 1.01, 40);
    assert_at_most(fnr_pose_distance(&moved, &expected, &s), 1e-9);
}

typedef struct {
    ring_field field;
    fnr_target *target;
    fnr_template tpl;
    fnr_register_options opt;
    fnr_match m;
} bench;

static void bench_new(bench *b, double cx, double cy, double rotation)
{
    fnr_error err;
    fnr_cv_set_threads(1);
    b->field = rings_new(3, MW, MH);
    b->opt = fnr_register_defaults();
    fnr_image montage = rings_montage(&b->field, MW, MH, 0.05, 1);
    const fnr_transform t = rings_place(TW, TH, NET_NM, cx, cy, 0.97, rotation);
    fnr_image p = rings_prediction(&b->field, &t, TW, TH, NET_NM, 0.2, 2);
    b->target = fnr_target_new(&montage.v, 100, &b->opt, &err);
    assert_ok(b->target, err);
    assert_ok(fnr_template_new(&b->tpl, &p.v, 100, b->target->n_levels - 1, b->opt.compression_knee, 0, &err), err);
    b->m = (fnr_match){.target = b->target, .tpl = &b->tpl, .opt = &b->opt};
    fnr_image_free(&montage);
    fnr_image_free(&p);
}

static void bench_free(bench *b)
{
    fnr_target_free(b->target);
    fnr_template_free(&b->tpl);
}

/* Derivatives of the drawn tile against differences of drawings moved by a little. */
static void drawn_gradients_are_derivatives(void **state)
{
    (void)state;
    bench b;
    bench_new(&b, 160, 120, 25);
    const fnr_pose p = fnr_pose_similarity(&b.tpl.size, 160, 120, 0.97, 25);
    const fnr_window win = {.level = 0, .x = 130, .y = 100, .w = 50, .h = 31};
    enum { N = 50 * 31 };
    static float value[N], weight[N], gx[N], gy[N], plus[N], minus[N];
    fnr_template_draw_gradient(&b.tpl, &p, &win, value, weight, gx, gy);
    const double step = 0.02;
    fnr_pose right = p, left = p; /* moving the tile left shows what lies to the right */
    left.cx -= step, right.cx += step;
    fnr_template_draw(&b.tpl, &left, &win, plus, weight);
    fnr_template_draw(&b.tpl, &right, &win, minus, weight);
    double worst = 0, largest = 0;
    for (int i = 0; i < N; i++) {
        const double numeric = ((double)plus[i] - (double)minus[i]) / (2 * step);
        const double exact = (double)gx[i] * p.m00 + (double)gy[i] * p.m10;
        worst = fmax(worst, fabs(numeric - exact));
        largest = fmax(largest, fabs(exact));
    }
    assert_true(largest > 0.05);
    assert_at_most(worst, 0.01 * largest);
    bench_free(&b);
}

/* Energy of the montage that the tile under `pose` leaves unexplained. */
static double unexplained(const bench *b, const fnr_scratch *s, const fnr_pose *pose, const fnr_window *win, bool slopes, fnr_view_of_pose *v)
{
    fnr_error err;
    *v = (fnr_view_of_pose){.pose = *pose, .win = *win, .level = 0, .parameters = FNR_POSE_PARAMETERS};
    assert_ok(fnr_normal_view(&b->m, s, slopes, v, &err), err);
    return (1 - v->match * v->match) * (v->detail.ii + v->detail.n * FNR_NOISE_FLOOR * FNR_NOISE_FLOOR);
}

/* The gradient of the fine fit, whose local means and gains follow the pose, against differences of what is left unexplained.  The window
 * lies inside the tile, so that no weight changes, and the gradient is exact: what remains is the rounding of single precision, 1e-5 of it
 * here.  Gains that do not follow make 9 %, the whole tile's gain alone, to which local ones are drawn, 1.6 %. */
static void fine_gradient_is_the_derivative(void **state)
{
    (void)state;
    bench b;
    fnr_error err;
    fnr_scratch s = {0};
    fnr_view_of_pose v;
    bench_new(&b, 160, 120, 25);
    b.m.local = true;
    const fnr_pose p = fnr_pose_similarity(&b.tpl.size, 160.9, 119.6, 0.975, 26);
    const fnr_window win = {.level = 0, .x = 161 - 24, .y = 120 - 20, .w = 49, .h = 41};
    const size_t n = (size_t)win.w * (size_t)win.h;
    assert_ok(fnr_scratch_fit(&s, n, &err) && fnr_normal_montage(&b.m, 0, &win, &s, &err), err);
    fnr_template_draw_linear(b.m.tpl, &p, &win, s.drawn, s.weight, NULL, NULL);
    for (size_t k = 0; k < n; k++) {
        assert_true(s.weight[k] == 1);
    }
    double half[FNR_POSE_PARAMETERS];
    unexplained(&b, &s, &p, &win, true, &v);
    assert_true(v.linear);
    fnr_normal_gradient(&v, &s, half);
    const double lever_px = 20; /* of rotation, scale and shears */
    for (int q = 0; q < FNR_POSE_PARAMETERS; q++) {
        const double step = q < 2 ? 0.01 : 0.01 / lever_px;
        double change[FNR_POSE_PARAMETERS] = {0}, left[2];
        for (int side = 0; side < 2; side++) {
            change[q] = side ? step : -step;
            const fnr_pose moved = fnr_pose_changed(&p, change);
            left[side] = unexplained(&b, &s, &moved, &win, false, &v);
        }
        const double numeric = (left[1] - left[0]) / (2 * step), exact = -2 * half[q];
        print_message("parameter %d: gradient %.5g, by differences %.5g\n", q, exact, numeric);
        assert_at_most(fabs(numeric - exact), 1e-3 * (q < 2 ? 1 : lever_px) * 2 * hypot(half[0], half[1]));
    }
    fnr_scratch_free(&s);
    bench_free(&b);
}

/* The FFT search's scores against direct sums over the same pixels, for tiles inside, turned by any quarter, and over the border.
 */
static void coarse_scores_are_exact(void **state)
{
    (void)state;
    const double at[][3] = {{160, 120, 20}, {30, 120, 110}, {170, MH - 25, -75}, {MW - 30, 40, -160}};
    for (int k = 0; k < 4; k++) {
        bench b;
        fnr_error err;
        fnr_scratch s = {0};
        fnr_hit *hits = NULL;
        size_t n = 0, border = 0;
        bench_new(&b, at[k][0], at[k][1], at[k][2]);
        assert_ok(fnr_coarse_search(&b.m, 60, &hits, &n, &err), err);
        assert_int_equal(n, 60);
        for (size_t i = 0; i < n; i++) {
            fnr_hit direct = hits[i];
            assert_ok(fnr_match_score(&b.m, b.target->n_levels - 1, &direct, &s, &err), err);
            assert_at_most(fabs(direct.score - hits[i].score), 2e-3);
            assert_true(direct.overlap >= b.opt.min_overlap - 0.01);
            border += direct.overlap < 0.95;
        }
        assert_true(border > 3);
        fnr_scratch_free(&s);
        free(hits);
        bench_free(&b);
    }
}

/* A large montage is cut into blocks; what is found does not depend on the cut. */
static void blocks_do_not_change_the_result(void **state)
{
    (void)state;
    bench b;
    fnr_error err;
    fnr_hit *hits = NULL;
    size_t n = 0;
    bench_new(&b, 160, 120, 20);
    /* A montage 12 times as wide, whose only content lies 2900 px to the right: at 800 nm per px that is beyond the first block.
     */
    fnr_image wide;
    assert_ok(fnr_image_new(&wide, MW + 2900, MH, 1, 1, FNR_F32, &err), err);
    fnr_image montage = rings_montage(&b.field, MW, MH, 0.0, 1);
    for (int y = 0; y < MH; y++) {
        for (int x = 0; x < wide.v.w; x++) {
            *(float *)fnr_at(&wide.v, x, y, 0, 0) = x < 2900 ? 100 : *(float *)fnr_at(&montage.v, x - 2900, y, 0, 0);
        }
    }
    fnr_target *far = fnr_target_new(&wide.v, 100, &b.opt, &err);
    assert_ok(far, err);
    b.m.target = far;
    assert_ok(fnr_coarse_search(&b.m, 10, &hits, &n, &err), err);
    assert_true(n > 0);
    const fnr_pose expected = fnr_pose_similarity(&b.tpl.size, 160 + 2900, 120, 0.97, 20);
    double nearest = 1e9;
    for (size_t i = 0; i < 3; i++) {
        nearest = fmin(nearest, fnr_pose_distance(&hits[i].pose, &expected, &b.tpl.size));
    }
    assert_at_most(nearest, 8);
    free(hits);
    fnr_image_free(&wide);
    fnr_image_free(&montage);
    fnr_target_free(far);
    bench_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halving_keeps_positions),    cmocka_unit_test(compression_finds_the_typical_brightness),
        cmocka_unit_test(poses_and_transforms_agree), cmocka_unit_test(drawn_gradients_are_derivatives), cmocka_unit_test(fine_gradient_is_the_derivative),
        cmocka_unit_test(coarse_scores_are_exact),    cmocka_unit_test(blocks_do_not_change_the_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
