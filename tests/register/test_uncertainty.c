/* Does the program know how wrong it is?  Stated and true errors over many noisy tiles, and the blur of a montage. */
#include "register/register.h"
#include "src/cv/cv.h"
#include "tests/register/rings.h"

enum { MW = 460, MH = 380, TW = 240, TH = 200, TRIALS = 16 };
#define NET_NM 60.0

static fnr_target *target_of(const fnr_image *montage)
{
    fnr_error err;
    const fnr_register_options o = fnr_register_defaults();
    fnr_target *t = fnr_target_new(&montage->v, 100, &o, &err);
    assert_ok(t, err);
    return t;
}

static fnr_registration near_truth(const fnr_target *target, const fnr_image *p, const fnr_transform *truth, double off_px)
{
    fnr_error err;
    fnr_registration r;
    fnr_transform start = *truth;
    const fnr_register_options o = fnr_register_defaults();
    start.m02 += off_px;
    start.m12 -= 0.5 * off_px;
    assert_ok(fnr_register_near(target, &p->v, &start, &o, &r, &err), err);
    assert_true(r.has_transform && r.has_covariance);
    return r;
}

/* Every ring stained differently, noise in both images: the mean of the stated errors is the mean of the true ones within a factor
 * of two, and a tile in which only three rings show is stated to be known worse than the others. */
static void stated_errors_are_true(void **state)
{
    (void)state;
    double stated = 0, found = 0;
    fnr_cv_set_threads(1);
    for (int k = 0; k < TRIALS; k++) {
        const ring_field field = rings_new(100 + (uint64_t)k, MW, MH);
        fnr_image montage = rings_montage(&field, MW, MH, 0.1, 7 + (uint64_t)k);
        fnr_target *target = target_of(&montage);
        const fnr_transform truth = rings_place(TW, TH, NET_NM, 225.3, 190.8, 0.97, 20.0 * k);
        fnr_image p = rings_prediction(&field, &truth, TW, TH, NET_NM, 0.6, 31 + (uint64_t)k);
        const fnr_registration r = near_truth(target, &p, &truth, 1.5);
        const double error = fnr_transform_mean_distance(&r.t, &truth, TW, TH);
        assert_at_most(error, 1.0);
        stated += r.expected_error_px;
        found += error;
        fnr_image_free(&p);
        fnr_image_free(&montage);
        fnr_target_free(target);
    }
    print_message("stated %.3f px, found %.3f px (means of %d tiles)\n", stated / TRIALS, found / TRIALS, TRIALS);
    assert_at_most(found, 2 * stated);
    assert_at_most(stated, 2 * found);
}

static void few_rings_are_known_to_be_few(void **state)
{
    (void)state;
    const ring_field field = rings_new(77, MW, MH);
    const fnr_transform truth = rings_place(TW, TH, NET_NM, 225.3, 190.8, 0.97, 35);
    double stated[2];
    for (int k = 0; k < 2; k++) {
        ring_field shown = field;
        int near = 0;
        for (int i = 0; k == 1 && i < shown.n; i++) { /* keep the three rings nearest to one corner of the tile */
            const bool keep = hypot(shown.r[i].x - 190, shown.r[i].y - 160) < 45 && near < 3;
            near += keep;
            if (!keep) {
                shown.r[i--] = shown.r[--shown.n];
            }
        }
        fnr_image montage = rings_montage(&shown, MW, MH, 0.1, 3);
        fnr_target *target = target_of(&montage);
        fnr_image p = rings_prediction(&shown, &truth, TW, TH, NET_NM, 0.4, 5);
        stated[k] = near_truth(target, &p, &truth, 0).expected_error_px;
        fnr_image_free(&p);
        fnr_image_free(&montage);
        fnr_target_free(target);
    }
    print_message("stated with all rings %.3f px, with few %.3f px\n", stated[0], stated[1]);
    assert_at_most(2 * stated[0], stated[1]);
}

/* A montage blurred by 1.5 px: the blur is noticed, and the scale is right to 0.2 %; a sharp montage is left alone. */
static void a_blurred_montage_does_not_change_the_scale(void **state)
{
    (void)state;
    const ring_field field = rings_new(55, MW, MH);
    const fnr_transform truth = rings_place(TW, TH, NET_NM, 225.3, 190.8, 0.97, 35);
    fnr_image p = rings_prediction(&field, &truth, TW, TH, NET_NM, 0.2, 5), sharp = rings_montage(&field, MW, MH, 0.02, 3), blurred;
    fnr_error err;
    assert_ok(fnr_image_new(&blurred, MW, MH, 1, 1, FNR_F32, &err), err);
    assert_ok(fnr_cv_blur(&sharp.v, 1.5, &blurred.v, &err), err);
    fnr_target *on_sharp = target_of(&sharp), *on_blurred = target_of(&blurred);
    const fnr_registration a = near_truth(on_sharp, &p, &truth, 0.5), b = near_truth(on_blurred, &p, &truth, 0.5);
    print_message("sharp: blur %.1f scale %.5f; blurred: blur %.1f scale %.5f (truth 0.97)\n", a.blur_px, a.scale, b.blur_px, b.scale);
    assert_at_most(a.blur_px, 0.7);
    assert_true(b.blur_px >= 0.9);
    assert_at_most(fabs(b.scale - 0.97), 0.002);
    fnr_target_free(on_sharp);
    fnr_target_free(on_blurred);
    fnr_image_free(&p);
    fnr_image_free(&sharp);
    fnr_image_free(&blurred);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stated_errors_are_true),
        cmocka_unit_test(few_rings_are_known_to_be_few),
        cmocka_unit_test(a_blurred_montage_does_not_change_the_scale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
