/* Montages and predictions that are not what they should be: a clear error or a verdict, never `registered`, never a crash. */
#include "register/register.h"
#include "src/core/cancel.h"
#include "src/cv/cv.h"
#include "tests/register/rings.h"

enum { MW = 300, MH = 260, TW = 260, TH = 200 };
#define NET_NM 50.0

static ring_field field;
static fnr_register_options options;
static fnr_transform truth;

static int set_up(void **state)
{
    (void)state;
    fnr_cv_set_threads(1);
    options = fnr_register_defaults();
    field = rings_new(21, MW, MH);
    truth = rings_place(TW, TH, NET_NM, 150, 130, 0.97, 60);
    return 0;
}

static fnr_image good_montage(void)
{
    return rings_montage(&field, MW, MH, 0.03, 1);
}

static fnr_registration register_on(const fnr_image *montage, const fnr_image *prediction)
{
    fnr_error err;
    fnr_registration r;
    fnr_target *t = fnr_target_new(&montage->v, 100, &options, &err);
    assert_ok(t, err);
    assert_ok(fnr_register_tile(t, &prediction->v, &options, NULL, &r, &err), err);
    fnr_target_free(t);
    return r;
}

static fnr_verdict verdict_with(fnr_image *montage, fnr_image *prediction, double *error)
{
    const fnr_registration r = register_on(montage, prediction);
    *error = r.has_transform ? fnr_transform_mean_distance(&r.t, &truth, TW, TH) : 1e9;
    print_message("%s: %s\n", fnr_verdict_name(r.verdict), r.reason);
    fnr_image_free(montage);
    fnr_image_free(prediction);
    return r.verdict;
}

static fnr_image good_prediction(void)
{
    return rings_prediction(&field, &truth, TW, TH, NET_NM, 0.2, 2);
}

static float *at(fnr_image *im, int x, int y)
{
    return fnr_at(&im->v, x, y, 0, 0);
}

static void expect_no_target(const fnr_view *v, double nm, const char *word)
{
    fnr_error err = {0};
    assert_null(fnr_target_new(v, nm, &options, &err));
    if (!strstr(err.message, word)) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, word);
    }
}

static void refuses_montages_without_an_image(void **state)
{
    (void)state;
    fnr_image m = good_montage();
    fnr_view v = m.v;
    expect_no_target(&v, 0, "pixel size");
    expect_no_target(&v, NAN, "pixel size");
    v.w = 0;
    expect_no_target(&v, 100, "empty");
    v = m.v;
    v.c = 3;
    expect_no_target(&v, 100, "channel");
    for (int i = 0; i < MW * MH; i++) {
        *at(&m, i % MW, i / MW) = 42;
    }
    expect_no_target(&m.v, 100, "same value");
    for (int i = 0; i < MW * MH; i++) {
        *at(&m, i % MW, i / MW) = i % 2 ? NAN : INFINITY;
    }
    expect_no_target(&m.v, 100, "no finite");
    fnr_image_free(&m);
}

/* Missing pixels, a saturated corner and a constant frame leave enough to find the tile. */
static void copes_with_damaged_montages(void **state)
{
    (void)state;
    double error;
    for (int kind = 0; kind < 3; kind++) {
        fnr_image m = good_montage(), p = good_prediction();
        for (int i = 0; i < MW * MH; i++) {
            const int x = i % MW, y = i / MW;
            if (kind == 0 && (abs(x - 130) < 12 || hypot(x - 180, y - 150) < 15)) {
                *at(&m, x, y) = NAN;
            } else if (kind == 1 && x > MW - 60 && y < 70) {
                *at(&m, x, y) = 65535;
            } else if (kind == 2 && (x < 25 || y < 25 || x >= MW - 25 || y >= MH - 25)) {
                *at(&m, x, y) = 0;
            }
        }
        assert_int_equal(verdict_with(&m, &p, &error), FNR_REGISTERED);
        assert_at_most(error, 0.3);
    }
}

/* The same montage as 8 and 16 bits. */
static void takes_any_pixel_type(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        fnr_image f = good_montage(), m, p = good_prediction();
        fnr_error err;
        assert_ok(fnr_image_new(&m, MW, MH, 1, 1, kind ? FNR_U16 : FNR_U8, &err), err);
        for (int i = 0; i < MW * MH; i++) {
            const float value = fmaxf(0, *at(&f, i % MW, i / MW));
            if (kind) {
                *(uint16_t *)fnr_at(&m.v, i % MW, i / MW, 0, 0) = (uint16_t)(20 * value);
            } else {
                *(uint8_t *)fnr_at(&m.v, i % MW, i / MW, 0, 0) = (uint8_t)fminf(255, 0.15f * value);
            }
        }
        double error;
        assert_int_equal(verdict_with(&m, &p, &error), FNR_REGISTERED);
        assert_at_most(error, 0.15);
        fnr_image_free(&f);
    }
}

