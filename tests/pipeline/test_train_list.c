/* Training on lists of pairs from files to files: channels, stacks, what is left out and what is refused. */
#include "tests/support/support.h"

#include "src/core/fs.h"
#include "src/core/rng.h"
#include "src/image/tiff.h"
#include "src/pipeline/predict_file.h"
#include "src/pipeline/stage_train.h"
#include "src/pipeline/train_set.h"

static const char *in_tmp(const char *name)
{
    static char path[8][FNR_PATH_MAX];
    static int next;
    next = (next + 1) % 8;
    snprintf(path[next], FNR_PATH_MAX, "%s/%s", fnr_test_tmpdir(), name);
    return path[next];
}

/* d pages of w x h floats of 50 nm. */
static void write_stack(const char *name, int d, int h, int w, float *px)
{
    fnr_error err = {0};
    fnr_view v = fnr_view_f32(px, w, h);
    v.d = d;
    v.nm = 50;
    assert_ok(fnr_tiff_write(in_tmp(name), &v, NULL, &err), err);
}

/* Smooth noise; first target = the signal moved by a pixel, second = its square. */
static void make_images(const char *stem, uint64_t seed, int d, int h, int w, int noise_pages)
{
    const int n = d * h * w;
    float *s = malloc((size_t)n * sizeof *s), *t = malloc((size_t)n * (size_t)(2 + noise_pages) * sizeof *t);
    char name[64];
    assert_true(s && t);
    fnr_rng rng = fnr_rng_at(seed, 0, 0);
    const double a = 0.2 + 0.2 * fnr_rng_uniform(&rng), b = 0.2 + 0.2 * fnr_rng_uniform(&rng), c = 6 * fnr_rng_uniform(&rng);
    for (int i = 0; i < n; i++) {
        const int x = i % w, y = i / w % h, z = i / (w * h);
        s[i] = (float)(100 + 20 * sin(a * x + b * y + 0.3 * z + c) + 10 * fnr_rng_uniform(&rng));
    }
    for (int i = 0; i < n; i++) {
        const float v = (s[i] - 100) / 20;
        t[i] = 7 * s[i % w ? i - 1 : i];
        t[n + i] = 1000 * v * v;
        for (int k = 0; k < noise_pages; k++) {
            t[(2 + k) * n + i] = (float)fnr_rng_uniform(&rng);
        }
    }
    snprintf(name, sizeof name, "%s_s.tif", stem);
    write_stack(name, d, h, w, s);
    snprintf(name, sizeof name, "%s_t.tif", stem);
    write_stack(name, noise_pages ? (2 + noise_pages) * d : d, h, w, t);
    snprintf(name, sizeof name, "%s_u.tif", stem);
    write_stack(name, d, h, w, t + n);
    free(s);
    free(t);
}

static void write_text(const char *name, const char *text)
{
    fnr_error err = {0};
    assert_ok(fnr_write_file(in_tmp(name), text, strlen(text), &err), err);
}

/* settings: "name=value" pairs, NULL at the end. */
static void configure(fnr_run *run, const char *const *settings)
{
    static const char *const small[] = {"net.base_channels=4", "net.depth=1",     "net.pixel_nm=50",    "train.patch=16", "train.batch=4",
                                        "train.steps=160",     "train.lr=0.01",   "compute.threads=1",  "train.noise=0",  "train.gain_jitter=0",
                                        "train.offset_jitter=0", "train.turn=no", "train.flip=no",      "train.validate_every=40", NULL};
    fnr_error err = {0};
    assert_ok(fnr_config_load(&run->config, NULL, &err), err);
    const char *const *lists[] = {small, settings};
    for (int k = 0; k < 2; k++) {
        for (const char *const *s = lists[k]; *s; s++) {
            char name[128];
            const char *equals = strchr(*s, '=');
            snprintf(name, sizeof name, "%.*s", (int)(equals - *s), *s);
            assert_ok(fnr_settings_set(&fnr_config_table, &run->config, name, equals + 1, "test", &err), err);
        }
    }
    assert_ok(fnr_config_finish(&run->config, &err), err);
}

static bool train(const char *list, const char *model, const char *const *settings, fnr_error *err)
{
    fnr_run run = {0};
    configure(&run, settings);
    const char *const inputs[] = {in_tmp(list)};
    const fnr_train_job job = {.projects = inputs, .n_projects = 1, .model_path = in_tmp(model), .force = true};
    return fnr_stage_train(&run, &job, err);
}

