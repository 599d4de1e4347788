/* What is done to a patch, and how images are continued beyond their edges. */
#include "tests/support/support.h"

#include "net/augment.h"
#include "net/sampler.h"

static void noise_has_its_level(void **state)
{
    (void)state;
    enum { H = 60, W = 100 };
    static float plane[H * W];
    fnr_rng rng = fnr_rng_at(1, 2, 3);
    const fnr_augment a = {.gain = 1, .noise_sd = 0.5};
    fnr_augment_plane(&a, &rng, plane, H, W);
    double sum = 0, sum2 = 0, neighbour = 0;
    for (int i = 0; i < H * W; i++) {
        sum += (double)plane[i];
        sum2 += (double)plane[i] * (double)plane[i];
        neighbour += (double)plane[i] * (double)plane[(i + 1) % (H * W)];
    }
    assert_at_most(fabs(sum / (H * W)), 4 * 0.5 / sqrt(H * W));
    assert_at_most(fabs(sqrt(sum2 / (H * W)) - 0.5), 0.015);
    assert_at_most(fabs(neighbour / sum2), 0.05); /* white */
}

/* scipy.ndimage.gaussian_filter(impulse at (1, 2), 1, mode="mirror", truncate=3), first and last rows. */
static void blur_matches_scipy(void **state)
{
    (void)state;
    static const float first[7] = {0.0522852300f, 0.119308989f, 0.193169250f, 0.117163073f, 0.0261426150f, 0.00214591700f, 0};
    static const float last[7] = {0.000957637f, 0.002185220f, 0.003538018f, 0.002145917f, 0.000478819f, 0.0000393040f, 0};
    float *plane = fnr_test_guarded(35);
    memset(plane, 0, 35 * sizeof *plane);
    plane[1 * 7 + 2] = 1;
    fnr_rng rng = {0};
    const fnr_augment a = {.gain = 1, .blur_px = 1};
    fnr_augment_plane(&a, &rng, plane, 5, 7);
    assert_at_most(fnr_test_max_abs(plane, first, 7), 2e-7);
    assert_at_most(fnr_test_max_abs(plane + 28, last, 7), 2e-7);
    fnr_test_check_guards(plane, 35);
    fnr_test_guarded_free(plane);
    float one = 3; /* smaller than the reach of the blur */
    const fnr_augment wide = {.gain = 1, .blur_px = FNR_SAMPLER_MAX_BLUR};
    fnr_augment_plane(&wide, &rng, &one, 1, 1);
    assert_at_most(fabs((double)one - 3), 1e-5);
}

static void gamma_bends_without_breaking(void **state)
{
    (void)state;
    float plane[4] = {-2, 0, 1, 1000};
    fnr_rng rng = {0};
    const fnr_augment a = {.gain = 1, .gamma = 0.5};
    fnr_augment_plane(&a, &rng, plane, 2, 2);
    assert_at_most(fabs((double)plane[0] - 2 * (exp(-1) - 1)), 1e-6);
    assert_true(plane[1] == 0);
    assert_at_most(fabs((double)plane[2] - 2 * (exp(0.5) - 1)), 1e-6);
    assert_at_most(fabs((double)plane[3] - 2 * (exp(4) - 1)), 1e-4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_has_its_level),
        cmocka_unit_test(blur_matches_scipy),
        cmocka_unit_test(gamma_bends_without_breaking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
