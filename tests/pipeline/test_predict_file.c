/* `predict` on files: channels, stacks, several models, against the network run on numbers prepared by hand. */
#include "tests/support/support.h"

#include "net/predict.h"
#include "src/core/fs.h"
#include "src/core/rng.h"
#include "src/image/tiff.h"
#include "src/pipeline/predict_file.h"
#include "src/pipeline/stack.h"

static void model_file(const char *name, const fnr_netdesc *desc, double nm, uint64_t seed, fnr_model *m, char path[FNR_PATH_MAX])
{
    fnr_error err = {0};
    assert_ok(fnr_model_new(desc, seed, m, &err), err);
    fnr_rng rng = fnr_rng_at(seed, 1, 2);
    for (int i = 0; i < m->graph.n_params; i++) {
        const fnr_param *p = &m->graph.params[i];
        for (size_t k = 0; p->role == FNR_PARAM_WEIGHT && k < p->count; k++) {
            m->values[p->offset + k] = (float)(0.6 * fnr_rng_uniform(&rng) - 0.3);
        }
    }
    m->pixel_nm = nm;
    assert_ok(fnr_path_join(path, fnr_test_tmpdir(), name, &err), err);
    assert_ok(fnr_model_write(path, m, &err), err);
}

/* A stack of U16 pages; returns the pixels, z-scored page by page (`per` = 1) or over all (`per` = pages). */
static float *stack_file(const char *name, int w, int h, int pages, int per, double nm, char path[FNR_PATH_MAX])
{
    fnr_error err = {0};
    fnr_image im;
    const size_t n = (size_t)w * (size_t)h;
    float *z = malloc(n * (size_t)pages * sizeof *z);
    assert_non_null(z);
    assert_ok(fnr_image_new(&im, w, h, pages, 1, FNR_U16, &err), err);
    fnr_rng rng = fnr_rng_at(3, (uint64_t)w, (uint64_t)pages);
    uint16_t *px = im.v.px;
    for (size_t i = 0; i < n * (size_t)pages; i++) {
        px[i] = (uint16_t)(1000 + 500 * (i / n) + fnr_rng_below(&rng, 300));
    }
    for (int p = 0; p < pages; p += per) { /* two passes, in the open */
        double mean = 0, var = 0;
        const size_t from = n * (size_t)p, count = n * (size_t)per;
        for (size_t i = from; i < from + count; i++) {
            mean += (double)px[i] / (double)count;
        }
        for (size_t i = from; i < from + count; i++) {
            var += (px[i] - mean) * (px[i] - mean) / (double)count;
        }
        for (size_t i = from; i < from + count; i++) {
            z[i] = (float)((px[i] - mean) / sqrt(var));
        }
    }
    im.v.nm = nm;
    assert_ok(fnr_path_join(path, fnr_test_tmpdir(), name, &err), err);
    assert_ok(fnr_tiff_write(path, &im.v, NULL, &err), err);
    fnr_image_free(&im);
    return z;
}

static bool predict(const char *const *models, size_t n_models, const char *input, const char *output, const char *set, fnr_error *err)
{
    fnr_run run = {0};
    size_t failed;
    assert_ok(fnr_config_load(&run.config, NULL, err), *err);
    assert_ok(!set || fnr_settings_set(&fnr_config_table, &run.config, set, "flips", "test", err), *err);
    run.config.compute.threads = 1;
    assert_ok(fnr_config_finish(&run.config, err), *err);
    const fnr_predict_job job = {.models = models, .n_models = n_models, .inputs = &input, .n_inputs = 1, .output = output};
    return fnr_stage_predict(&run, &job, &failed, err);
}