/* Pearson r between channel `channel` of the model's prediction and page 0.. of a target file. */
static double r_of_prediction(const char *model, const char *input, const char *channel_file, const char *target, int d)
{
    fnr_run run = {0};
    fnr_error err = {0};
    fnr_image p, t;
    size_t failed;
    configure(&run, (const char *const[]){NULL});
    const char *const inputs[] = {in_tmp(input)}, *const models[] = {in_tmp(model)};
    const fnr_predict_job job = {.models = models, .n_models = 1, .inputs = inputs, .n_inputs = 1, .output = in_tmp("p.tif")};
    assert_ok(fnr_stage_predict(&run, &job, &failed, &err), err);
    assert_ok(fnr_tiff_read(in_tmp(channel_file), &(fnr_tiff_read_options){.depth = d}, &p, &err), err);
    assert_ok(fnr_tiff_read(in_tmp(target), &(fnr_tiff_read_options){.depth = d}, &t, &err), err);
    const float *a = p.v.px, *b = t.v.px;
    const int n = p.v.w * p.v.h * p.v.d;
    double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (int i = 0; i < n; i++) {
        ma += (double)a[i] / n;
        mb += (double)b[i] / n;
    }
    for (int i = 0; i < n; i++) {
        aa += (a[i] - ma) * (a[i] - ma);
        bb += (b[i] - mb) * (b[i] - mb);
        ab += (a[i] - ma) * (b[i] - mb);
    }
    fnr_image_free(&p);
    fnr_image_free(&t);
    return ab / sqrt(aa * bb);
}

/* The last line of the loss curve: val_r and that of each channel. */
static void last_rs(const char *name, double *r, double *r1, double *r2)
{
    fnr_error err = {0};
    char *text;
    size_t size;
    assert_ok(fnr_read_file(in_tmp(name), 1 << 20, &text, &size, &err), err);
    assert_memory_equal(text, "step,loss,validation_mse,validation_r,validation_r_1,validation_r_2\n", 68);
    text[size - 1] = 0;
    assert_int_equal(sscanf(strrchr(text, '\n') + 1, "%*d,%*f,%*f,%lf,%lf,%lf", r, r1, r2), 3);
    free(text);
}

static void two_targets_are_learnt_and_judged_apart(void **state)
{
    (void)state;
    fnr_error err = {0};
    double r, r1, r2;
    make_images("a", 1, 1, 48, 64, 0);
    make_images("b", 2, 1, 40, 72, 0);
    make_images("v", 3, 1, 48, 56, 0);
    write_text("two.csv", "signal,target,target2,set\na_s.tif,a_t.tif,a_u.tif,train\nb_s.tif,b_t.tif,b_u.tif,\nv_s.tif,v_t.tif,v_u.tif,validation\n");
    assert_ok(train("two.csv", "two.safetensors", (const char *const[]){NULL}, &err), err);
    fnr_model m;
    assert_ok(fnr_model_read(in_tmp("two.safetensors"), &m, &err), err);
    assert_true(m.desc.spatial == 2 && m.desc.in_channels == 1 && m.desc.out_channels == 2 && m.pixel_nm == 50);
    assert_non_null(strstr(m.record, "v_s.tif"));
    last_rs("two.loss.csv", &r, &r1, &r2);
    assert_at_most(fabs(r - 0.5 * (r1 + r2)), 2e-6);
    assert_at_most(0.8, r1);
    assert_at_most(0.6, r2);
    /* The best state's own r, from the files it predicts; validation saw the same image whole. */
    const double p1 = r_of_prediction("two.safetensors", "v_s.tif", "p.c1.tif", "v_t.tif", 1);
    const double p2 = r_of_prediction("two.safetensors", "v_s.tif", "p.c2.tif", "v_u.tif", 1);
    assert_at_most(fabs(0.5 * (p1 + p2) - fnr_model_best(&m)->val_r), 1e-4);
    fnr_model_free(&m);
}

/* Pages 1 and 2 of four, the other way round, give what two files give with their columns exchanged. */
static void channels_of_a_file_are_chosen(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_model m, other;
    make_images("m", 4, 1, 32, 48, 2);
    write_text("pages.csv", "path_signal,path_target\nm_s.tif,m_t.tif\n");
    static const char *const chosen[] = {"data.target_channels=2,1", "data.target_scaling=image", "train.steps=5", NULL};
    static const char *const plain[] = {"data.target_scaling=image", "train.steps=5", NULL};
    assert_ok(train("pages.csv", "pages.safetensors", chosen, &err), err);
    make_images("m", 4, 1, 32, 48, 0);
    write_text("columns.csv", "signal,target,target2\nm_s.tif,m_u.tif,m_t.tif\n");
    assert_ok(train("columns.csv", "columns.safetensors", plain, &err), err);
    assert_ok(fnr_model_read(in_tmp("pages.safetensors"), &m, &err), err);
    assert_ok(fnr_model_read(in_tmp("columns.safetensors"), &other, &err), err);
    assert_int_equal(m.desc.out_channels, 2);
    assert_memory_equal(m.values, other.values, m.graph.param_floats * sizeof *m.values);
    fnr_model_free(&m);
    fnr_model_free(&other);
    assert_false(train("columns.csv", "x.safetensors", (const char *const[]){"data.target_channels=2", NULL}, &err));
    assert_non_null(strstr(err.message, "m_u.tif has 1 channel"));
}

