/* ONNX: what we write reads back to the same bits or the same function; graphs that are wired otherwise are refused.  Whether
 * others read our files is asked in tests/cli/test_convert.sh. */
#include "tests/support/support.h"

#include "net/backend.h"
#include "net/onnx.h"
#include "src/core/rng.h"

static const fnr_netdesc descs[] = {{2, 2, 3, 3, 2}, {3, 1, 2, 2, 1}, {2, 1, 1, 5, 0}};
enum { N_DESCS = sizeof descs / sizeof *descs };

/* Norms with statistics that matter. */
static fnr_model make_model(const fnr_netdesc *desc)
{
    fnr_error err = {0};
    fnr_model m;
    assert_ok(fnr_model_new(desc, 11, &m, &err), err);
    fnr_rng rng = fnr_rng_at(3, 1, 4);
    for (int i = 0; i < m.graph.n_params; i++) {
        const fnr_param *p = &m.graph.params[i];
        for (size_t k = 0; k < p->count && p->role != FNR_PARAM_WEIGHT; k++) {
            const double u = fnr_rng_uniform(&rng);
            m.values[p->offset + k] = (float)(p->role == FNR_PARAM_RUNNING_VAR   ? 0.1 + u
                                              : p->role == FNR_PARAM_NORM_WEIGHT ? 0.5 + u
                                                                                 : u - 0.5);
        }
    }
    m.pixel_nm = 12.5;
    m.record = strdup("{\"who\":\"\xc3\xa9\"}");
    assert_non_null(m.record);
    return m;
}

static void encode(const fnr_model *m, bool fold, char **data, size_t *size)
{
    const fnr_onnx_options opt = {.fold = fold};
    fnr_error err = {0};
    assert_ok(fnr_onnx_encode(m, &opt, data, size, &err), err);
}

static void reads_back_to_the_same_bits(void **state)
{
    (void)state;
    for (int i = 0; i < N_DESCS; i++) {
        fnr_error err = {0};
        char *data;
        size_t size;
        fnr_model a = make_model(&descs[i]), b;
        encode(&a, false, &data, &size);
        assert_ok(fnr_onnx_decode(data, size, "x.onnx", &b, &err), err);
        assert_memory_equal(&a.desc, &b.desc, sizeof a.desc);
        assert_memory_equal(a.values, b.values, a.graph.param_floats * sizeof(float));
        assert_string_equal(a.record, b.record);
        assert_true(b.pixel_nm == 12.5);
        assert_null(b.moment1);
        fnr_model_free(&a);
        fnr_model_free(&b);
        free(data);
    }
}

/* 2 x channels x (8 deep) x 8 x 12 through the reference backend. */
static float *forward(const fnr_model *m, const float *x, const fnr_shape *shape)
{
    const fnr_backend_ops *be = &fnr_backend_ref;
    const fnr_backend_options opt = {.threads = 1};
    fnr_error err = {0};
    fnr_backend *b = NULL;
    fnr_state *s = NULL;
    fnr_program *p = NULL;
    fnr_shape out;
    assert_ok(be->open(&opt, &b, &err) && be->state_new(b, &m->graph, false, &s, &err), err);
    assert_ok(be->state_write(s, FNR_STATE_VALUES, m->values, &err) && be->program_new(b, s, shape, FNR_MODE_INFER, &p, &err),
              err);
    assert_ok(fnr_graph_value_shape(&m->graph, m->graph.output, shape, &out, &err), err);
    float *y = calloc(fnr_shape_count(&out), sizeof *y);
    assert_non_null(y);
    assert_ok(be->forward(p, x, y, &err), err);
    be->program_free(p);
    be->state_free(s);
    be->close(b);
    return y;
}

static void folded_norms_are_the_same_function(void **state)
{
    (void)state;
    for (int i = 0; i < N_DESCS; i++) {
        const fnr_netdesc *d = &descs[i];
        const fnr_shape shape = {
            .spatial = d->spatial, .n = 2, .c = d->in_channels, .d = d->spatial == 3 ? 4 : 1, .h = 8, .w = 12};
        const size_t n = fnr_shape_count(&shape), n_out = n / (size_t)d->in_channels * (size_t)d->out_channels;
        fnr_error err = {0};
        char *data;
        size_t size;
        fnr_model a = make_model(d), b;
        encode(&a, true, &data, &size);
        assert_ok(fnr_onnx_decode(data, size, "folded.onnx", &b, &err), err);
        float *x = calloc(n, sizeof *x);
        assert_non_null(x);
        fnr_rng rng = fnr_rng_at(1, 2, 3);
        for (size_t k = 0; k < n; k++) {
            x[k] = (float)fnr_rng_normal(&rng);
        }
        float *ya = forward(&a, x, &shape), *yb = forward(&b, x, &shape);
        assert_at_most(fnr_test_rel_l2(yb, ya, n_out), 1e-6); /* a handful of float32 roundings */
        assert_true(memcmp(a.values, b.values, a.graph.param_floats * sizeof(float)) != 0);
        free(x);
        free(ya);
        free(yb);
        free(data);
        fnr_model_free(&a);
        fnr_model_free(&b);
    }
}

