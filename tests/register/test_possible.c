/* Which tiles are not worth a search, by their size alone: numbers by hand. */
#include "tests/support/support.h"

#include "register/register.h"

static fnr_target *make_target(int w, int h, double nm)
{
    fnr_error err = {0};
    fnr_image im;
    assert_ok(fnr_image_new(&im, w, h, 1, 1, FNR_F32, &err), err);
    float *px = im.v.px;
    for (int i = 0; i < w * h; i++) {
        px[i] = (float)(i % 7);
    }
    const fnr_register_options o = fnr_register_defaults();
    fnr_target *t = fnr_target_new(&im.v, nm, &o, &err);
    fnr_image_free(&im);
    if (!t) {
        fail_msg("%s", err.message);
    }
    return t;
}

/* scale 1 alone, half a tile on the montage; "" = possible */
static void check(const fnr_target *t, double w_nm, double h_nm, const char *expected)
{
    fnr_register_options o = fnr_register_defaults();
    char why[200] = "";
    o.scale_min = o.scale_max = 1;
    o.min_overlap = 0.5;
    assert_int_equal(fnr_register_possible(t, w_nm, h_nm, &o, why, sizeof why), !*expected);
    if (!strstr(why, expected) || (!*expected && *why)) {
        fail_msg("'%s' instead of '%s'", why, expected);
    }
}

static void part_of_a_tile_on_the_montage(void **state)
{
    (void)state;
    fnr_target *t = make_target(60, 40, 100); /* 6 x 4 um */
    check(t, 3000, 2000, "");
    check(t, 6000, 4000, "");
    check(t, 6900, 6900, "");                    /* 24 of 47.6 um^2: just over half */
    check(t, 7000, 7000, "at most 49 % of it"); /* 24 of 49 */
    check(t, 2000, 20000, "");                   /* an upper bound: 24 of 40, whatever the shape */
    check(t, 2500, 20000, "at most 48 % of it"); /* 24 of 50 */
    fnr_target_free(t);
}

static void next_to_nothing_and_too_much(void **state)
{
    (void)state;
    fnr_target *t = make_target(60, 40, 100);
    check(t, 790, 2000, "only 7.9 x 20 px");
    check(t, 810, 2000, "");
    check(t, 0, 0, "only 0 x 0 px");
    check(t, NAN, 100, "only");
    fnr_target_free(t);
    t = make_target(1100, 900, 1000); /* no coarser level: a pixel stays below a sheath */
    check(t, 500e3, 400e3, "");
    check(t, 520e3, 400e3, "too many to search");
    fnr_target_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(part_of_a_tile_on_the_montage),
        cmocka_unit_test(next_to_nothing_and_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
