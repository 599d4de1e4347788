/* Whole registrations of ring fields that are known in closed form. */
#include <pthread.h>

#include "register/register.h"
#include "src/cv/cv.h"
#include "tests/register/rings.h"

enum { MW = 460, MH = 380, TW = 300, TH = 240 };
#define NET_NM 50.0

static ring_field field;
static fnr_target *target;
static fnr_register_options options;

static int set_up(void **state)
{
    (void)state;
    fnr_error err;
    fnr_cv_set_threads(1);
    options = fnr_register_defaults();
    field = rings_new(11, MW, MH);
    fnr_image montage = rings_montage(&field, MW, MH, 0.03, 1);
    target = fnr_target_new(&montage.v, 100, &options, &err);
    fnr_image_free(&montage);
    assert_ok(target, err);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fnr_target_free(target);
    return 0;
}

static fnr_registration run(const fnr_target *on, const fnr_image *prediction, const fnr_register_options *opt)
{
    fnr_registration r;
    fnr_error err;
    assert_ok(fnr_register_tile(on, &prediction->v, opt, NULL, &r, &err), err);
    return r;
}

/* Registers the tile that lies under `truth`; returns the mean error [IF px] and asks for the verdict `registered`. */
static double error_of(const fnr_transform *truth, const fnr_register_options *opt, fnr_registration *out)
{
    fnr_image p = rings_prediction(&field, truth, TW, TH, NET_NM, 0.2, 5);
    *out = run(target, &p, opt);
    fnr_image_free(&p);
    assert_true(out->has_transform);
    const double error = fnr_transform_mean_distance(&out->t, truth, TW, TH);
    if (out->verdict != FNR_REGISTERED) {
        fail_msg("%s (%s), %.2f px off, score %.3f ratio %.2f flow %.2f", fnr_verdict_name(out->verdict), out->reason, error,
                 out->score, out->peak_ratio, out->flow_inliers);
    }
    return error;
}

static void finds_every_rotation(void **state)
{
    (void)state;
    for (int k = 0; k < 12; k++) {
        fnr_registration r;
        const double rotation = -173.0 + 30 * k;
        const fnr_transform truth = rings_place(TW, TH, NET_NM, 210.3 + 3.3 * k, 170.7 + 2.1 * k, 0.97, rotation);
        assert_at_most(error_of(&truth, &options, &r), 0.1);
        assert_at_most(fabs(remainder(r.rotation_deg - rotation, 360)), 0.1);
        assert_at_most(fabs(r.scale - 0.97), 0.002);
        assert_int_equal(r.t.from, FNR_FRAME_NET);
        assert_int_equal(r.t.to, FNR_FRAME_IF);
    }
}

static void finds_both_ends_of_the_scale_range(void **state)
{
    (void)state;
    const double scale[] = {0.92, 1.03};
    for (int k = 0; k < 2; k++) {
        fnr_registration r;
        const fnr_transform truth = rings_place(TW, TH, NET_NM, 230, 190, scale[k], 93);
        assert_at_most(error_of(&truth, &options, &r), 0.1);
        assert_at_most(fabs(r.scale - scale[k]), 0.002);
    }
}

/* A quarter of the tile hangs over the montage's edge; only the part inside counts. */
static void finds_a_tile_at_the_border(void **state)
{
    (void)state;
    const double at[][2] = {{40, 190}, {MW - 38, 200}, {230, 36}, {220, MH - 36}};
    for (int k = 0; k < 4; k++) {
        fnr_registration r;
        const fnr_transform truth = rings_place(TW, TH, NET_NM, at[k][0], at[k][1], 0.98, k < 2 ? 4 : 94);
        assert_at_most(error_of(&truth, &options, &r), 0.2);
        assert_true(r.overlap < 0.9);
        assert_true(r.overlap > 0.6);
    }
}

