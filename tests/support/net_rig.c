#include "tests/support/net_rig.h"

#include "src/core/rng.h"

enum { MAX_VARIANTS = 8 };

size_t fnr_variants(const fnr_variant **out)
{
    static fnr_variant list[MAX_VARIANTS];
    const char *threads = getenv("FNR_TEST_THREADS");
    const int n_threads = threads ? atoi(threads) : 0;
    size_t n = 0;
    for (const fnr_backend_ops *const *be = fnr_backend_list(); *be; be++) {
        assert_true(n + 3 <= MAX_VARIANTS);
        list[n++] = (fnr_variant){.name = (*be)->name, .ops = *be};
        if (strcmp((*be)->name, "onednn") == 0) {
            list[n++] = (fnr_variant){.name = "onednn-winograd", .ops = *be, .options = {.winograd = true}};
        }
    }
    const fnr_backend_ops *cuda = fnr_backend_find("cuda", NULL);
    if (cuda) { /* the build holds it; whether a GPU is there shows when it is opened */
        list[n++] = (fnr_variant){.name = "cuda", .ops = cuda};
    }
    const char *only = getenv("FNR_TEST_BACKEND"); /* one variant: tests/cuda/test_emulated.sh */
    for (size_t i = 0; only && i < n; i++) {
        if (strcmp(list[i].name, only) == 0) {
            list[0] = list[i];
            n = 1;
        }
    }
    for (size_t i = 0; i < n; i++) {
        list[i].options.threads = n_threads;
    }
    *out = list;
    return n;
}

const fnr_backend_ops *const *fnr_test_backends(void)
{
    static const fnr_backend_ops *one[2];
    const char *only = getenv("FNR_TEST_BACKEND");
    if (!only) {
        return fnr_backend_list();
    }
    one[0] = fnr_backend_find(only, NULL);
    assert_non_null(one[0]);
    return one;
}

static int run(const struct CMUnitTest *tests, size_t count, bool with_ref)
{
    const fnr_variant *variants;
    const size_t n_variants = fnr_variants(&variants);
    struct CMUnitTest *all = calloc(n_variants * count, sizeof *all);
    char(*names)[128] = calloc(n_variants * count, sizeof *names);
    if (!all || !names) {
        abort();
    }
    size_t n = 0;
    for (size_t v = 0; v < n_variants; v++) {
        for (size_t i = 0; i < count && (with_ref || variants[v].ops != &fnr_backend_ref); i++, n++) {
            snprintf(names[n], sizeof names[n], "%s: %s", variants[v].name, tests[i].name);
            all[n] =
                (struct CMUnitTest){.name = names[n], .test_func = tests[i].test_func, .initial_state = (void *)&variants[v]};
        }
    }
    const int failed = _cmocka_run_group_tests("backends", all, n, NULL, NULL);
    free(all);
    free(names);
    return failed;
}

int fnr_run_for_variants(const struct CMUnitTest *tests, size_t count)
{
    return run(tests, count, true);
}

int fnr_run_for_others(const struct CMUnitTest *tests, size_t count)
{
    return run(tests, count, false);
}

void fnr_rig_new(fnr_rig *rig, const fnr_variant *variant, fnr_graph graph, const fnr_shape *input, fnr_mode mode)
{
    fnr_error err = {0};
    *rig = (fnr_rig){.variant = variant, .graph = graph, .mode = mode, .in = *input};
    if (!variant->ops->open(&variant->options, &rig->backend, &err)) {
        fnr_graph_free(&rig->graph);
        print_message("skipped: %s does not open here: %s\n", variant->name, err.message);
        skip();
    }
    assert_ok(fnr_graph_value_shape(&rig->graph, rig->graph.output, input, &rig->out, &err), err);
    assert_ok(variant->ops->state_new(rig->backend, &rig->graph, mode == FNR_MODE_TRAIN, &rig->state, &err), err);
    assert_ok(variant->ops->program_new(rig->backend, rig->state, input, mode, &rig->program, &err), err);
    rig->n_in = fnr_shape_count(&rig->in);
    rig->n_out = fnr_shape_count(&rig->out);
    rig->x = fnr_test_guarded(rig->n_in);
    rig->dx = fnr_test_guarded(rig->n_in);
    rig->y = fnr_test_guarded(rig->n_out);
    rig->dy = fnr_test_guarded(rig->n_out);
    rig->values = fnr_test_guarded(rig->graph.param_floats);
    rig->grads = fnr_test_guarded(rig->graph.param_floats);
}

static void release_guarded(float *p, size_t n)
{
    fnr_test_check_guards(p, n);
    fnr_test_guarded_free(p);
}

void fnr_rig_free(fnr_rig *rig)
{
    release_guarded(rig->x, rig->n_in);
    release_guarded(rig->dx, rig->n_in);
    release_guarded(rig->y, rig->n_out);
    release_guarded(rig->dy, rig->n_out);
    release_guarded(rig->values, rig->graph.param_floats);
    release_guarded(rig->grads, rig->graph.param_floats);
    rig->variant->ops->program_free(rig->program);
    rig->variant->ops->state_free(rig->state);
    rig->variant->ops->close(rig->backend);
    fnr_graph_free(&rig->graph);
}

