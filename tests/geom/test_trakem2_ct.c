#include "tests/support/support.h"

#include "src/geom/trakem2_parts.h"

#define T "mpicbg.trakem2.transform."

static void assert_maps(const fnr_transform *t, double x, double y, double want_x, double want_y, double tolerance)
{
    const fnr_point q = fnr_transform_apply(t, (fnr_point){x, y});
    if (!(fabs(q.x - want_x) <= tolerance) || !(fabs(q.y - want_y) <= tolerance)) {
        fail_msg("(%g, %g) -> (%.17g, %.17g) instead of (%.17g, %.17g)", x, y, q.x, q.y, want_x, want_y);
    }
}

static fnr_t2_ct ct_of(const char *class_name, const char *data)
{
    fnr_error err = {0};
    fnr_t2_ct ct;
    fnr_t2_ct_reset(&ct);
    assert_ok(fnr_t2_ct_append(&ct, class_name, data, &err), err);
    return ct;
}

static const fnr_transform unit = {1, 0, 0, 1, 0, 0, FNR_FRAME_ANY, FNR_FRAME_WORLD};

/* The box TrakEM2 itself computes for this transform and image is 88,200 (size 107 x 87). */
static void mesh_box_of_trakem2(void **state)
{
    (void)state;
    fnr_error err = {0};
    const fnr_t2_ct ct = ct_of(T "AffineModel2D", "1.5 0.25 -0.25 1.5 100.123456789012 200.25");
    fnr_transform w;
    assert_ok(fnr_t2_ct_place(&ct, &unit, 64, 48, &w, &err), err);
    assert_maps(&w, 0, 0, 12.123456789012, 0.25, 1e-12);
    assert_maps(&w, 10, 20, 12.123456789012 + 15 - 5, 0.25 + 2.5 + 30, 1e-12);
    assert_int_equal(w.from, FNR_FRAME_ANY);
    assert_int_equal(w.to, FNR_FRAME_WORLD);
}

/* A pure translation under an identity matrix cancels: TrakEM2 shows (0,0) at (0,0). */
static void translation_is_cancelled_by_its_box(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_t2_ct ct = ct_of(T "TranslationModel2D", "5 7");
    fnr_transform w;
    assert_ok(fnr_t2_ct_place(&ct, &unit, 30, 20, &w, &err), err);
    assert_maps(&w, 0, 0, 0, 0, 0);
    /* Truncation towards zero: -3.75 -> -3, so that -0.75 stays; floor would leave 0.25. */
    ct = ct_of(T "TranslationModel2D", "-3.75 2.75");
    assert_ok(fnr_t2_ct_place(&ct, &unit, 30, 20, &w, &err), err);
    assert_maps(&w, 0, 0, -0.75, 0.75, 0);
}

static void matrix_comes_last(void **state)
{
    (void)state;
    fnr_error err = {0};
    /* Quarter turn x' = -y, y' = x of a 41 x 21 image: box origin (-20, 0).  Then the matrix doubles and shifts by (100, 200):
     * (3, 4) -> (-4, 3) -> (16, 3) -> (132, 206). */
    const fnr_t2_ct ct = ct_of(T "AffineModel2D", "0 1 -1 0 0 0");
    const fnr_transform matrix = {2, 0, 0, 2, 100, 200, FNR_FRAME_ANY, FNR_FRAME_WORLD};
    fnr_transform w;
    assert_ok(fnr_t2_ct_place(&ct, &matrix, 41, 21, &w, &err), err);
    assert_maps(&w, 3, 4, 132, 206, 0);
    /* Without a coordinate transform there is no box, and no size is needed. */
    fnr_t2_ct none;
    fnr_t2_ct_reset(&none);
    assert_ok(fnr_t2_ct_place(&none, &matrix, 0, 0, &w, &err), err);
    assert_maps(&w, 3, 4, 106, 208, 0);
}

static void list_applies_the_first_first(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_t2_ct ct = ct_of(T "AffineModel2D", "1 0 0 1 10 0");
    assert_ok(fnr_t2_ct_append(&ct, T "AffineModel2D", "3 0 0 3 0 0", &err), err);
    assert_maps(&ct.affine, 1, 1, 33, 3, 0); /* (1 + 10) * 3, not 1 * 3 + 10 */
}

