#include "tests/support/support.h"

#include "src/geom/transform.h"

static const fnr_transform sample = {1.5, 0.25, -0.5, 2.0, 10.0, -20.0, FNR_FRAME_TILE, FNR_FRAME_IF};

static void assert_near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) {
        fail_msg("%.17g instead of %.17g", got, want);
    }
}

static void assert_same(const fnr_transform *a, const fnr_transform *b, double tolerance)
{
    assert_near(a->m00, b->m00, tolerance);
    assert_near(a->m10, b->m10, tolerance);
    assert_near(a->m01, b->m01, tolerance);
    assert_near(a->m11, b->m11, tolerance);
    assert_near(a->m02, b->m02, tolerance);
    assert_near(a->m12, b->m12, tolerance);
}

static void assert_matrix(const fnr_transform *t, double m00, double m10, double m01, double m11, double m02, double m12,
                          double tolerance)
{
    const fnr_transform want = {m00, m10, m01, m11, m02, m12, t->from, t->to};
    assert_same(t, &want, tolerance);
}

static void applies_column_major(void **state)
{
    (void)state;
    /* x' = 1.5*4 - 0.5*6 + 10, y' = 0.25*4 + 2*6 - 20 */
    const fnr_point q = fnr_transform_apply(&sample, (fnr_point){4, 6});
    assert_near(q.x, 13, 0);
    assert_near(q.y, -7, 0);
}

static void similarity_turns_x_towards_y(void **state)
{
    (void)state;
    const fnr_transform t = fnr_transform_similarity(2, 90, 3, 5, FNR_FRAME_NET, FNR_FRAME_IF);
    const fnr_point q = fnr_transform_apply(&t, (fnr_point){7, 0});
    assert_near(q.x, 3, 1e-14);
    assert_near(q.y, 5 + 14, 1e-14);
    assert_int_equal(t.from, FNR_FRAME_NET);
    assert_int_equal(t.to, FNR_FRAME_IF);
}

static void resample_keeps_corners(void **state)
{
    (void)state;
    /* Averaging 4 x 2 pixels: new index 0 is the mean of old 0..3 = 1.5, and of rows 0..1 = 0.5. */
    const fnr_transform t = fnr_transform_resample(0.25, 0.5, FNR_FRAME_TILE, FNR_FRAME_NET);
    fnr_point q = fnr_transform_apply(&t, (fnr_point){1.5, 0.5});
    assert_near(q.x, 0, 0);
    assert_near(q.y, 0, 0);
    q = fnr_transform_apply(&t, (fnr_point){-0.5, -0.5});
    assert_near(q.x, -0.5, 0);
    assert_near(q.y, -0.5, 0);
}

static void composes_first_then_second(void **state)
{
    (void)state;
    fnr_error err = {0};
    const fnr_transform shift = {1, 0, 0, 1, 100, 200, FNR_FRAME_IF, FNR_FRAME_WORLD};
    const fnr_transform twice = {2, 0, 0, 3, 0, 0, FNR_FRAME_SECTION, FNR_FRAME_TILE};
    fnr_transform r;
    assert_ok(fnr_transform_compose(&shift, &sample, &r, &err), err);
    assert_matrix(&r, 1.5, 0.25, -0.5, 2, 110, 180, 0);
    assert_int_equal(r.from, FNR_FRAME_TILE);
    assert_int_equal(r.to, FNR_FRAME_WORLD);
    /* Scaling x by 2 and y by 3 first multiplies the columns. */
    assert_ok(fnr_transform_compose(&sample, &twice, &r, &err), err);
    assert_matrix(&r, 3, 0.5, -1.5, 6, 10, -20, 0);
    /* The output may be one of the inputs. */
    r = sample;
    assert_ok(fnr_transform_compose(&r, &twice, &r, &err), err);
    assert_matrix(&r, 3, 0.5, -1.5, 6, 10, -20, 0);
}

static void mismatched_frames_are_refused(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_transform r = sample;
    assert_false(fnr_transform_compose(&sample, &sample, &r, &err));
    assert_int_equal(err.code, FNR_E_INTERNAL);
    assert_non_null(strstr(err.message, "tile -> if"));
    assert_same(&r, &sample, 0);
    const fnr_transform any = fnr_transform_identity(FNR_FRAME_ANY);
    assert_ok(fnr_transform_compose(&any, &sample, &r, &err), err);
    assert_int_equal(r.from, FNR_FRAME_TILE);
    assert_same(&r, &sample, 0);
}

