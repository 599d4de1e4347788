/* Model files: what PyTorch wrote reads back, what we wrote reads back to the same bits, everything else is refused by name. */
#include "tests/support/support.h"

#include "net/model.h"
#include "net/safetensors.h"
#include "src/core/fs.h"

/* Asymmetric everywhere: 2 inputs, 3 outputs. */
static const fnr_netdesc small_desc = {.spatial = 2, .in_channels = 2, .out_channels = 3, .base_channels = 2, .depth = 1};

static const char *temp_path(const char *name)
{
    static char path[4][512];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", fnr_test_tmpdir(), name);
    return out;
}

static void expect_read_fails(const char *path, const char *message)
{
    fnr_error err = {0};
    fnr_model m = {.step = 77};
    assert_false(fnr_model_read(path, &m, &err));
    assert_int_equal(m.step, 77); /* untouched */
    if (!strstr(err.message, message) || !strstr(err.message, path)) {
        fail_msg("expected '%s ... %s', got '%s'", path, message, err.message);
    }
}

/* The state dict `final.*` of a fixture as a file of its own, as torch users would store it. */
static const char *plain_state_dict(const char *fixture, const char *name)
{
    fnr_error err = {0};
    fnr_st_file f;
    assert_ok(fnr_st_read(fixture, 100 << 20, &f, &err), err);
    size_t n = 0;
    for (size_t i = 0; i < f.n_tensors; i++) {
        if (strncmp(f.tensors[i].name, "final.", 6) == 0) {
            fnr_st_tensor t = f.tensors[i];
            f.tensors[i] = f.tensors[n];
            memmove(t.name, t.name + 6, strlen(t.name) - 5);
            f.tensors[n++] = t;
        }
    }
    const char *path = temp_path(name);
    assert_ok(fnr_st_write(path, f.tensors, n, NULL, 0, &err), err);
    fnr_st_free(&f);
    return path;
}

static void check_plain(const char *fixture, fnr_netdesc desc, double conv_out_sum)
{
    const char *path = plain_state_dict(fnr_test_need(fixture), "plain.safetensors");
    fnr_error err = {0};
    fnr_model m;
    assert_ok(fnr_model_read(path, &m, &err), err);
    assert_memory_equal(&m.desc, &desc, sizeof desc);
    assert_null(m.moment1);
    assert_null(m.record);
    assert_int_equal(m.step, 0);
    assert_true(m.pixel_nm == 0);
    const fnr_param *p = &m.graph.params[fnr_graph_find_param(&m.graph, "conv_out.weight")];
    double sum = 0;
    for (size_t i = 0; i < p->count; i++) {
        sum += (double)m.values[p->offset + i];
    }
    assert_at_most(fabs(sum - conv_out_sum), 1e-9);
    fnr_model_free(&m);
}

static void infers_the_network_from_a_state_dict(void **state)
{
    (void)state; /* sums of conv_out.weight by numpy */
    check_plain("fixtures/net/unet2d_m4_d2.safetensors", (fnr_netdesc){2, 1, 1, 4, 2}, 0.0001772610703483224);
    check_plain("fixtures/net/unet3d_m4_d4.safetensors", (fnr_netdesc){3, 1, 1, 4, 4}, -0.12695189012447372);
}

/* Every tensor of PyTorch's state dict, and no other, stands in the file we write (its counters of batches aside). */
static void writes_pytorchs_names(void **state)
{
    (void)state;
    const char *from = plain_state_dict(fnr_test_need("fixtures/net/unet2d_m8_d4.safetensors"), "torch.safetensors");
    const char *to = temp_path("ours.safetensors");
    fnr_error err = {0};
    fnr_model m;
    fnr_st_file torch, ours;
    assert_ok(fnr_model_read(from, &m, &err), err);
    assert_ok(fnr_model_write(to, &m, &err), err);
    assert_ok(fnr_st_read(from, 100 << 20, &torch, &err), err);
    assert_ok(fnr_st_read(to, 100 << 20, &ours, &err), err);
    size_t found = 0;
    for (size_t i = 0; i < torch.n_tensors; i++) {
        const fnr_st_tensor *a = &torch.tensors[i], *b = fnr_st_find(&ours, a->name);
        if (strstr(a->name, "num_batches_tracked")) {
            assert_null(b);
            continue;
        }
        assert_non_null(b);
        assert_int_equal(a->bytes, b->bytes);
        assert_memory_equal(a->data, b->data, a->bytes);
        assert_memory_equal(a->dims, b->dims, sizeof a->dims);
        found++;
    }
    assert_int_equal(found, ours.n_tensors);
    fnr_st_free(&torch);
    fnr_st_free(&ours);
    fnr_model_free(&m);
}

