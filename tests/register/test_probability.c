/* What is said about a result's chances. */
#include "register/match.h"
#include "tests/support/support.h"

static fnr_registration measured(double score, double ratio, double inliers, double expected, double apart)
{
    fnr_registration r = {.has_transform = true, .score = score, .peak_ratio = ratio, .flow_inliers = inliers, .flow_apart_px = apart,
                          .has_covariance = isfinite(expected), .expected_error_px = expected, .n_candidates = 3};
    for (int i = 0; i < r.n_candidates; i++) {
        r.candidates[i].score = i == 0 ? score : score / ratio - 0.02 * i;
    }
    fnr_probability_of(&r);
    return r;
}

static void good_and_chance_matches_are_told_apart(void **state)
{
    (void)state;
    const fnr_registration good = measured(0.89, 2.4, 0.87, 0.2, 0.2), chance = measured(0.45, 1.02, 0.3, 6, 2),
                           nothing = measured(0, NAN, NAN, NAN, NAN);
    print_message("good %.3f, chance %.3f, nothing %.3f\n", good.probability, chance.probability, nothing.probability);
    assert_true(good.probability > 0.95);
    assert_true(chance.probability < 0.1);
    assert_true(nothing.probability < 0.05);
    assert_true(good.probability_5px >= good.probability && chance.probability_5px >= chance.probability);
}

/* Each piece of evidence by itself: worse evidence never makes a result more probable. */
static void worse_evidence_is_less_probable(void **state)
{
    (void)state;
    const double p = measured(0.7, 1.5, 0.7, 0.6, 0.4).probability;
    assert_true(measured(0.5, 1.5, 0.7, 0.6, 0.4).probability < p);
    assert_true(measured(0.7, 1.1, 0.7, 0.6, 0.4).probability < p);
    assert_true(measured(0.7, 1.5, 0.3, 0.6, 0.4).probability < p);
    assert_true(measured(0.7, 1.5, 0.7, 1.2, 0.4).probability < p);
    assert_true(measured(0.7, 1.5, 0.7, NAN, 0.4).probability < p);
    assert_true(measured(0.7, 1.5, 0.7, 0.6, 1.5).probability < p);
}

/* Of the Rayleigh distribution with a root mean square of 1: median sqrt(ln 2), 95 % below sqrt(ln 20). */
static void error_quantiles_by_hand(void **state)
{
    (void)state;
    assert_at_most(fabs(fnr_error_quantile_px(1, 0.5) - 0.8325546111576977), 1e-12);
    assert_at_most(fabs(fnr_error_quantile_px(2, 0.95) - 2 * 1.7308183826022854), 1e-12);
    assert_at_most(fabs(fnr_error_probability(1, 1) - 0.6321205588285577), 1e-12);
    assert_at_most(fabs(fnr_error_probability(0.3, fnr_error_quantile_px(0.3, 0.975)) - 0.975), 1e-12);
    assert_true(isnan(fnr_error_quantile_px(NAN, 0.5)));
}

static void a_tile_that_is_probably_wrong_is_doubtful(void **state)
{
    (void)state;
    const fnr_register_options o = fnr_register_defaults();
    fnr_registration r = measured(0.9, 2, 0.9, 0.2, 0.2);
    r.scale = 1;
    fnr_verdict_decide(&o, &r);
    assert_int_equal(r.verdict, FNR_REGISTERED);
    r.probability = 0.4;
    fnr_verdict_decide(&o, &r);
    assert_int_equal(r.verdict, FNR_DOUBTFUL);
    assert_non_null(strstr(r.reason, "0.40"));
}

/* The table in the program is the one that the calibration wrote. */
static void reliability_is_the_measured_one(void **state)
{
    (void)state;
    FILE *f = fopen("tests/bench/results/reliability.csv", "r");
    assert_non_null(f);
    double limit, trials, stated, right;
    int n = 0;
    assert_int_equal(fscanf(f, "%*[^\n]"), 0);
    while (fscanf(f, "%lf,%lf,%lf,%lf", &limit, &trials, &stated, &right) == 4) {
        if (limit == 1) {
            assert_true(n < FNR_RELIABILITY_BINS);
            const fnr_reliability *b = &fnr_reliability_1px[n++];
            assert_true((double)b->trials == trials && b->stated == stated && b->right == right);
        }
    }
    fclose(f);
    assert_int_equal(n, FNR_RELIABILITY_BINS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_and_chance_matches_are_told_apart),
        cmocka_unit_test(worse_evidence_is_less_probable),
        cmocka_unit_test(error_quantiles_by_hand),
        cmocka_unit_test(a_tile_that_is_probably_wrong_is_doubtful),
        cmocka_unit_test(reliability_is_the_measured_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
