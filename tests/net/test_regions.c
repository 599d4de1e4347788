/* Images that memory does not hold whole are predicted in regions: no seams, and no bit that depends on tiles or threads. */
#include "tests/backend/tolerances.h"
#include "tests/support/predict_case.h"

static const fnr_netdesc flat = {2, 1, 1, 2, 1}, solid = {3, 1, 1, 2, 1}; /* halo 10 */

static float *predict_with(const fnr_model *m, int precision, int threads, fnr_predict_options o, int depth, int h, int w,
                           const float *in)
{
    fnr_error err = {0};
    const fnr_backend_options options = {.threads = threads, .winograd = true, .precision = precision};
    fnr_backend *device;
    assert_ok(fnr_backend_onednn.open(&options, &device, &err), err);
    float *out = malloc((size_t)(m->desc.out_channels * depth * h * w) * sizeof *out);
    assert_non_null(out);
    fnr_predictor *p = fnr_predictor_new(&fnr_backend_onednn, device, m, &o, &err);
    assert_ok(p != NULL, err);
    assert_ok(fnr_predict_array(p, depth, h, w, in, out, NULL, &err), err);
    fnr_predictor_free(p);
    fnr_backend_onednn.close(device);
    return out;
}

/* How far `got` may be from the truth: float32 rounds; int8 is measured, against float32. */
static double error_of(const fnr_model *m, int precision, int depth, int h, int w, const float *in, const float *got)
{
    if (precision == FNR_PRECISION_FLOAT32) {
        return fnr_tolerances[FNR_TOL_EVALUATION].winograd;
    }
    float *exact = predict_with(m, FNR_PRECISION_FLOAT32, 2, (fnr_predict_options){0}, depth, h, w, in);
    const double error = fnr_test_rel_l2(got, exact, (size_t)depth * (size_t)h * (size_t)w);
    free(exact);
    assert_at_most(error, 0.2); /* of random weights, which make of every byte as much as can be made */
    return error;
}

/* Where memory does not hold an image whole, its regions agree with the whole but for rounding; tiles and threads change no bit
 * of them, however little memory there is. */
static void check_regions(const fnr_netdesc *desc, int precision, fnr_tta tta, int depth, int h, int w, size_t max_bytes)
{
    fnr_model m;
    fnr_test_model(desc, 9, false, &m);
    const size_t n = (size_t)depth * (size_t)h * (size_t)w;
    float *in = fnr_test_noise(n, 3),
          *whole = predict_with(&m, precision, 2, (fnr_predict_options){.tta = (int)tta}, depth, h, w, in);
    float *regions =
        predict_with(&m, precision, 1, (fnr_predict_options){.tta = (int)tta, .max_bytes = max_bytes}, depth, h, w, in);
    assert_true(memcmp(regions, whole, n * sizeof *whole) != 0); /* else there was but one, and this tests nothing */
    assert_at_most(fnr_test_rel_l2(regions, whole, n), 2 * error_of(&m, precision, depth, h, w, in, whole)); /* both err */
    for (int i = 0; i < 3; i++) {
        const fnr_predict_options o = {.max_bytes = max_bytes, .tile = (int[]){0, 20, 60}[i], .tta = (int)tta};
        const int threads = (int[]){9, 2, 1}[i];
        float *tiles = predict_with(&m, precision, threads, o, depth, h, w, in);
        if (memcmp(tiles, regions, n * sizeof *tiles) != 0) {
            fail_msg("%d x %d x %d px in regions: tiles of %d px and %d threads change it by %g", w, h, depth, o.tile, threads,
                     fnr_test_max_abs(tiles, regions, n));
        }
        free(tiles);
    }
    free(in);
    free(whole);
    free(regions);
    fnr_model_free(&m);
}

static void in_the_plane(void **state)
{
    (void)state;
    check_regions(&flat, FNR_PRECISION_FLOAT32, FNR_TTA_NONE, 1, 150, 320, 6000000);
    check_regions(&flat, FNR_PRECISION_FLOAT32, FNR_TTA_FLIPS, 1, 241, 91, 3000000);
}

static void in_volumes(void **state)
{
    (void)state;
    check_regions(&solid, FNR_PRECISION_FLOAT32, FNR_TTA_NONE, 13, 67, 30, 4200000);
    check_regions(&solid, FNR_PRECISION_FLOAT32, FNR_TTA_ALL, 90, 5, 8, 2900000);
}

static void in_int8(void **state)
{
    (void)state;
    check_regions(&flat, FNR_PRECISION_INT8, FNR_TTA_NONE, 1, 150, 420, 2520000);
}

static void rows_of_regions_are_those_of_the_array(void **state)
{
    (void)state;
    enum { H = 250, W = 270 };
    static float out[H * W];
    const fnr_predict_options small = {.max_bytes = 16000000}; /* holds the image whole, but not with a band of its rows */
    const fnr_netdesc desc = {2, 1, 1, 2, 1};
    fnr_error err = {0};
    fnr_model m;
    fnr_test_model(&desc, 9, false, &m);
    float *in = fnr_test_noise(H * W, 3), *array = predict_with(&m, FNR_PRECISION_FLOAT32, 2, small, 1, H, W, in);
    fnr_backend *device;
    assert_ok(fnr_backend_onednn.open(&(fnr_backend_options){.threads = 2, .winograd = true}, &device, &err), err);
    fnr_predictor *p = fnr_predictor_new(&fnr_backend_onednn, device, &m, &small, &err);
    assert_ok(p != NULL, err);
    fnr_test_stream s = {
        .in = in, .out = out, .channels_in = 1, .channels_out = 1, .h = H, .w = W, .fail_read = -1, .fail_band = -1};
    assert_ok(fnr_predict_series(p, 1, W, H, fnr_test_read_rect, &s, fnr_test_take_rows, &s, NULL, &err), err);
    assert_true(s.reads > 1);
    assert_memory_equal(out, array, sizeof out);
    fnr_predictor_free(p);
    fnr_backend_onednn.close(device);
    free(in);
    free(array);
    fnr_model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_the_plane),
        cmocka_unit_test(in_volumes),
        cmocka_unit_test(in_int8),
        cmocka_unit_test(rows_of_regions_are_those_of_the_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