/* A training state with everything in it. */
static void make_state(fnr_model *m)
{
    fnr_error err = {0};
    assert_ok(fnr_model_new(&small_desc, 5, m, &err), err);
    m->pixel_nm = 0.1 + 0.2; /* needs all 17 digits */
    m->record = strdup("{\"data\":[\"\xc3\xa9\\n\"],\"seed\":5}");
    m->moment1 = calloc(m->graph.param_floats, sizeof(float));
    m->moment2 = calloc(m->graph.param_floats, sizeof(float));
    m->history = calloc(3, sizeof *m->history);
    assert_true(m->record && m->moment1 && m->moment2 && m->history);
    for (int i = 0; i < m->graph.n_params; i++) {
        const fnr_param *p = &m->graph.params[i];
        for (size_t k = 0; k < p->count && fnr_role_is_trained(p->role); k++) {
            m->moment1[p->offset + k] = -1.0f / (float)(p->offset + k + 3);
            m->moment2[p->offset + k] = 1e-40f * (float)(k + 1); /* denormal */
        }
    }
    m->history[0] = (fnr_history_row){10, 1.0 / 3, 0.7, NAN};
    m->history[1] = (fnr_history_row){20, 1.0 / 7, 0.6, 0.25};
    m->history[2] = (fnr_history_row){30, 1e-300, NAN, 0.25};
    m->n_history = m->history_capacity = 3;
    m->step = 123456789012;
    m->loss_sum = 1.0 / 9;
    m->loss_count = 4;
}

static void a_state_reads_back_to_the_same_bits(void **state)
{
    (void)state;
    const char *path = temp_path("state.safetensors");
    fnr_error err = {0};
    fnr_model a, b;
    make_state(&a);
    assert_ok(fnr_model_write(path, &a, &err), err);
    assert_ok(fnr_model_read(path, &b, &err), err);
    const size_t bytes = a.graph.param_floats * sizeof(float);
    assert_memory_equal(&a.desc, &b.desc, sizeof a.desc);
    assert_memory_equal(a.values, b.values, bytes);
    assert_memory_equal(a.moment1, b.moment1, bytes);
    assert_memory_equal(a.moment2, b.moment2, bytes);
    assert_string_equal(a.record, b.record);
    assert_memory_equal(&a.pixel_nm, &b.pixel_nm, sizeof a.pixel_nm);
    assert_memory_equal(&a.loss_sum, &b.loss_sum, sizeof a.loss_sum);
    assert_int_equal(b.step, 123456789012);
    assert_int_equal(b.loss_count, 4);
    assert_int_equal(b.n_history, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(b.history[i].step, a.history[i].step);
        assert_true(b.history[i].loss == a.history[i].loss);
    }
    assert_true(isnan(b.history[0].val_r) && isnan(b.history[2].val_loss) && b.history[1].val_loss == 0.6);
    assert_int_equal(fnr_model_best(&b)->step, 20); /* the first of equals, and never NaN */
    fnr_model_free(&a);
    fnr_model_free(&b);
}

static void initial_parameters_have_pytorch_fnets_spread(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_model m;
    const fnr_netdesc desc = {2, 1, 1, 16, 2};
    assert_ok(fnr_model_new(&desc, 1, &m, &err), err);
    assert_null(fnr_model_best(&m));
    const fnr_param *p = &m.graph.params[fnr_graph_find_param(&m.graph, "net_recurse.sub_u.sub_u.sub_2conv_more.conv2.weight")];
    double sum = 0;
    for (size_t i = 0; i < p->count; i++) {
        sum += (double)m.values[p->offset + i] * (double)m.values[p->offset + i];
    }
    assert_at_most(fabs(sqrt(sum / (double)p->count) - 0.02), 0.001); /* 36864 values */
    fnr_model_free(&m);
}

/* ---- broken files ------------------------------------------------------------------------------------------------------- */