/* ---- bad files ---------------------------------------------------------------------------------------------------------------
 */

static void refuse(const char *data, size_t size, const char *message)
{
    fnr_error err = {0};
    fnr_model m = {.step = 77};
    char *exact = malloc(size ? size : 1); /* so that reading beyond is seen */
    assert_non_null(exact);
    memcpy(exact, data, size);
    assert_false(fnr_onnx_decode(exact, size, "bad.onnx", &m, &err));
    assert_int_equal(m.step, 77);
    if (!strstr(err.message, message) || !strstr(err.message, "bad.onnx")) {
        fail_msg("expected '%s', got '%s'", message, err.message);
    }
    free(exact);
}

/* Changes the k-th occurrence of a text to another one of the same length. */
static void swap_text(char *data, size_t size, const char *from, const char *to, int k)
{
    char *at = data;
    for (int i = 0; i <= k; i++) {
        at = memmem(at + (i > 0), size - (size_t)(at + (i > 0) - data), from, strlen(from));
        assert_non_null(at);
    }
    memcpy(at, to, strlen(from));
}

static void refuses_other_networks(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        int occurrence;
        const char *message;
    } cases[] = {
        {"Relu", "Tanh", 3, "node 11 is Tanh"},
        {"Concat", "Einsum", 0, "Einsum (or is connected otherwise), expected Concat"},
        {"ConvTranspose", "XonvTranspose", 0, "not this U-Net"},
        {"epsilon\x15\xac\xc5\x27\x37", "epsilon\x15\xac\xc5\x27\x38", 0, "differs in attribute 'epsilon"},
        {"strides@\1@\1", "strides@\1@\2", 0, "attribute 'strides'"},
        {"pads@\1@\1", "pads@\1@\0", 0, "attribute 'pads'"},
        {"dilations@\1", "dilations@\3", 2, "attribute 'dilations'"},
        {"group\x18\1", "group\x18\2", 1, "attribute 'group'"},
        {"conv_out.bias", "conv_uot.bias", 0, "no float32 initializer in the file for 'conv_out.bias'"},
        {"\12\5input", "\12\5imput", 0, "node 0 is Conv (or is connected otherwise)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *data;
        size_t size;
        fnr_model m = make_model(&descs[0]);
        encode(&m, false, &data, &size);
        if (strstr(cases[i].from, "pads")) { /* holds a zero: not a text */
            char *at = memmem(data, size, cases[i].from, strlen(cases[i].from));
            assert_non_null(at);
            at[strlen(cases[i].from) - 1] = 0;
        } else {
            swap_text(data, size, cases[i].from, cases[i].to, cases[i].occurrence);
        }
        refuse(data, size, cases[i].message);
        fnr_model_free(&m);
        free(data);
    }
}

static void refuses_cut_files_and_survives_flipped_bytes(void **state)
{
    (void)state;
    char *data;
    size_t size;
    fnr_model m = make_model(&descs[1]);
    encode(&m, false, &data, &size);
    fnr_model_free(&m);
    for (size_t i = 0; i < 50; i++) {
        refuse(data, size * i / 50, "");
    }
    for (size_t i = 0; i < size && i < 6000; i++) {
        fnr_error err = {0};
        fnr_model got;
        data[i] ^= (char)(1 << i % 8);
        if (fnr_onnx_decode(data, size, "flipped.onnx", &got, &err)) {
            fnr_model_free(&got);
        } else {
            assert_true(err.code != FNR_OK);
        }
        data[i] ^= (char)(1 << i % 8);
    }
    free(data);
    refuse("This is no network.", 19, "broken ONNX file, or none");
    refuse("\x08\x07", 2, "its graph cannot be parsed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_to_the_same_bits),
        cmocka_unit_test(folded_norms_are_the_same_function),
        cmocka_unit_test(refuses_other_networks),
        cmocka_unit_test(refuses_cut_files_and_survives_flipped_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