static void says_what_is_wrong_with_a_prediction(void **state)
{
    (void)state;
    double error;
    fnr_image m = good_montage(), p = good_prediction();
    *at(&p, 17, 3) = NAN;
    assert_int_equal(verdict_with(&m, &p, &error), FNR_FAILED);

    m = good_montage(), p = good_prediction();
    for (int i = 0; i < TW * TH; i++) {
        *at(&p, i % TW, i / TW) = -0.25f;
    }
    assert_int_equal(verdict_with(&m, &p, &error), FNR_NO_CONTENT);

    /* A tile without myelin: the network says almost the same everywhere. */
    m = good_montage(), p = good_prediction();
    fnr_rng g = fnr_rng_at(1, 1, 1);
    for (int i = 0; i < TW * TH; i++) {
        *at(&p, i % TW, i / TW) = (float)(-0.3 + 0.05 * fnr_rng_normal(&g));
    }
    assert_int_equal(verdict_with(&m, &p, &error), FNR_NO_CONTENT);

    /* One small bright spot: below the 1 % of pixels asked for. */
    m = good_montage(), p = good_prediction();
    for (int i = 0; i < TW * TH; i++) {
        *at(&p, i % TW, i / TW) = hypot(i % TW - 90, i / TW - 80) < 8 ? 4.0f : (float)(-0.3 + 0.05 * fnr_rng_normal(&g));
    }
    assert_int_equal(verdict_with(&m, &p, &error), FNR_NO_CONTENT);
}

/* Strong noise passes any content test; then the montage has to disagree. */
static void never_registers_what_is_not_there(void **state)
{
    (void)state;
    double error;
    fnr_rng g = fnr_rng_at(2, 2, 2);
    fnr_image m = good_montage(), p = good_prediction();
    for (int i = 0; i < TW * TH; i++) {
        *at(&p, i % TW, i / TW) = (float)(2 * fnr_rng_normal(&g));
    }
    assert_true(verdict_with(&m, &p, &error) != FNR_REGISTERED);

    for (uint64_t seed = 100; seed < 106; seed++) { /* another section */
        const ring_field other = rings_new(seed, MW, MH);
        m = rings_montage(&other, MW, MH, 0.03, 1);
        p = good_prediction();
        assert_true(verdict_with(&m, &p, &error) != FNR_REGISTERED);
    }

    m = good_montage(); /* this section seen from behind */
    for (int i = 0; i < MW / 2 * MH; i++) {
        float *a = at(&m, i % (MW / 2), i / (MW / 2)), *b = at(&m, MW - 1 - i % (MW / 2), i / (MW / 2)), t = *a;
        *a = *b;
        *b = t;
    }
    p = good_prediction();
    assert_true(verdict_with(&m, &p, &error) != FNR_REGISTERED);
}

/* Twice the true pixel size puts the true scale far outside the range. */
static void does_not_accept_a_wrong_pixel_size(void **state)
{
    (void)state;
    double error;
    fnr_image m = good_montage(), p = good_prediction();
    p.v.nm *= 2;
    assert_true(verdict_with(&m, &p, &error) != FNR_REGISTERED);
}

static void a_tile_larger_than_the_montage_is_no_error(void **state)
{
    (void)state;
    fnr_image m, p = good_prediction();
    fnr_error err;
    double error;
    assert_ok(fnr_image_new(&m, 31, 17, 1, 1, FNR_F32, &err), err);
    *at(&m, 5, 5) = 100;
    *at(&m, 15, 8) = 50;
    assert_true(verdict_with(&m, &p, &error) != FNR_REGISTERED);
    p = good_prediction();
    assert_ok(fnr_image_new(&m, 1, 2, 1, 1, FNR_F32, &err), err);
    *at(&m, 0, 0) = 100;
    assert_true(verdict_with(&m, &p, &error) != FNR_REGISTERED);
}

static void stops_when_asked(void **state)
{
    (void)state;
    fnr_image m = good_montage(), p = good_prediction();
    fnr_error err = {0};
    fnr_registration r;
    const fnr_cancel cancel = {1};
    fnr_target *t = fnr_target_new(&m.v, 100, &options, &err);
    assert_ok(t, err);
    assert_false(fnr_register_tile(t, &p.v, &options, &cancel, &r, &err));
    assert_int_equal(err.code, FNR_E_CANCELLED);
    fnr_register_options odd = options;
    odd.scale_min = 1.2;
    assert_false(fnr_register_tile(t, &p.v, &odd, NULL, &r, &err));
    assert_int_equal(err.code, FNR_E_USAGE);
    p.v.nm = 0;
    assert_false(fnr_register_tile(t, &p.v, &options, NULL, &r, &err));
    assert_int_equal(err.code, FNR_E_USAGE);
    fnr_target_free(t);
    fnr_image_free(&m);
    fnr_image_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_montages_without_an_image),
        cmocka_unit_test(copes_with_damaged_montages),
        cmocka_unit_test(takes_any_pixel_type),
        cmocka_unit_test(says_what_is_wrong_with_a_prediction),
        cmocka_unit_test(never_registers_what_is_not_there),
        cmocka_unit_test(does_not_accept_a_wrong_pixel_size),
        cmocka_unit_test(a_tile_larger_than_the_montage_is_no_error),
        cmocka_unit_test(stops_when_asked),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