/* The network on numbers in memory; malloc'ed. */
static float *by_hand(const fnr_model *m, int tta, int d, int h, int w, const float *in)
{
    fnr_error err = {0};
    fnr_backend *device;
    const fnr_backend_ops *be = fnr_backend_find("auto", &err);
    assert_ok(be->open(&(fnr_backend_options){.threads = 1}, &device, &err), err);
    fnr_predictor *p = fnr_predictor_new(be, device, m, &(fnr_predict_options){.tta = tta}, &err);
    float *out = malloc((size_t)m->desc.out_channels * (size_t)(d * h * w) * sizeof *out);
    assert_true(p && out);
    assert_ok(fnr_predict_array(p, d, h, w, in, out, NULL, &err), err);
    fnr_predictor_free(p);
    be->close(device);
    return out;
}

static void assert_file_holds(const char *path, int d, int h, int w, const float *expected)
{
    fnr_error err = {0};
    fnr_image im;
    assert_ok(fnr_tiff_read(path, &(fnr_tiff_read_options){.depth = d}, &im, &err), err);
    assert_true(im.v.w == w && im.v.h == h && im.v.d == d && im.v.dtype == FNR_F32);
    assert_at_most(fnr_test_rel_l2(im.v.px, expected, (size_t)(d * h * w)), 1e-5);
    fnr_image_free(&im);
}

static void channels_come_from_pages_and_go_to_files(void **state)
{
    (void)state;
    enum { W = 50, H = 34 };
    const fnr_netdesc desc = {2, 2, 3, 2, 1};
    fnr_error err = {0};
    fnr_model m;
    char model[FNR_PATH_MAX], input[FNR_PATH_MAX], out[FNR_PATH_MAX], channel[FNR_PATH_MAX];
    model_file("flat.safetensors", &desc, 20, 1, &m, model);
    float *z = stack_file("two.tif", W, H, 2, 1, 20, input), *expected = by_hand(&m, FNR_TTA_NONE, 1, H, W, z);
    assert_ok(fnr_path_join(out, fnr_test_tmpdir(), "out/flat.tif", &err), err);
    const char *const models[] = {model};
    assert_ok(predict(models, 1, input, out, NULL, &err), err);
    for (int c = 0; c < 3; c++) {
        snprintf(channel, sizeof channel, "%s/out/flat.c%d.tif", fnr_test_tmpdir(), c + 1);
        assert_file_holds(channel, 1, H, W, expected + c * W * H);
    }
    assert_false(fnr_is_file(out));
    free(z);
    z = stack_file("three.tif", W, H, 3, 1, 20, input);
    assert_false(predict(models, 1, input, out, NULL, &err));
    assert_non_null(strstr(err.message, "three.tif: has 3 channels, the network takes 2"));
    free(z);
    free(expected);
    fnr_model_free(&m);
}

static void stacks_are_predicted_whole(void **state)
{
    (void)state;
    enum { W = 26, H = 18, D = 6 };
    const fnr_netdesc desc = {3, 1, 1, 2, 1};
    fnr_error err = {0};
    fnr_model m;
    char model[FNR_PATH_MAX], input[FNR_PATH_MAX], out[FNR_PATH_MAX];
    model_file("solid.safetensors", &desc, 100, 2, &m, model);
    float *z = stack_file("stack.tif", W, H, D, D, 100, input), *expected = by_hand(&m, FNR_TTA_FLIPS, D, H, W, z);
    assert_ok(fnr_path_join(out, fnr_test_tmpdir(), "solid.tif", &err), err);
    const char *const models[] = {model};
    assert_ok(predict(models, 1, input, out, "predict.tta", &err), err);
    assert_file_holds(out, D, H, W, expected);
    free(z);
    z = stack_file("other.tif", W, H, D, D, 50, input);
    assert_false(predict(models, 1, input, out, NULL, &err));
    assert_non_null(strstr(err.message, "other.tif: pixels of 50 nm, but the 3D network works at 100 nm"));
    free(z);
    free(expected);
    fnr_model_free(&m);
}