/* The state of make_state as an open container whose tensors and metadata a test may change before it is stored again. */
static void open_state(fnr_st_file *f)
{
    const char *path = temp_path("good.safetensors");
    fnr_error err = {0};
    fnr_model m;
    make_state(&m);
    assert_ok(fnr_model_write(path, &m, &err), err);
    assert_ok(fnr_st_read(path, 1 << 20, f, &err), err);
    fnr_model_free(&m);
}

static void store_and_expect(fnr_st_file *f, const char *message)
{
    const char *path = temp_path("broken.safetensors");
    fnr_error err = {0};
    assert_ok(fnr_st_write(path, f->tensors, f->n_tensors, f->meta, f->n_meta, &err), err);
    expect_read_fails(path, message);
    fnr_st_free(f);
}

static fnr_st_tensor *tensor_of(fnr_st_file *f, const char *name)
{
    for (size_t i = 0; i < f->n_tensors; i++) {
        if (strcmp(f->tensors[i].name, name) == 0) {
            return &f->tensors[i];
        }
    }
    fail_msg("no tensor %s", name);
    return NULL;
}

static void set_meta(fnr_st_file *f, const char *key, const char *value)
{
    for (size_t i = 0; i < f->n_meta; i++) {
        if (strcmp(f->meta[i].key, key) == 0) {
            free(f->meta[i].value);
            f->meta[i].value = strdup(value);
            return;
        }
    }
    fail_msg("no metadata %s", key);
}

static void remove_tensor(fnr_st_file *f, const char *name)
{
    fnr_st_tensor *t = tensor_of(f, name);
    free(t->name);
    *t = f->tensors[--f->n_tensors];
}

static void refuses_wrong_tensors(void **state)
{
    (void)state;
    fnr_st_file f;
    open_state(&f);
    remove_tensor(&f, "conv_out.bias");
    store_and_expect(&f, "tensor 'conv_out.bias' is missing");

    open_state(&f);
    remove_tensor(&f, "adam.exp_avg_sq.conv_out.bias");
    store_and_expect(&f, "tensor 'adam.exp_avg_sq.conv_out.bias' is missing");

    open_state(&f);
    fnr_st_tensor *t = tensor_of(&f, "conv_out.weight"); /* 3x2x3x3 */
    t->dims[0] = 2;
    t->dims[1] = 3;
    store_and_expect(&f, "tensor 'conv_out.weight' has extents 2x3x3x3, the network needs 3x2x3x3");

    open_state(&f);
    t = tensor_of(&f, "conv_out.bias");
    t->rank = 2;
    t->dims[1] = 1;
    store_and_expect(&f, "tensor 'conv_out.bias' has extents 3x1, the network needs 3");

    open_state(&f);
    memcpy(tensor_of(&f, "conv_out.bias")->dtype, "I32", 4);
    store_and_expect(&f, "tensor 'conv_out.bias' has dtype I32; only F32");

    open_state(&f);
    t = tensor_of(&f, "conv_out.bias");
    strcpy(t->name, "conv_out.bia2");
    store_and_expect(&f, "tensor 'conv_out.bias' is missing");

    open_state(&f); /* an additional tensor: another network */
    t = tensor_of(&f, "adam.exp_avg.conv_out.bias");
    strcpy(t->name, "conv_more.bias");
    for (size_t i = f.n_tensors; i-- > 0;) {
        if (strncmp(f.tensors[i].name, "adam.", 5) == 0) {
            free(f.tensors[i].name);
            f.tensors[i] = f.tensors[--f.n_tensors];
        }
    }
    store_and_expect(&f, "tensor 'conv_more.bias' does not belong to the network");
}

static void poke(fnr_st_file *f, const char *name, float value)
{
    const fnr_st_tensor *t = tensor_of(f, name);
    memcpy(f->buffer + ((const char *)t->data - f->buffer) + t->bytes - sizeof value, &value, sizeof value);
}

static void refuses_values_that_are_not_numbers(void **state)
{
    (void)state;
    fnr_st_file f;
    open_state(&f);
    poke(&f, "conv_out.weight", NAN);
    store_and_expect(&f, "tensor 'conv_out.weight' holds a value that is not finite (element 53)");
    open_state(&f);
    poke(&f, "adam.exp_avg.conv_out.weight", -INFINITY);
    store_and_expect(&f, "tensor 'adam.exp_avg.conv_out.weight' holds a value that is not finite (element 53)");
    open_state(&f);
    poke(&f, "net_recurse.bn0.running_var", -1e-3f);
    store_and_expect(&f, "tensor 'net_recurse.bn0.running_var' holds a negative variance");
}

