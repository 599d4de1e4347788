/* The mean over several sides and several models, against mirroring and averaging by hand. */
#include "tests/support/net_rig.h"
#include "tests/support/predict_case.h"

typedef struct {
    const fnr_backend_ops *be;
    fnr_backend *device;
} device;

static float *predict(device d, const fnr_model *const *models, size_t n, fnr_predict_options o, int depth, int h, int w, const float *in)
{
    fnr_error err = {0};
    fnr_predictor *p = fnr_predictor_new_mean(d.be, d.device, models, n, &o, &err);
    if (!p) {
        fail_msg("%s", err.message);
    }
    float *out = malloc((size_t)models[0]->desc.out_channels * (size_t)depth * (size_t)h * (size_t)w * sizeof *out);
    assert_non_null(out);
    assert_ok(fnr_predict_array(p, depth, h, w, in, out, NULL, &err), err);
    fnr_predictor_free(p);
    return out;
}

/* Pixel by pixel: mirror z, y, x, then exchange y and x. `planes` = channels. */
static float *turned(const float *in, int planes, int d, int h, int w, int side)
{
    float *out = malloc((size_t)planes * (size_t)d * (size_t)h * (size_t)w * sizeof *out);
    assert_non_null(out);
    for (int i = 0; i < planes * d * h * w; i++) {
        int x = i % w, y = i / w % h, z = i / (w * h) % d;
        const int c = i / (w * h * d);
        x = side & 1 ? w - 1 - x : x;
        y = side & 2 ? h - 1 - y : y;
        z = side & 4 ? d - 1 - z : z;
        out[side & 8 ? ((c * d + z) * w + x) * h + y : ((c * d + z) * h + y) * w + x] = in[i];
    }
    return out;
}

static float *turned_back(const float *in, int planes, int d, int h, int w, int side) /* extents of the image as it was */
{
    float *out = malloc((size_t)planes * (size_t)d * (size_t)h * (size_t)w * sizeof *out);
    assert_non_null(out);
    for (int i = 0; i < planes * d * h * w; i++) {
        int x = i % w, y = i / w % h, z = i / (w * h) % d;
        const int c = i / (w * h * d);
        x = side & 1 ? w - 1 - x : x;
        y = side & 2 ? h - 1 - y : y;
        z = side & 4 ? d - 1 - z : z;
        out[i] = in[side & 8 ? ((c * d + z) * w + x) * h + y : ((c * d + z) * h + y) * w + x];
    }
    return out;
}

/* Extents on the grid, so that nothing is padded. */
static void check_by_hand(device d, const fnr_netdesc *desc, int depth, int h, int w, fnr_tta tta, const int *sides, int n_sides, int tile)
{
    fnr_model m;
    fnr_test_model(desc, 7, false, &m);
    const fnr_model *one = &m;
    const int ci = desc->in_channels, co = desc->out_channels;
    const size_t n = (size_t)(co * depth * h * w);
    float *in = fnr_test_noise((size_t)(ci * depth * h * w), 8);
    double *mean = calloc(n, sizeof *mean), asymmetry = 0;
    float *plain = predict(d, &one, 1, (fnr_predict_options){0}, depth, h, w, in);
    for (int k = 0; k < n_sides; k++) {
        const bool transpose = sides[k] & 8;
        float *view = turned(in, ci, depth, h, w, sides[k]);
        float *there = predict(d, &one, 1, (fnr_predict_options){0}, depth, transpose ? w : h, transpose ? h : w, view);
        float *back = turned_back(there, co, depth, h, w, sides[k]);
        for (size_t i = 0; i < n; i++) {
            mean[i] += (double)back[i] / n_sides;
            asymmetry = fmax(asymmetry, fabs((double)back[i] - (double)plain[i]));
        }
        free(view);
        free(there);
        free(back);
    }
    assert_at_most(0.01, asymmetry); /* else turning would not be tested */
    float *whole = predict(d, &one, 1, (fnr_predict_options){.tta = tta}, depth, h, w, in);
    float *tiled = predict(d, &one, 1, (fnr_predict_options){.tta = tta, .tile = tile}, depth, h, w, in);
    for (size_t i = 0; i < n; i++) {
        assert_at_most(fabs((double)whole[i] - mean[i]), 2e-6);
    }
    assert_memory_equal(whole, tiled, n * sizeof *whole);
    free(in);
    free(mean);
    free(plain);
    free(whole);
    free(tiled);
    fnr_model_free(&m);
}