void fnr_rig_forward(fnr_rig *rig)
{
    fnr_error err = {0};
    assert_ok(rig->variant->ops->state_write(rig->state, FNR_STATE_VALUES, rig->values, &err), err);
    assert_ok(rig->variant->ops->forward(rig->program, rig->x, rig->y, &err), err);
}

void fnr_rig_backward(fnr_rig *rig)
{
    fnr_error err = {0};
    assert_ok(rig->variant->ops->set_output_grad(rig->program, rig->dy, &err), err);
    assert_ok(rig->variant->ops->backward(rig->program, rig->dx, &err), err);
    assert_ok(rig->variant->ops->state_read(rig->state, FNR_STATE_GRADS, rig->grads, &err), err);
}

static int checked(int id)
{
    assert_true(id >= 0);
    return id;
}

static int param(fnr_graph *g, const char *name, fnr_param_role role, int rank, const int *dims)
{
    return checked(fnr_graph_add_param(g, name, role, rank, dims));
}

/* Adds the operation with weight and bias called prefix + "weight" and "bias"; returns its output value. */
static int add_conv(fnr_graph *g, fnr_op_kind kind, int in, int c_out, int kernel, const char *prefix)
{
    const fnr_value v = g->values[in];
    const bool up = kind == FNR_OP_CONVT;
    const int first = up ? v.channels : c_out, second = up ? c_out : v.channels;
    const int dims[5] = {first, second, kernel, kernel, kernel};
    char name[64];
    fnr_op op = {.kind = kind, .in = {in, -1}, .kernel = kernel, .stride = kernel == 2 ? 2 : 1, .pad = kernel == 3 ? 1 : 0};
    op.running_mean = op.running_var = -1;
    snprintf(name, sizeof name, "%sweight", prefix);
    op.weight = param(g, name, FNR_PARAM_WEIGHT, 2 + g->spatial, dims);
    snprintf(name, sizeof name, "%sbias", prefix);
    op.bias = param(g, name, FNR_PARAM_BIAS, 1, &c_out);
    op.out = checked(fnr_graph_add_value(g, c_out, v.level + (up ? -1 : kernel == 2 ? 1 : 0)));
    checked(fnr_graph_add_op(g, &op));
    return op.out;
}

fnr_graph fnr_graph_of_conv(int spatial, int c_in, int c_out, int kernel)
{
    fnr_graph g = {.spatial = spatial};
    g.input = checked(fnr_graph_add_value(&g, c_in, 0));
    g.output = add_conv(&g, FNR_OP_CONV, g.input, c_out, kernel, "");
    return g;
}

fnr_graph fnr_graph_of_convt(int spatial, int c_in, int c_out)
{
    fnr_graph g = {.spatial = spatial};
    g.input = checked(fnr_graph_add_value(&g, c_in, 0));
    g.output = add_conv(&g, FNR_OP_CONVT, g.input, c_out, 2, "");
    return g;
}

fnr_graph fnr_graph_of_norm(int spatial, int channels, bool relu)
{
    fnr_graph g = {.spatial = spatial};
    g.input = checked(fnr_graph_add_value(&g, channels, 0));
    fnr_op op = {.kind = FNR_OP_BN_RELU, .in = {g.input, -1}, .relu = relu};
    op.weight = param(&g, "weight", FNR_PARAM_NORM_WEIGHT, 1, &channels);
    op.bias = param(&g, "bias", FNR_PARAM_NORM_BIAS, 1, &channels);
    op.running_mean = param(&g, "mean", FNR_PARAM_RUNNING_MEAN, 1, &channels);
    op.running_var = param(&g, "var", FNR_PARAM_RUNNING_VAR, 1, &channels);
    g.output = op.out = checked(fnr_graph_add_value(&g, channels, 0));
    checked(fnr_graph_add_op(&g, &op));
    return g;
}

fnr_graph fnr_graph_of_concat(int spatial, int channels, int c_new)
{
    fnr_graph g = {.spatial = spatial};
    g.input = checked(fnr_graph_add_value(&g, channels, 0));
    const int fresh = add_conv(&g, FNR_OP_CONV, g.input, c_new, 1, "");
    g.output = checked(fnr_graph_add_value(&g, c_new + channels, 0));
    const fnr_op op = {.kind = FNR_OP_CONCAT,
                       .in = {fresh, g.input},
                       .out = g.output,
                       .weight = -1,
                       .bias = -1,
                       .running_mean = -1,
                       .running_var = -1};
    checked(fnr_graph_add_op(&g, &op));
    return g;
}

float *fnr_rig_param(const fnr_rig *rig, float *flat, const char *name)
{
    return flat + rig->graph.params[checked(fnr_graph_find_param(&rig->graph, name))].offset;
}

bool fnr_is_bias_before_norm(const fnr_graph *g, int id)
{
    for (int i = 0; i < g->n_ops; i++) {
        if (g->ops[i].bias == id && g->ops[i].bias_feeds_norm) {
            return true;
        }
    }
    return false;
}

void fnr_test_fill(float *p, size_t n, unsigned seed, double low, double high)
{
    fnr_rng rng = fnr_rng_at(seed, 0, 0);
    for (size_t i = 0; i < n; i++) {
        p[i] = (float)(low + (high - low) * fnr_rng_uniform(&rng));
    }
}
