/* Prediction when the GPU has less memory than it was allowed: tiles are halved until they fit, the result keeps its bits, and where
 * nothing fits the message says what to do.  Needs the pretended GPU, whose memory can be bounded (tests/cuda/test_emulated.sh). */
#include "tests/cuda/tiles_case.h"

enum { H = 320, W = 642 };

static void allow_bytes(size_t bytes)
{
    char text[32];
    snprintf(text, sizeof text, "%zu", bytes);
    assert_int_equal(setenv("FNR_EMULATED_BYTES", text, 1), 0);
}

static fnr_test_stream stream_of(const float *in, float *out)
{
    return (fnr_test_stream){.in = in, .out = out, .channels_in = 1, .channels_out = 1, .h = H, .w = W, .fail_read = -1, .fail_band = -1};
}

/* What a program for an image of this size takes. */
static size_t bytes_for(const tiles_device *d, const fnr_model *m, int h, int w)
{
    fnr_error err = {0};
    fnr_state *s = NULL;
    fnr_program *p = NULL;
    assert_ok(d->ops->state_new(d->device, &m->graph, false, &s, &err) &&
                  d->ops->program_new(d->device, s, &(fnr_shape){2, 1, 1, 1, h, w}, FNR_MODE_INFER, &p, &err), err);
    const size_t bytes = d->ops->program_bytes(p);
    d->ops->program_free(p);
    d->ops->state_free(s);
    return bytes;
}

static void tiles_are_halved_until_they_fit(void **state)
{
    (void)state;
    unsetenv("FNR_EMULATED_BYTES");
    tiles_device d = tiles_open(1);
    if (!tiles_pretended(&d)) {
        d.ops->close(d.device);
        skip();
    }
    fnr_error err = {0};
    fnr_model m;
    fnr_test_model(&(fnr_netdesc){2, 1, 1, 2, 1}, 9, false, &m);
    float *in = fnr_test_noise(H * W, 3), *whole = malloc(H * W * sizeof *whole), *out = malloc(H * W * sizeof *out);
    fnr_predictor *p = fnr_predictor_new(d.ops, d.device, &m, &(fnr_predict_options){0}, &err);
    assert_ok(p != NULL && fnr_predict_array(p, 1, H, W, in, whole, NULL, &err), err);
    fnr_test_stream s = stream_of(in, out);
    assert_ok(fnr_predict_series(p, 1, W, H, fnr_test_read_rect, &s, fnr_test_take_rows, &s, NULL, &err), err);
    assert_int_equal(s.reads, 1); /* fits */
    fnr_predictor_free(p);

    p = fnr_predictor_new(d.ops, d.device, &m, &(fnr_predict_options){0}, &err);
    assert_ok(p != NULL, err);
    allow_bytes(bytes_for(&d, &m, H, W) * 7 / 10);
    for (int i = 0; i < 2; i++) { /* the second time from the start */
        s = stream_of(in, out);
        assert_ok(fnr_predict_series(p, 1, W, H, fnr_test_read_rect, &s, fnr_test_take_rows, &s, NULL, &err), err);
        assert_int_equal(s.bands, 1); /* cut across the longer side alone */
        assert_in_range(s.reads, 2, 3);
        assert_memory_equal(out, whole, H * W * sizeof *out);
    }
    allow_bytes(1000);
    assert_false(fnr_predict_array(p, 1, 3 * H, W / 3, in, out, NULL, &err));
    assert_int_equal(err.code, FNR_E_LIMIT);
    assert_non_null(strstr(err.message, "even for the smallest tile, 22 x 22 x 1 px"));
    assert_non_null(strstr(err.message, "compute.max_mb"));
    unsetenv("FNR_EMULATED_BYTES"); /* nothing is left behind by failures */
    assert_ok(fnr_predict_array(p, 1, H, W, in, out, NULL, &err), err);
    assert_memory_equal(out, whole, H * W * sizeof *out);
    fnr_predictor_free(p);

    p = fnr_predictor_new(d.ops, d.device, &m, &(fnr_predict_options){.tile = 640}, &err);
    assert_ok(p != NULL, err);
    allow_bytes(1000);
    assert_false(fnr_predict_array(p, 1, H, W, in, out, NULL, &err));
    assert_non_null(strstr(err.message, "predict.tile"));
    fnr_predictor_free(p);
    assert_null(fnr_predictor_new(d.ops, d.device, &m, &(fnr_predict_options){0}, &err));
    assert_int_equal(err.code, FNR_E_LIMIT);
    unsetenv("FNR_EMULATED_BYTES");
    d.ops->close(d.device);
    fnr_model_free(&m);
    free(in);
    free(whole);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_are_halved_until_they_fit),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