static void inverts(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_transform r;
    assert_ok(fnr_transform_invert(&sample, &r, &err), err);
    /* det = 3.125; inverse of [1.5 -0.5; 0.25 2] = [2 0.5; -0.25 1.5] / 3.125; -inverse * (10, -20) = -(10, -32.5) / 3.125. */
    assert_matrix(&r, 0.64, -0.08, 0.16, 0.48, -3.2, 10.4, 1e-14);
    assert_int_equal(r.from, FNR_FRAME_IF);
    assert_int_equal(r.to, FNR_FRAME_TILE);
    const fnr_transform tiny = {1e-9, 0, 0, -1e-9, 1, 1, FNR_FRAME_ANY, FNR_FRAME_ANY};
    assert_ok(fnr_transform_invert(&tiny, &r, &err), err);
    assert_near(r.m11, -1e9, 1e-5);
}

static void singular_and_infinite_have_no_inverse(void **state)
{
    (void)state;
    const fnr_transform bad[] = {
        {0, 0, 0, 0, 1, 1, 0, 0},   {1, 2, 2, 4, 0, 0, 0, 0},        {0.1, 0.3, 0.2, 0.6, 0, 0, 0, 0},
        {NAN, 0, 0, 1, 0, 0, 0, 0}, {INFINITY, 0, 0, 1, 0, 0, 0, 0}, {1, 0, 0, 1, NAN, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fnr_error err = {0};
        fnr_transform r = sample;
        assert_false(fnr_transform_invert(&bad[i], &r, &err));
        assert_int_equal(err.code, FNR_E_NUMERIC);
        assert_same(&r, &sample, 0);
    }
}

static void takes_matrices_apart(void **state)
{
    (void)state;
    const fnr_transform t = fnr_transform_similarity(0.95, -90.5, 7, 8, 0, 0);
    assert_near(fnr_transform_scale(&t), 0.95, 1e-15);
    assert_near(fnr_transform_rotation_deg(&t), -90.5, 1e-13);
    assert_near(fnr_transform_shear(&t), 0, 1e-15);
    assert_false(fnr_transform_is_mirrored(&t));
    const fnr_transform half_turn = {-1, -0.0, 0.0, -1, 0, 0, 0, 0};
    assert_near(fnr_transform_rotation_deg(&half_turn), 180, 0);
    const fnr_transform mirror = {-3, 0, 0, 3, 0, 0, 0, 0};
    assert_true(fnr_transform_is_mirrored(&mirror));
    assert_near(fnr_transform_scale(&mirror), 3, 0);
    /* [1 k; 0 1]: nearest similarity [1 k/2; -k/2 1], what is left has norm k / sqrt 2. */
    const fnr_transform sheared = {1, 0, 0.1, 1, 0, 0, 0, 0};
    assert_near(fnr_transform_shear(&sheared), 0.1 / sqrt(2), 1e-15);
    assert_true(fnr_transform_is_finite(&sheared));
    const fnr_transform broken = {1, 0, 0, 1, 0, NAN, 0, 0};
    assert_false(fnr_transform_is_finite(&broken));
}

static void mean_distance_against_closed_forms(void **state)
{
    (void)state;
    const fnr_transform a = fnr_transform_identity(FNR_FRAME_ANY);
    fnr_transform b = a;
    b.m02 = 3;
    b.m12 = -4;
    assert_near(fnr_transform_mean_distance(&a, &b, 640, 48), 5, 1e-12);
    /* x stretched by 1 %: |0.01 x| over [-0.5, w - 0.5], shifted so that it never changes sign: mean = 0.01 (w - 1) / 2 + 1. */
    b = (fnr_transform){1.01, 0, 0, 1, 1, 0, 0, 0};
    assert_near(fnr_transform_mean_distance(&a, &b, 301, 7), 1 + 0.01 * 150, 1e-12);
    /* Rotation about the centre by a small angle: mean distance from the centre of a square of side L is 0.382597858 L. */
    const double angle = 1e-4;
    b = (fnr_transform){1, angle, -angle, 1, angle * 499.5, -angle * 499.5, 0, 0};
    assert_near(fnr_transform_mean_distance(&a, &b, 1000, 1000), 0.382597858232 * 1000 * angle, 2e-4 * 0.0383);
    b.m00 = NAN;
    assert_true(isnan(fnr_transform_mean_distance(&a, &b, 10, 20)));
}

static void text_round_trip(void **state)
{
    (void)state;
    fnr_error err = {0};
    const fnr_transform t = {0.1, -1.0 / 3, 1e-300, 12345678.901234567, -0.0, 5e-324, 0, 0};
    char text[FNR_TRANSFORM_TEXT];
    fnr_transform_format(&t, text);
    fnr_transform r;
    assert_ok(fnr_transform_parse(text, FNR_FRAME_NET, FNR_FRAME_IF, &r, &err), err);
    assert_memory_equal(&t.m00, &r.m00, 6 * sizeof(double));
    assert_int_equal(r.from, FNR_FRAME_NET);
    assert_int_equal(r.to, FNR_FRAME_IF);
    assert_ok(fnr_transform_parse("\t1.5,0.25, -0.5 ,2e0 10.0\t-20.0 \r\n", 0, 0, &r, &err), err);
    assert_same(&r, &sample, 0);
}

static void bad_text_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "1 2 3 4 5",
                                      "1 2 3 4 5 6 7",
                                      "1 2 3 4 5 x",
                                      "1 2 3 4 5 nan",
                                      "1 2 inf 4 5 6",
                                      "1 2 3 4 5 6 junk",
                                      "1;2;3;4;5;6",
                                      "1 2 3 4 5 1e999",
                                      "1 2 3 4 5 6e"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fnr_error err = {0};
        fnr_transform r = sample;
        if (fnr_transform_parse(bad[i], 0, 0, &r, &err)) {
            fail_msg("'%s' was accepted", bad[i]);
        }
        assert_int_equal(err.code, FNR_E_FORMAT);
        assert_same(&r, &sample, 0);
    }
}