static void several_models_are_averaged(void **state)
{
    (void)state;
    enum { W = 40, H = 32 };
    const fnr_netdesc desc = {2, 1, 1, 2, 1};
    fnr_error err = {0};
    fnr_model a, b, c;
    char paths[3][FNR_PATH_MAX], input[FNR_PATH_MAX], out[FNR_PATH_MAX], list[2 * FNR_PATH_MAX];
    model_file("a.safetensors", &desc, 20, 1, &a, paths[0]);
    model_file("b.safetensors", &desc, 20, 2, &b, paths[1]);
    model_file("c.safetensors", &desc, 25, 3, &c, paths[2]);
    float *z = stack_file("one.tif", W, H, 1, 1, 20, input);
    float *from_a = by_hand(&a, FNR_TTA_NONE, 1, H, W, z), *from_b = by_hand(&b, FNR_TTA_NONE, 1, H, W, z);
    for (int i = 0; i < W * H; i++) {
        from_a[i] = 0.5f * (from_a[i] + from_b[i]);
    }
    assert_ok(fnr_path_join(out, fnr_test_tmpdir(), "mean.tif", &err), err);
    assert_ok(predict((const char *const[]){paths[0], paths[1]}, 2, input, out, NULL, &err), err);
    assert_file_holds(out, 1, H, W, from_a);
    snprintf(list, sizeof list, "%s,%s", paths[1], paths[0]);
    assert_ok(predict((const char *const[]){list}, 1, input, out, NULL, &err), err);
    assert_file_holds(out, 1, H, W, from_a);
    assert_false(predict((const char *const[]){paths[0], paths[2]}, 2, input, out, NULL, &err));
    assert_non_null(strstr(err.message, "c.safetensors cannot be averaged: they work at 20 and 25 nm per pixel"));
    assert_false(predict((const char *const[]){paths[0], paths[0]}, 2, input, out, NULL, &err));
    assert_non_null(strstr(err.message, "are the same model"));
    free(z);
    free(from_a);
    free(from_b);
    fnr_model_free(&a);
    fnr_model_free(&b);
    fnr_model_free(&c);
}

/* tests/fuzz/corpus_tiff/imagej.tif: 9 x 7 px, 3 pages, which ImageJ calls slices or channels; what tifffile says decides. */
static void pages_are_told_apart(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_tiff_info info;
    fnr_stack s;
    const char *path = "tests/fuzz/corpus_tiff/imagej.tif";
    assert_ok(fnr_tiff_probe(path, &info, &err), err);
    assert_ok(fnr_stack_open(path, 3, &s, &err), err);
    assert_true(s.w == 9 && s.h == 7 && s.channels * s.depth == 3 && s.depth == info.size_z);
    assert_ok(fnr_stack_open(path, 2, &s, &err), err);
    assert_true(s.channels == 3 && s.depth == 1);
}

/* A picture of its own pattern in the folder of the test. */
static void noise_file(const char *name, int w, int h, uint64_t seed, char path[FNR_PATH_MAX])
{
    fnr_error err = {0};
    fnr_image im;
    assert_ok(fnr_image_new(&im, w, h, 1, 1, FNR_U8, &err), err);
    fnr_rng rng = fnr_rng_at(seed, 5, 6);
    for (int i = 0; i < w * h; i++) {
        ((uint8_t *)im.v.px)[i] = seed ? (uint8_t)fnr_rng_below(&rng, 256) : 7;
    }
    im.v.nm = 20;
    assert_ok(fnr_path_join(path, fnr_test_tmpdir(), name, &err), err);
    assert_ok(fnr_tiff_write(path, &im.v, &(fnr_tiff_write_options){.compress = true}, &err), err);
    fnr_image_free(&im);
}

/* The header stays whole, what is behind it does not decode. */
static void spoil_pixels(const char *path)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, 200, SEEK_SET), 0);
    for (int i = 0; i < 300; i++) {
        fputc(0xff, f);
    }
    assert_int_equal(fclose(f), 0);
}