static void refuses_wrong_metadata(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *message;
    } cases[] = {
        {"fnet.spatial", "4", "the number of spatial axes is 4"},
        {"fnet.spatial", "3", "has extents"},
        {"fnet.spatial", "two", "metadata 'fnet.spatial' is not a non-negative integer"},
        {"fnet.depth", "-1", "metadata 'fnet.depth' is not"},
        {"fnet.depth", "", "metadata 'fnet.depth' is not"},
        {"fnet.depth", "1 ", "metadata 'fnet.depth' is not"},
        {"fnet.depth", "99999999999999999999", "metadata 'fnet.depth' is not"},
        {"fnet.depth", "2", "is missing"},
        {"fnet.depth", "8", "is missing"},
        {"fnet.base_channels", "1000000", "the number of base channels is 1000000"},
        {"fnet.base_channels", "4294967298", "the number of base channels"}, /* 2 after truncation to 32 bits */
        {"fnet.base_channels", "1024", "has extents"},
        {"fnet.in_channels", "1", "has extents"},
        {"fnet.pixel_nm", "nan", "metadata 'fnet.pixel_nm' is not"},
        {"fnet.pixel_nm", "-8", "metadata 'fnet.pixel_nm' is not"},
        {"fnet.pixel_nm", "1e999", "metadata 'fnet.pixel_nm' is not"},
        {"fnet.step", "1.5", "metadata 'fnet.step' is not"},
        {"fnet.history", "[[1,2,3]]", "metadata 'fnet.history' is not"},
        {"fnet.history", "{\"a\":1}", "metadata 'fnet.history' is not"},
        {"fnet.history", "[1]", "metadata 'fnet.history' is not"},
        {"fnet.history", "[[1,2,3,4]", "metadata 'fnet.history' is not"},
        {"fnet.history", "[[-1,2,3,4]]", "metadata 'fnet.history' is not"},
        {"fnet.history", "[[1e300,2,3,4]]", "metadata 'fnet.history' is not"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fnr_st_file f;
        open_state(&f);
        set_meta(&f, cases[i].key, cases[i].value);
        store_and_expect(&f, cases[i].message);
    }
}

static void refuses_other_files_and_cut_ones(void **state)
{
    (void)state;
    const char *path = temp_path("cut.safetensors");
    fnr_error err = {0};
    fnr_model m;
    char *data;
    size_t size;
    make_state(&m);
    assert_ok(fnr_model_write(path, &m, &err), err);
    fnr_model_free(&m);
    assert_ok(fnr_read_file(path, 1 << 20, &data, &size, &err), err);
    for (size_t k = 0; k < 7; k++) {
        assert_ok(fnr_write_file(path, data, size * k / 7, &err), err);
        expect_read_fails(path, k == 0 ? "it has only 0 bytes" : "is cut");
    }
    free(data);
    const char text[] = "This is not a model, but a letter to the editor.";
    assert_ok(fnr_write_file(path, text, sizeof text, &err), err);
    expect_read_fails(path, "not a safetensors file");
    const char nothing[] = "\2\0\0\0\0\0\0\0{}";
    assert_ok(fnr_write_file(path, nothing, sizeof nothing - 1, &err), err);
    expect_read_fails(path, "neither our metadata nor tensors named as pytorch_fnet names them");
    expect_read_fails("/nowhere/model.safetensors", "");
}

static void writing_into_nowhere_is_an_error(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_model m;
    make_state(&m);
    assert_false(fnr_model_write("/nowhere/model.safetensors", &m, &err));
    assert_int_equal(err.code, FNR_E_IO);
    fnr_model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(infers_the_network_from_a_state_dict),
        cmocka_unit_test(writes_pytorchs_names),
        cmocka_unit_test(a_state_reads_back_to_the_same_bits),
        cmocka_unit_test(initial_parameters_have_pytorch_fnets_spread),
        cmocka_unit_test(refuses_wrong_tensors),
        cmocka_unit_test(refuses_values_that_are_not_numbers),
        cmocka_unit_test(refuses_wrong_metadata),
        cmocka_unit_test(refuses_other_files_and_cut_ones),
        cmocka_unit_test(writing_into_nowhere_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