static void mirrored_and_sheared_maps_are_kept(void **state)
{
    (void)state;
    fnr_error err = {0};
    const fnr_t2_ct ct = ct_of(T "AffineModel2D", "-1 0 0.5 1 0 0");
    fnr_transform w;
    /* 11 x 5: x' = -x + 0.5 y spans [-10, 2]; box (-10, 0). */
    assert_ok(fnr_t2_ct_place(&ct, &unit, 11, 5, &w, &err), err);
    assert_true(fnr_transform_is_mirrored(&w));
    assert_maps(&w, 10, 4, 2, 4, 0);
}

static void models_and_their_precision(void **state)
{
    (void)state;
    fnr_t2_ct ct = ct_of(T "SimilarityModel2D", "0.1 0.2 3 4");
    const double c = (double)0.1f, s = (double)0.2f; /* TrakEM2 reads these as float */
    assert_maps(&ct.affine, 10, 20, c * 10 - s * 20 + 3, s * 10 + c * 20 + 4, 1e-14);
    assert_true(ct.affine.m00 != 0.1);
    ct = ct_of(T "RigidModel2D", "1.5707963 5.0 6.0");
    assert_maps(&ct.affine, 10, 0, 5, 16, 1e-6);
    assert_maps(&ct.affine, 10, 0, 5 + 10 * cos((double)1.5707963f), 6 + 10 * sin((double)1.5707963f), 1e-14);
    ct = ct_of(T "TranslationModel2D", "16777217 0.1");
    assert_maps(&ct.affine, 0, 0, 16777216, (double)0.1f, 0);
    ct = ct_of(T "AffineModel2D", "0.1 0 0 1 16777217 0");
    assert_maps(&ct.affine, 1, 0, 0.1 + 16777217, 0, 0);
}

static void other_classes_are_named(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_t2_ct ct = ct_of(T "HomographyModel2D", "1 0 0 0 1 0 0 0 1");
    assert_true(ct.has_nonlinear);
    assert_ok(fnr_t2_ct_append(&ct, T "MovingLeastSquaresTransform2", "affine 2 2.0", &err), err);
    assert_string_equal(ct.nonlinear_class, T "HomographyModel2D");
    char longname[300];
    memset(longname, 'x', sizeof longname - 1);
    longname[sizeof longname - 1] = '\0';
    ct = ct_of(longname, "");
    assert_int_equal(strlen(ct.nonlinear_class), sizeof ct.nonlinear_class - 1);
    /* TrakEM2 drops mpicbg.models.* (ClassCastException). */
    ct = ct_of("mpicbg.models.AffineModel2D", "2 0 0 2 0 0");
    assert_false(ct.any || ct.has_nonlinear);
    assert_maps(&ct.affine, 3, 4, 3, 4, 0);
}

static void bad_data_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "1 0 0 1 0", "1 0 0 1 0 0 0", "1 0 0 1 0 x", "1 0 0 1 0 NaN", "1,0,0,1,0,0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fnr_error err = {0};
        fnr_t2_ct ct;
        fnr_t2_ct_reset(&ct);
        assert_false(fnr_t2_ct_append(&ct, T "AffineModel2D", bad[i], &err));
        assert_int_equal(err.code, FNR_E_FORMAT);
    }
    fnr_error err = {0};
    fnr_transform w;
    const fnr_t2_ct ct = ct_of(T "TranslationModel2D", "5 7"), huge = ct_of(T "AffineModel2D", "1e300 0 0 1 0 0");
    const fnr_transform also_huge = {1e300, 0, 0, 1, 0, 0, FNR_FRAME_ANY, FNR_FRAME_WORLD};
    assert_false(fnr_t2_ct_place(&ct, &unit, 0, 0, &w, &err));
    assert_non_null(strstr(err.message, "o_width"));
    assert_false(fnr_t2_ct_place(&huge, &also_huge, 50, 40, &w, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mesh_box_of_trakem2),
        cmocka_unit_test(translation_is_cancelled_by_its_box),
        cmocka_unit_test(matrix_comes_last),
        cmocka_unit_test(list_applies_the_first_first),
        cmocka_unit_test(mirrored_and_sheared_maps_are_kept),
        cmocka_unit_test(models_and_their_precision),
        cmocka_unit_test(other_classes_are_named),
        cmocka_unit_test(bad_data_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