/* Shifts by tenths of a pixel: the error must not depend on the fraction. */
static void has_no_sub_pixel_bias(void **state)
{
    (void)state;
    fnr_register_options o = options;
    o.rotation_min_deg = -5, o.rotation_max_deg = 15; /* quicker */
    double low = 1, high = -1;
    for (int k = 0; k <= 10; k++) {
        fnr_registration r;
        const fnr_transform truth = rings_place(TW, TH, NET_NM, 228 + 0.1 * k, 187 + 0.1 * k, 1.0, 0);
        error_of(&truth, &o, &r);
        const fnr_point centre = {0.5 * (TW - 1), 0.5 * (TH - 1)};
        const fnr_point q = fnr_transform_apply(&r.t, centre), p = fnr_transform_apply(&truth, centre);
        const double bias = 0.5 * (q.x - p.x + q.y - p.y);
        print_message("shift %.1f px: found %+.4f, %+.4f px off\n", 0.1 * k, q.x - p.x, q.y - p.y);
        low = fmin(low, bias);
        high = fmax(high, bias);
    }
    assert_at_most(high - low, 0.02);
    assert_at_most(fabs(high + low) / 2, 0.03);
}

static void is_deterministic(void **state)
{
    (void)state;
    fnr_registration a, b;
    const fnr_transform truth = rings_place(TW, TH, NET_NM, 200, 210, 0.95, -91);
    error_of(&truth, &options, &a);
    error_of(&truth, &options, &b);
    assert_memory_equal(&a.t, &b.t, sizeof a.t);
    assert_true(a.score == b.score && a.peak_ratio == b.peak_ratio && a.flow_inliers == b.flow_inliers);
}

typedef struct {
    fnr_image prediction;
    fnr_registration r;
} job;

static void *registers(void *arg)
{
    job *j = arg;
    fnr_register_tile(target, &j->prediction.v, &options, NULL, &j->r, NULL);
    return NULL;
}

static void tiles_may_run_in_parallel(void **state)
{
    (void)state;
    job j[2];
    pthread_t thread[2];
    for (int k = 0; k < 2; k++) {
        const fnr_transform truth = rings_place(TW, TH, NET_NM, 190 + 60 * k, 180, 0.95, 20 + 100 * k);
        j[k].prediction = rings_prediction(&field, &truth, TW, TH, NET_NM, 0.2, (uint64_t)k);
        assert_int_equal(pthread_create(&thread[k], NULL, registers, &j[k]), 0);
    }
    for (int k = 0; k < 2; k++) {
        pthread_join(thread[k], NULL);
        const fnr_registration serial = run(target, &j[k].prediction, &options);
        assert_int_equal(j[k].r.verdict, FNR_REGISTERED);
        assert_memory_equal(&j[k].r.t, &serial.t, sizeof serial.t);
        fnr_image_free(&j[k].prediction);
    }
}

static void other_models_fit_too(void **state)
{
    (void)state;
    fnr_registration r;
    fnr_register_options o = options;
    o.model = FNR_MODEL_RIGID;
    fnr_transform truth = rings_place(TW, TH, NET_NM, 231, 187, 1.0, 31);
    assert_at_most(error_of(&truth, &o, &r), 0.1);
    assert_at_most(fabs(r.scale - 1), 1e-9);
    o.model = FNR_MODEL_AFFINE;
    truth.m00 *= 1.01;
    truth.m10 *= 1.01;
    assert_at_most(error_of(&truth, &o, &r), 0.15);
    assert_at_most(fabs(fnr_transform_shear(&r.t) - fnr_transform_shear(&truth)), 0.003);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_every_rotation),       cmocka_unit_test(finds_both_ends_of_the_scale_range),
        cmocka_unit_test(finds_a_tile_at_the_border), cmocka_unit_test(has_no_sub_pixel_bias),
        cmocka_unit_test(is_deterministic),           cmocka_unit_test(tiles_may_run_in_parallel),
        cmocka_unit_test(other_models_fit_too),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
