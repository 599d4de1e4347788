/* How far a backend may be from the truth: one table, with the reasons.  What was measured stands in net/README.md. */
#ifndef FNR_TESTS_BACKEND_TOLERANCES_H
#define FNR_TESTS_BACKEND_TOLERANCES_H

#include "tests/support/net_rig.h"

typedef enum {
    FNR_TOL_HAND,
    FNR_TOL_OUTPUT,
    FNR_TOL_LOSS,
    FNR_TOL_GRADIENT,
    FNR_TOL_GRADIENT_FLIPPED,
    FNR_TOL_STATISTICS,
    FNR_TOL_EVALUATION,
    FNR_TOL_LATER_LOSS,
    FNR_TOL_LATER_LOSS_FLIPPED,
    FNR_TOL_LATER_OUTPUT,
    FNR_TOL_LATER_OUTPUT_FLIPPED,
    FNR_TOL_FINAL_P99,
    FNR_TOL_FINAL_L2,
    FNR_TOL_FINAL_L2_FLIPPED,
    FNR_TOL_MOMENTS,
    FNR_TOL_PARITY,
    FNR_TOL_PAPER_GRADIENT,
    FNR_TOL_PAPER_SAMPLE,
    FNR_TOL_COUNT
} fnr_tolerance_kind;

typedef struct {
    fnr_tolerance_kind kind;
    double ref, direct, winograd; /* sums in double; sums in float32; Winograd, F(4x4) in training, F(6x6) in prediction */
    const char *why;
} fnr_tolerance_row;

/* Errors are relative L2 unless said.  PyTorch's own float32 run is off by 1e-6..4e-6 (output) and up to 1.2e-5 (gradients) from
 * its float64 run on these networks.
 *
 * "Flipped": a ReLU input within rounding of zero falls on the other side.  That changes gradients by up to a few percent, and
 * Adam, which divides by the gradient's size, turns it into parameter changes of up to lr = 1e-3.  It is rounding, not a wrong
 * operation: with its weights changed by 4e-7 of themselves the ref backend's gradient of unet3d_m4_d4 moves by 1.2 %; and the
 * ref backend's loops, run in float64, reproduce PyTorch's float64 losses of 2d_m8d4 to 11 digits and its float32 parameters to
 * 3e-7 (99th percentile), but are off by 1..5 % from the third output of unet2d_m8_d4 and unet3d_m4_d4 as PyTorch recorded it in
 * float32. */
static const fnr_tolerance_row fnr_tolerances[FNR_TOL_COUNT] = {
    {FNR_TOL_HAND, 1e-6, 2e-6, 2e-5, "|got - want| / (1 + |want|): whole numbers, or a handful of float32 roundings"},
    {FNR_TOL_OUTPUT, 1e-5, 2e-5, 5e-5, "a few times PyTorch's own float32 error"},
    {FNR_TOL_LOSS, 1e-6, 1e-6, 1e-6, "relative; a mean over all pixels, recorded in float32 in fixtures/net"},
    {FNR_TOL_GRADIENT, 3e-5, 5e-5, 1e-4, "worst tensor; a few times PyTorch's own float32 error"},
    {FNR_TOL_GRADIENT_FLIPPED, 5e-5, 1e-1, 1e-1, "worst tensor, with a flip"},
    {FNR_TOL_STATISTICS, 1e-5, 1e-5, 2e-5, "means and variances of activations that are good to 1e-6"},
    {FNR_TOL_EVALUATION, 1e-6, 1e-6, 5e-6, "no batch statistics that would amplify rounding"},
    {FNR_TOL_LATER_LOSS, 1e-6, 1e-6, 1e-6, "relative; behind one or two Adam steps"},
    {FNR_TOL_LATER_LOSS_FLIPPED, 1e-5, 5e-4, 1e-3, "relative; behind one or two Adam steps, with flips"},
    {FNR_TOL_LATER_OUTPUT, 1e-5, 1e-5, 2e-5, "behind one or two Adam steps"},
    {FNR_TOL_LATER_OUTPUT_FLIPPED, 2e-3, 3e-2, 3e-2, "behind one or two Adam steps, with flips"},
    {FNR_TOL_FINAL_P99, 1e-6, 1e-6, 1e-6, "99th percentile of |difference|, where a step is 1e-3"},
    {FNR_TOL_FINAL_L2, 5e-6, 5e-6, 5e-6, "all parameters as one vector"},
    {FNR_TOL_FINAL_L2_FLIPPED, 2e-3, 5e-3, 1.5e-2,
     "all parameters as one vector, with flips; a wrong Adam step would be above 2e-2"},
    {FNR_TOL_MOMENTS, 2e-4, 2e-4, 2e-4, "gradients of three steps, squared in the second moment"},
    {FNR_TOL_PARITY, 0, 2e-6, 1e-5, "one operation against ref: float32 sums of up to 600 products"},
    {FNR_TOL_PAPER_GRADIENT, 1e-2, 1e-2, 2e-2, "norm of a tensor; inputs not chosen away from kinks (PyTorch's own error: 4e-3)"},
    {FNR_TOL_PAPER_SAMPLE, 5e-2, 5e-2, 5e-2, "single elements against the tensor's root mean square, with kinks"},
};

static inline double fnr_tolerance(fnr_tolerance_kind kind, const fnr_variant *variant)
{
    const fnr_tolerance_row *row = &fnr_tolerances[kind];
    assert_int_equal(row->kind, kind);
    return variant->ops == &fnr_backend_ref ? row->ref : variant->options.winograd ? row->winograd : row->direct;
}

/* Fails (for NaN too) unless error is at most the tolerance. */
static inline void fnr_judge(const fnr_variant *variant, const char *record, fnr_tolerance_kind kind, double error,
                             const char *what)
{
    const double limit = fnr_tolerance(kind, variant);
    if (getenv("FNR_TEST_REPORT")) {
        printf("# %-16s %-14s tolerance %2d %.1e  measured %.1e  %s\n", variant->name, record, (int)kind, limit, error, what);
    }
    if (!(error <= limit)) {
        fail_msg("%s on %s, %s: error %.3g, tolerance %.1g (%s)", variant->name, record, what, error, limit,
                 fnr_tolerances[kind].why);
    }
}

#endif