static void is_what_turning_by_hand_gives(device d)
{
    static const int all[] = {0, 1, 2, 3, 8, 9, 10, 11};
    static const int flips[] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const int solid_all[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const fnr_netdesc flat = {2, 1, 2, 2, 1}, solid = {3, 2, 1, 2, 1};
    check_by_hand(d, &flat, 1, 28, 34, FNR_TTA_FLIPS, all, 4, 8);
    check_by_hand(d, &flat, 1, 28, 34, FNR_TTA_ALL, all, 8, 6);
    check_by_hand(d, &solid, 4, 8, 26, FNR_TTA_FLIPS, flips, 8, 4);
    check_by_hand(d, &solid, 2, 6, 26, FNR_TTA_ALL, solid_all, 16, 26);
}

/* Off the grid the padded image is what is turned: still the same for every tile size. */
static void tiles_do_not_matter(device d)
{
    const fnr_netdesc desc = {2, 1, 1, 2, 1}; /* reach 10 px, in blocks of 6 px 55 */
    fnr_model m;
    fnr_test_model(&desc, 7, false, &m);
    const fnr_model *one = &m;
    enum { H = 61, W = 283 };
    float *in = fnr_test_noise(H * W, 8), *first = NULL;
    for (int tile = 0; tile <= 84; tile += 28) {
        float *out = predict(d, &one, 1, (fnr_predict_options){.tta = FNR_TTA_ALL, .tile = tile}, 1, H, W, in);
        if (first) {
            assert_memory_equal(first, out, H * W * sizeof *out);
            free(out);
        } else {
            first = out;
        }
    }
    free(first);
    free(in);
    fnr_model_free(&m);
}

static void several_models_give_their_mean(device d)
{
    enum { H = 40, W = 56 };
    const fnr_netdesc desc = {2, 1, 2, 2, 1}, wider = {2, 1, 2, 3, 2};
    fnr_model a, b, c;
    fnr_test_model(&desc, 1, false, &a);
    fnr_test_model(&desc, 2, false, &b);
    fnr_test_model(&wider, 3, false, &c);
    const fnr_model *const all[] = {&a, &b, &c};
    float *in = fnr_test_noise(H * W, 8), *singles[3];
    for (int i = 0; i < 3; i++) {
        singles[i] = predict(d, &all[i], 1, (fnr_predict_options){0}, 1, H, W, in);
    }
    float *mean = predict(d, all, 3, (fnr_predict_options){0}, 1, H, W, in);
    float *tiled = predict(d, all, 3, (fnr_predict_options){.tile = 8}, 1, H, W, in);
    for (int i = 0; i < 2 * H * W; i++) {
        const double by_hand = ((double)singles[0][i] + (double)singles[1][i] + (double)singles[2][i]) / 3;
        assert_at_most(fabs((double)mean[i] - by_hand), 2e-6);
    }
    assert_memory_equal(mean, tiled, 2 * H * W * sizeof *mean);
    for (int i = 0; i < 3; i++) {
        free(singles[i]);
    }
    free(in);
    free(mean);
    free(tiled);
    fnr_model_free(&a);
    fnr_model_free(&b);
    fnr_model_free(&c);
}

static void models_that_do_not_match_are_refused(device d)
{
    const fnr_netdesc desc = {2, 1, 1, 2, 1}, other = {2, 1, 2, 2, 1};
    fnr_error err = {0};
    fnr_model a, b, c;
    fnr_test_model(&desc, 1, false, &a);
    fnr_test_model(&other, 1, false, &b);
    fnr_test_model(&desc, 1, false, &c);
    a.pixel_nm = 10;
    c.pixel_nm = 12;
    const fnr_model *channels[] = {&a, &b}, *pixels[] = {&a, &a, &c};
    assert_null(fnr_predictor_new_mean(d.be, d.device, channels, 2, &(fnr_predict_options){0}, &err));
    assert_non_null(strstr(err.message, "models 1 and 2 cannot be averaged: a 2D network from 1 to 1 channels, and a 2D one from 1 to 2"));
    assert_null(fnr_predictor_new_mean(d.be, d.device, pixels, 3, &(fnr_predict_options){0}, &err));
    assert_non_null(strstr(err.message, "models 1 and 3 cannot be averaged: one works at 10 nm per pixel, the other at 12"));
    fnr_model_free(&a);
    fnr_model_free(&b);
    fnr_model_free(&c);
}

static void on_variant(void (*test)(device), void **state)
{
    const fnr_variant *v = *state;
    device d = {.be = v->ops};
    fnr_error err = {0};
    fnr_backend_options options = v->options;
    options.threads = 1; /* the work is tiny */
    if (!d.be->open(&options, &d.device, &err)) {
        print_message("skipped: %s does not open here: %s\n", v->name, err.message);
        skip();
    }
    test(d);
    d.be->close(d.device);
}

#define EACH(name)                                                                                                               \
    static void name##_(void **state)                                                                                            \
    {                                                                                                                            \
        on_variant(name, state);                                                                                                 \
    }

EACH(is_what_turning_by_hand_gives)
EACH(tiles_do_not_matter)
EACH(several_models_give_their_mean)
EACH(models_that_do_not_match_are_refused)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_what_turning_by_hand_gives_),
        cmocka_unit_test(tiles_do_not_matter_),
        cmocka_unit_test(several_models_give_their_mean_),
        cmocka_unit_test(models_that_do_not_match_are_refused_),
    };
    return fnr_run_for_variants(tests, sizeof tests / sizeof *tests);
}