static void stacks_are_learnt(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_model m;
    make_images("s", 5, 8, 24, 32, 0);
    make_images("w", 6, 6, 24, 26, 0);
    write_text("stacks.csv", "signal,target,set\ns_s.tif,s_t.tif,train\nw_s.tif,w_t.tif,validation\n");
    static const char *const settings[] = {"net.spatial=3", "train.patch_z=4", "net.base_channels=2", "train.foreground=0.5", "train.steps=120", "train.batch=2", NULL};
    assert_ok(train("stacks.csv", "stacks.safetensors", settings, &err), err);
    assert_ok(fnr_model_read(in_tmp("stacks.safetensors"), &m, &err), err);
    assert_true(m.desc.spatial == 3 && fabs(m.pixel_nm - 50) < 1e-3);
    const double best = fnr_model_best(&m)->val_r;
    assert_at_most(0.8, best);
    assert_at_most(fabs(r_of_prediction("stacks.safetensors", "w_s.tif", "p.tif", "w_t.tif", 6) - best), 1e-4);
    fnr_model_free(&m);
}

/* 8 images of 0.7 MiB and 2 MiB for them: two are in memory at a time.  It learns, and twice the same. */
static void more_images_than_memory(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_model m, again;
    char list[1024] = "signal,target,set\n";
    for (int i = 0; i < 8; i++) {
        char stem[16];
        snprintf(stem, sizeof stem, "big%d", i);
        make_images(stem, 20 + (uint64_t)i, 1, 290, 310, 0);
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s_s.tif,%s_t.tif,%s\n", stem, stem, i == 3 ? "validation" : "");
    }
    write_text("big.csv", list);
    static const char *const settings[] = {"data.max_mb=2", "data.buffer_steps=5", "net.base_channels=2", "train.steps=120", "train.validate_every=60", NULL};
    assert_ok(train("big.csv", "big.safetensors", settings, &err), err);
    assert_ok(train("big.csv", "again.safetensors", settings, &err), err);
    assert_ok(fnr_model_read(in_tmp("big.safetensors"), &m, &err), err);
    assert_ok(fnr_model_read(in_tmp("again.safetensors"), &again, &err), err);
    assert_at_most(0.9, fnr_model_best(&m)->val_r);
    assert_memory_equal(m.values, again.values, m.graph.param_floats * sizeof *m.values);
    fnr_model_free(&m);
    fnr_model_free(&again);
}

static void bad_lists_are_explained(void **state)
{
    (void)state;
    fnr_error err = {0};
    static const char *const none[] = {"train.steps=2", NULL};
    make_images("a", 1, 1, 48, 64, 0);
    make_images("b", 2, 1, 40, 72, 0);
    write_text("bad.csv", "signal,goal\na_s.tif,a_t.tif\n");
    assert_false(train("bad.csv", "x.safetensors", none, &err));
    assert_non_null(strstr(err.message, "bad.csv: the header has no column \"target\""));
    write_text("bad.csv", "signal,target\na_s.tif,\n");
    assert_false(train("bad.csv", "x.safetensors", none, &err));
    assert_non_null(strstr(err.message, "bad.csv row 2: a file name is missing"));
    write_text("bad.csv", "signal,target,set\na_s.tif,a_t.tif,test\n");
    assert_false(train("bad.csv", "x.safetensors", none, &err));
    assert_non_null(strstr(err.message, "bad.csv row 2: set is \"test\"; write train or validation"));
    write_text("bad.csv", "signal,target\n");
    assert_false(train("bad.csv", "x.safetensors", none, &err));
    assert_non_null(strstr(err.message, "holds no pairs"));
    write_text("bad.csv", "signal,target\na_s.tif,b_t.tif\nabsent.tif,a_t.tif\n"); /* both are left out */
    assert_false(train("bad.csv", "x.safetensors", none, &err));
    assert_non_null(strstr(err.message, "none of the 2 training images could be read"));
    write_text("bad.csv", "signal,target\na_s.tif,b_t.tif\na_s.tif,a_t.tif\n"); /* one is left out, the other serves */
    assert_ok(train("bad.csv", "x.safetensors", none, &err), err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_targets_are_learnt_and_judged_apart),
        cmocka_unit_test(channels_of_a_file_are_chosen),
        cmocka_unit_test(stacks_are_learnt),
        cmocka_unit_test(more_images_than_memory),
        cmocka_unit_test(bad_lists_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
