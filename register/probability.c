/* How probable it is that a tile found by itself is right: logistic models of the measurements.
 *
 * The coefficients come from `make calibrate-verdict`: tiles of the training sections A, B and C, each predicted by a network that was
 * trained on the two other sections, on their own montages (as they are and as wide field) and, as wrong trials, mirrored and on the
 * other sections' montages.  Section D was never part of it.  tests/bench/results/verdict.txt has the fit and its reliability. */
#include <math.h>

#include "register/match.h"

/* Right within 1 px, within 5 px. */
static const double coefficients[2][FNR_EVIDENCE] = {
    {2.356, 0.472, 0.835, 0.574, -2.695, 0.375, -0.573},
    {2.451, 0.910, 0.772, 1.154, -2.789, 0.422, -0.513},
};

/* tests/bench/results/reliability.csv, from the same command. */
const fnr_reliability fnr_reliability_1px[FNR_RELIABILITY_BINS] = {
    {100, 0.0361, 0.0200}, {19, 0.1910, 0.1579}, {3, 0.3737, 0.3333}, {6, 0.6156, 0.6667},
    {3, 0.8618, 1.0000},   {8, 0.9392, 1.0000},  {78, 0.9977, 1.0000},
};

static double within(double x, double lo, double hi)
{
    return !(x > lo) ? lo : x > hi ? hi : x; /* lo when it is no number */
}

/* Mean score of the candidates that lost: what a wrong place of this tile reaches in this montage. */
static double wrong_score(const fnr_registration *r)
{
    double sum = 0;
    for (int i = 1; i < r->n_candidates; i++) {
        sum += r->candidates[i].score;
    }
    return r->n_candidates > 1 ? sum / (r->n_candidates - 1) : 0;
}

void fnr_evidence_of(const fnr_registration *r, double x[FNR_EVIDENCE])
{
    x[0] = 1;
    x[1] = within(r->score, 0, 1);
    x[2] = log(within(r->peak_ratio, 1, 4));
    x[3] = within(r->flow_inliers, 0, 1);
    x[4] = log(within(r->has_covariance ? r->expected_error_px : INFINITY, 0.05, 10));
    x[5] = within(r->score - wrong_score(r), 0, 1);
    x[6] = log(within(isfinite(r->flow_apart_px) ? r->flow_apart_px : INFINITY, 0.05, 5));
}

static double logistic(const double *b, const double *x)
{
    double sum = 0;
    for (int i = 0; i < FNR_EVIDENCE; i++) {
        sum += b[i] * x[i];
    }
    return 1 / (1 + exp(-sum));
}

double fnr_error_quantile_px(double expected_error_px, double share)
{
    return expected_error_px * sqrt(-log(1 - share));
}

double fnr_error_probability(double expected_error_px, double limit_px)
{
    return 1 - exp(-limit_px * limit_px / (expected_error_px * expected_error_px));
}

void fnr_probability_of(fnr_registration *r)
{
    double x[FNR_EVIDENCE];
    fnr_evidence_of(r, x);
    r->probability = logistic(coefficients[0], x);
    r->probability_5px = fmax(r->probability, logistic(coefficients[1], x));
}