static bool predict_many(const char *model, const char *const *inputs, size_t n, const char *folder, int tile, size_t *failed, fnr_error *err)
{
    fnr_run run = {0};
    assert_ok(fnr_config_load(&run.config, NULL, err), *err);
    run.config.compute.threads = 1;
    run.config.predict.tile = tile;
    assert_ok(fnr_config_finish(&run.config, err), *err);
    const fnr_predict_job job = {.models = &model, .n_models = 1, .inputs = inputs, .n_inputs = n, .output = folder};
    return fnr_stage_predict(&run, &job, failed, err);
}

static void assert_same_pixels(const char *one, const char *other, int w, int h)
{
    fnr_error err = {0};
    fnr_image a, b;
    assert_ok(fnr_tiff_read(one, NULL, &a, &err), err);
    assert_ok(fnr_tiff_read(other, NULL, &b, &err), err);
    assert_true(a.v.w == w && a.v.h == h && b.v.w == w && b.v.h == h && a.v.dtype == FNR_F32 && b.v.dtype == FNR_F32);
    assert_memory_equal(a.v.px, b.v.px, (size_t)(w * h) * sizeof(float));
    fnr_image_free(&a);
    fnr_image_free(&b);
}

/* Images of two sizes, a constant one, one that breaks while it is read and one that is missing: the others come out as they do
 * alone, whatever stands beside them. */
static void a_bad_image_of_a_series_fails_alone(void **state)
{
    (void)state;
    enum { N = 8 };
    static const struct {
        int w, h, seed;
        bool good;
    } images[N] = {{70, 42, 1, true}, {70, 42, 2, true},  {70, 42, 3, false}, {70, 42, 4, true},
                   {38, 54, 5, true}, {38, 54, 0, false}, {70, 42, 6, true},  {70, 42, 7, false}};
    const fnr_netdesc desc = {2, 1, 1, 2, 1};
    fnr_error err = {0};
    fnr_model m;
    size_t failed;
    char model[FNR_PATH_MAX], paths[N][FNR_PATH_MAX], folder[FNR_PATH_MAX], alone[FNR_PATH_MAX], out[FNR_PATH_MAX];
    const char *inputs[N];
    model_file("series.safetensors", &desc, 20, 9, &m, model);
    for (int i = 0; i < N; i++) {
        char name[32];
        snprintf(name, sizeof name, "s%d.tif", i);
        noise_file(name, images[i].w, images[i].h, (uint64_t)images[i].seed, paths[i]);
        inputs[i] = paths[i];
    }
    spoil_pixels(paths[2]);
    remove(paths[7]);
    snprintf(folder, sizeof folder, "%s/series", fnr_test_tmpdir());
    snprintf(alone, sizeof alone, "%s/alone", fnr_test_tmpdir());
    assert_ok(predict_many(model, inputs, N, folder, 16, &failed, &err), err);
    assert_int_equal(failed, 3);
    for (int i = 0; i < N; i++) {
        snprintf(out, sizeof out, "%s/s%d.prediction.tif", folder, i);
        assert_int_equal(fnr_is_file(out), images[i].good);
        assert_int_equal(predict_many(model, &inputs[i], 1, alone, 16, &failed, &err), images[i].good);
        if (images[i].good) {
            char other[FNR_PATH_MAX];
            snprintf(other, sizeof other, "%s/s%d.prediction.tif", alone, i);
            assert_same_pixels(out, other, images[i].w, images[i].h);
        } else {
            snprintf(out, sizeof out, "s%d.tif", i);
            assert_non_null(strstr(err.message, out));
        }
    }
    fnr_model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_come_from_pages_and_go_to_files),
        cmocka_unit_test(stacks_are_predicted_whole),
        cmocka_unit_test(several_models_are_averaged),
        cmocka_unit_test(pages_are_told_apart),
        cmocka_unit_test(a_bad_image_of_a_series_fails_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