static void fits_recover_exact_maps(void **state)
{
    (void)state;
    fnr_error err = {0};
    const fnr_point p[] = {{10, 20}, {110, 25}, {40, 220}, {90, 70}, {300, 100}};
    const fnr_transform truths[] = {fnr_transform_similarity(1, 33, -4, 1000, 0, 0),
                                    fnr_transform_similarity(0.11, -91, 900, 30, 0, 0), sample};
    for (int kind = FNR_MODEL_RIGID; kind <= FNR_MODEL_AFFINE; kind++) {
        fnr_point q[5];
        for (int i = 0; i < 5; i++) {
            q[i] = fnr_transform_apply(&truths[kind], p[i]);
        }
        fnr_transform r;
        assert_ok(fnr_transform_fit((fnr_model_kind)kind, p, q, NULL, 5, &r, &err), err);
        assert_same(&r, &truths[kind], 1e-11);
        assert_int_equal(r.from, FNR_FRAME_ANY);
    }
}

static void fit_is_least_squares_with_weights(void **state)
{
    (void)state;
    fnr_error err = {0};
    /* Four corners of [-1,1]^2; x' = x + noise e at one corner. For a similarity s = 1 + dot(e, p)/sum|p|^2 and
     * b = cross/sum|p|^2; with p = (1,1), e = (0.8, 0): dot = 0.8, cross = p_x e_y - p_y e_x = -0.8, sum|p|^2 = 8. */
    const fnr_point p[] = {{1, 1}, {-1, 1}, {-1, -1}, {1, -1}, {50, 60}};
    const fnr_point q[] = {{1.8, 1}, {-1, 1}, {-1, -1}, {1, -1}, {-9, 9}};
    const double w[] = {1, 1, 1, 1, 0};
    fnr_transform r;
    assert_ok(fnr_transform_fit(FNR_MODEL_SIMILARITY, p, q, w, 5, &r, &err), err);
    assert_matrix(&r, 1.1, -0.1, 0.1, 1.1, 0.2, 0, 1e-14);
    /* A weight of 2 is the same as the pair given twice. */
    const fnr_point p2[] = {{1, 1}, {1, 1}, {-1, 1}, {-1, -1}, {1, -1}}, q2[] = {{1.8, 1}, {1.8, 1}, {-1, 1}, {-1, -1}, {1, -1}};
    const double w2[] = {2, 1, 1, 1};
    for (int kind = FNR_MODEL_RIGID; kind <= FNR_MODEL_AFFINE; kind++) {
        fnr_transform twice;
        assert_ok(fnr_transform_fit((fnr_model_kind)kind, p, q, w2, 4, &r, &err), err);
        assert_ok(fnr_transform_fit((fnr_model_kind)kind, p2, q2, NULL, 5, &twice, &err), err);
        assert_same(&r, &twice, 1e-14);
    }
}

