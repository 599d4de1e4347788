/* Inputs that are wrong in a way one can name: contrast the wrong way round, mirror images, pixel sizes. */
#include "register/register.h"
#include "src/cv/cv.h"
#include "tests/register/rings.h"

enum { MW = 300, MH = 260, TW = 260, TH = 200 };
#define NET_NM 50.0

typedef struct {
    fnr_transform truth;
    fnr_image montage, prediction;
    fnr_register_options options;
} scene;

static scene scene_new(double nm)
{
    scene s = {.options = fnr_register_defaults()};
    const ring_field field = rings_new(21, MW, MH);
    fnr_cv_set_threads(1);
    s.truth = rings_place(TW, TH, NET_NM, 150, 130, 0.97, 60);
    s.options.rotation_min_deg = 40, s.options.rotation_max_deg = 80; /* quicker */
    s.montage = rings_montage(&field, MW, MH, 0.03, 1);
    s.prediction = rings_prediction(&field, &s.truth, TW, TH, NET_NM, 0.2, 2);
    s.prediction.v.nm = nm;
    return s;
}

static void scene_free(scene *s)
{
    fnr_image_free(&s->montage);
    fnr_image_free(&s->prediction);
}

static fnr_registration ask(const scene *s, int probe)
{
    fnr_error err;
    fnr_registration r;
    fnr_target *t = fnr_target_new(&s->montage.v, 100, &s->options, &err);
    assert_ok(t, err);
    assert_ok(probe < 0 ? fnr_register_tile(t, &s->prediction.v, &s->options, NULL, &r, &err)
                        : fnr_register_probe(t, &s->prediction.v, (fnr_probe)probe, &s->options, NULL, &r, &err),
              err);
    fnr_target_free(t);
    print_message("probe %d: %s, score %.2f, %s\n", probe, fnr_verdict_name(r.verdict), r.score, r.reason);
    return r;
}

static float *at(const fnr_image *im, int x, int y)
{
    return fnr_at(&im->v, x, y, 0, 0);
}

static void dark_myelin_registers_only_when_asked_for(void **state)
{
    (void)state;
    scene s = scene_new(NET_NM);
    for (int i = 0; i < MW * MH; i++) {
        *at(&s.montage, i % MW, i / MW) = 3000 - *at(&s.montage, i % MW, i / MW);
    }
    assert_true(ask(&s, -1).verdict != FNR_REGISTERED);
    s.options.invert = true;
    const fnr_registration r = ask(&s, -1);
    assert_int_equal(r.verdict, FNR_REGISTERED);
    assert_at_most(fnr_transform_mean_distance(&r.t, &s.truth, TW, TH), 0.15);
    scene_free(&s);
}

static void a_mirror_image_is_recognised(void **state)
{
    (void)state;
    scene s = scene_new(NET_NM);
    for (int y = 0; y < TH; y++) {
        for (int x = 0; x < TW / 2; x++) {
            const float t = *at(&s.prediction, x, y);
            *at(&s.prediction, x, y) = *at(&s.prediction, TW - 1 - x, y);
            *at(&s.prediction, TW - 1 - x, y) = t;
        }
    }
    assert_true(ask(&s, -1).verdict != FNR_REGISTERED);
    const fnr_registration r = ask(&s, FNR_PROBE_MIRRORED);
    assert_int_equal(r.verdict, FNR_REGISTERED);
    assert_at_most(fnr_transform_mean_distance(&r.t, &s.truth, TW, TH), 0.15);
    assert_true(ask(&s, FNR_PROBE_DOUBLE).verdict != FNR_REGISTERED);
    scene_free(&s);
}

/* The true size is 50 nm; half and twice of it is what a wrong entry would say. */
static void a_pixel_size_wrong_by_two_is_recognised(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        const fnr_probe right = k ? FNR_PROBE_HALF : FNR_PROBE_DOUBLE, wrong = k ? FNR_PROBE_DOUBLE : FNR_PROBE_HALF;
        scene s = scene_new(k ? 0.5 * NET_NM : 2 * NET_NM);
        assert_true(ask(&s, -1).verdict != FNR_REGISTERED);
        const fnr_registration r = ask(&s, (int)right);
        assert_int_equal(r.verdict, FNR_REGISTERED);
        assert_true(ask(&s, (int)wrong).score < r.score - 0.1);
        scene_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dark_myelin_registers_only_when_asked_for),
        cmocka_unit_test(a_mirror_image_is_recognised),
        cmocka_unit_test(a_pixel_size_wrong_by_two_is_recognised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