static void similarity_fit_never_mirrors(void **state)
{
    (void)state;
    fnr_error err = {0};
    /* A long cloud, mirrored in y: the best proper similarity keeps x and shrinks: s = (sum x^2 - sum y^2) / sum |p|^2. */
    const fnr_point p[] = {{-10, 1}, {10, 1}, {-10, -1}, {10, -1}}, q[] = {{-10, -1}, {10, -1}, {-10, 1}, {10, 1}};
    fnr_transform r;
    assert_ok(fnr_transform_fit(FNR_MODEL_SIMILARITY, p, q, NULL, 4, &r, &err), err);
    assert_false(fnr_transform_is_mirrored(&r));
    assert_matrix(&r, 396.0 / 404, 0, 0, 396.0 / 404, 0, 0, 1e-14);
    assert_ok(fnr_transform_fit(FNR_MODEL_AFFINE, p, q, NULL, 4, &r, &err), err);
    assert_true(fnr_transform_is_mirrored(&r));
}

static void undetermined_fits_fail(void **state)
{
    (void)state;
    const fnr_point line[] = {{1e5, 2e5}, {1e5 + 10, 2e5 + 20}, {1e5 + 20, 2e5 + 40}},
                    point[] = {{7e4, 3e4}, {7e4, 3e4}, {7e4, 3e4}};
    const fnr_point any[] = {{0, 0}, {1, 5}, {3, 2}}, bad[] = {{0, 0}, {NAN, 5}, {3, 2}};
    const fnr_point square[] = {{1, 1}, {-1, 1}, {-1, -1}, {1, -1}}, mirrored[] = {{1, -1}, {-1, -1}, {-1, 1}, {1, 1}};
    const double zero[] = {0, 0, 0}, negative[] = {1, -1, 1};
    fnr_transform r = sample;
    fnr_error err = {0};
    assert_false(fnr_transform_fit(FNR_MODEL_AFFINE, line, any, NULL, 3, &r, &err));
    assert_int_equal(err.code, FNR_E_NUMERIC);
    assert_false(fnr_transform_fit(FNR_MODEL_AFFINE, any, any, NULL, 2, &r, &err));
    assert_true(fnr_transform_fit(FNR_MODEL_SIMILARITY, line, line, NULL, 3, &(fnr_transform){0}, &err));
    assert_false(fnr_transform_fit(FNR_MODEL_SIMILARITY, point, any, NULL, 3, &r, &err));
    assert_false(fnr_transform_fit(FNR_MODEL_RIGID, point, any, NULL, 3, &r, &err));
    assert_false(fnr_transform_fit(FNR_MODEL_RIGID, any, point, NULL, 3, &r, &err));
    assert_false(fnr_transform_fit(FNR_MODEL_SIMILARITY, any, any, NULL, 1, &r, &err));
    assert_false(fnr_transform_fit(FNR_MODEL_SIMILARITY, any, any, NULL, 0, &r, &err));
    assert_false(fnr_transform_fit(FNR_MODEL_SIMILARITY, any, any, zero, 3, &r, &err));
    assert_false(fnr_transform_fit(FNR_MODEL_SIMILARITY, any, any, negative, 3, &r, &err));
    assert_false(fnr_transform_fit(FNR_MODEL_SIMILARITY, any, bad, NULL, 3, &r, &err));
    assert_false(fnr_transform_fit(FNR_MODEL_RIGID, square, mirrored, NULL, 4, &r, &err));
    assert_same(&r, &sample, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(applies_column_major),
        cmocka_unit_test(similarity_turns_x_towards_y),
        cmocka_unit_test(resample_keeps_corners),
        cmocka_unit_test(composes_first_then_second),
        cmocka_unit_test(mismatched_frames_are_refused),
        cmocka_unit_test(inverts),
        cmocka_unit_test(singular_and_infinite_have_no_inverse),
        cmocka_unit_test(takes_matrices_apart),
        cmocka_unit_test(mean_distance_against_closed_forms),
        cmocka_unit_test(text_round_trip),
        cmocka_unit_test(bad_text_is_refused),
        cmocka_unit_test(fits_recover_exact_maps),
        cmocka_unit_test(fit_is_least_squares_with_weights),
        cmocka_unit_test(similarity_fit_never_mirrors),
        cmocka_unit_test(undetermined_fits_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
