/* The U-Net as a graph: names, order and shapes against PyTorch's own state_dicts, sizes against published numbers. */
#include "tests/support/net_fixture.h"

static const fnr_netdesc paper2d = {.spatial = 2, .in_channels = 1, .out_channels = 1, .base_channels = 32, .depth = 4};
static const fnr_netdesc paper3d = {.spatial = 3, .in_channels = 1, .out_channels = 1, .base_channels = 32, .depth = 4};

static fnr_graph build(fnr_netdesc desc)
{
    fnr_graph g;
    fnr_error err = {0};
    assert_ok(fnr_unet_build(&desc, &g, &err), err);
    return g;
}

static size_t trained_floats(const fnr_graph *g)
{
    size_t count = 0;
    for (int i = 0; i < g->n_params; i++) {
        count += fnr_role_is_trained(g->params[i].role) ? g->params[i].count : 0;
    }
    return count;
}

static const struct {
    const char *name;
    fnr_netdesc desc;
    size_t trained; /* the fixtures' README counts them */
} cases[] = {
    {"2d_m4d2", {2, 1, 1, 4, 2}, 7969},  {"2d_m16d2", {2, 1, 1, 16, 2}, 122881}, {"2d_m8d4", {2, 1, 1, 8, 4}, 509569},
    {"3d_m4d2", {3, 1, 1, 4, 2}, 22321}, {"3d_m4d4", {3, 1, 1, 4, 4}, 365233},
};

static void state_dicts_match_pytorch(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char path[256];
        snprintf(path, sizeof path, "fixtures/net64/%s/state0.json", cases[k].name);
        fnr_fixture_index index = fnr_fixture_read_index(path);
        fnr_graph g = build(cases[k].desc);
        assert_int_equal(g.n_params, index.count);
        assert_int_equal(g.param_floats, index.floats);
        for (int i = 0; i < g.n_params; i++) {
            const fnr_param *p = &g.params[i];
            const fnr_fixture_entry *e = &index.entries[i];
            assert_string_equal(p->name, e->name);
            assert_int_equal(p->rank, e->rank);
            assert_memory_equal(p->dims, e->dims, (size_t)p->rank * sizeof *p->dims);
            assert_int_equal(p->offset, e->offset);
            assert_int_equal(p->count, e->count);
            assert_int_equal(fnr_graph_find_param(&g, p->name), i);
        }
        fnr_fixture_index_free(&index);
        fnr_graph_free(&g);
    }
}

static void parameter_counts(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        fnr_graph g = build(cases[k].desc);
        assert_int_equal(trained_floats(&g), cases[k].trained);
        fnr_graph_free(&g);
    }
    fnr_graph g2 = build(paper2d), g3 = build(paper3d);
    assert_int_equal(trained_floats(&g2), 8116225);
    assert_int_equal(trained_floats(&g3), 23280769);
    assert_int_equal(fnr_graph_find_param(&g2, "no.such"), -1);
    fnr_graph_free(&g2);
    fnr_graph_free(&g3);
}

static void multiply_accumulates_per_pixel(void **state)
{
    (void)state;
    fnr_graph g2 = build(paper2d), g3 = build(paper3d);
    const fnr_shape s2 = {2, 3, 1, 1, 48, 64}, s3 = {3, 1, 1, 16, 32, 48};
    assert_float_equal(fnr_graph_macs(&g2, &s2) / (3 * 48 * 64), 187968, 0);
    assert_float_equal(fnr_graph_macs(&g3, &s3) / (16 * 32 * 48), 229536, 0);
    fnr_graph_free(&g2);
    fnr_graph_free(&g3);
}

/* Every parameter belongs to exactly one operation, and only conv_out's bias reaches the output. */
static void operations_use_every_parameter_once(void **state)
{
    (void)state;
    fnr_graph g = build((fnr_netdesc){2, 2, 3, 5, 3});
    int used[256] = {0};
    assert_true(g.n_params < 256);
    for (int i = 0; i < g.n_ops; i++) {
        const fnr_op *op = &g.ops[i];
        const int ids[] = {op->weight, op->bias, op->running_mean, op->running_var};
        for (int k = 0; k < 4; k++) {
            if (ids[k] >= 0) {
                used[ids[k]]++;
            }
        }
        if (op->kind == FNR_OP_CONV || op->kind == FNR_OP_CONVT) {
            assert_int_equal(op->bias_feeds_norm, op->out != g.output);
        }
    }
    for (int i = 0; i < g.n_params; i++) {
        assert_int_equal(used[i], 1);
    }
    fnr_error err = {0};
    assert_ok(fnr_graph_check(&g, &(fnr_shape){2, 2, 2, 1, 16, 24}, true, &err), err);
    fnr_graph_free(&g);
}

static void shapes_of_values(void **state)
{
    (void)state;
    fnr_graph g = build(paper3d);
    const fnr_shape input = {3, 2, 1, 32, 48, 64};
    fnr_error err = {0};
    fnr_shape s;
    assert_ok(fnr_graph_value_shape(&g, g.output, &input, &s, &err), err);
    assert_true(s.n == 2 && s.c == 1 && s.d == 32 && s.h == 48 && s.w == 64);
    for (int i = 0; i < g.n_values; i++) {
        assert_ok(fnr_graph_value_shape(&g, i, &input, &s, &err), err);
        if (g.values[i].level == 4) {
            assert_true(s.d == 2 && s.h == 3 && s.w == 4 && (s.c == 256 || s.c == 512));
        }
    }
    const fnr_shape odd = {3, 2, 1, 32, 48, 65}, flat = {2, 2, 1, 1, 48, 64}, two = {3, 2, 2, 32, 48, 64},
                    none = {3, 2, 1, 0, 48, 64};
    assert_false(fnr_graph_value_shape(&g, g.output, &odd, &s, &err));
    assert_non_null(strstr(err.message, "multiple of 16"));
    assert_false(fnr_graph_value_shape(&g, g.output, &flat, &s, &err));
    assert_false(fnr_graph_value_shape(&g, g.output, &two, &s, &err));
    assert_false(fnr_graph_value_shape(&g, g.output, &none, &s, &err));
    fnr_graph_free(&g);
}

/* Levels below zero are finer than the input. */
static void finer_than_the_input(void **state)
{
    (void)state;
    fnr_graph g = {.spatial = 3};
    fnr_error err = {0};
    fnr_shape s;
    g.input = fnr_graph_add_value(&g, 5, 0);
    g.output = fnr_graph_add_value(&g, 2, -1);
    assert_ok(fnr_graph_value_shape(&g, g.output, &(fnr_shape){3, 2, 5, 3, 4, 7}, &s, &err), err);
    assert_true(s.n == 2 && s.c == 2 && s.d == 6 && s.h == 8 && s.w == 14);
    fnr_graph_free(&g);
}

static void descriptions_are_checked(void **state)
{
    (void)state;
    const fnr_netdesc wrong[] = {{1, 1, 1, 32, 4},       {4, 1, 1, 32, 4},  {2, 0, 1, 32, 4}, {2, 1, 0, 32, 4},
                                 {2, 1, 1, 0, 4},        {2, 1, 1, 32, -1}, {2, 1, 1, 32, 9}, {2, 1, 1, 1024, 8},
                                 {2, 1 << 30, 1, 32, 4}, {3, 1, 1, -5, 4}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fnr_error err = {0};
        fnr_graph g;
        assert_false(fnr_netdesc_check(&wrong[i], &err));
        assert_int_equal(err.code, FNR_E_FORMAT);
        assert_false(fnr_unet_build(&wrong[i], &g, &err));
    }
    assert_int_equal(fnr_netdesc_receptive_field(&paper2d), 108);
    assert_int_equal(fnr_netdesc_grid(&paper2d), 16);
    assert_int_equal(fnr_netdesc_receptive_field(&(fnr_netdesc){2, 1, 1, 4, 0}), 3);
    assert_int_equal(fnr_netdesc_grid(&(fnr_netdesc){2, 1, 1, 4, 0}), 1);
}

static void broken_graphs_are_refused(void **state)
{
    (void)state;
    const fnr_shape input = {2, 2, 1, 1, 16, 24};
    fnr_graph g = build((fnr_netdesc){2, 1, 1, 4, 2});
    fnr_error err = {0};
    assert_ok(fnr_graph_check(&g, &input, true, &err), err);
    const fnr_op conv = g.ops[0], norm = g.ops[1];

    g.ops[0].out = g.n_values;
    assert_false(fnr_graph_check(&g, &input, false, &err));
    g.ops[0] = conv;
    g.ops[0].kernel = 5;
    assert_false(fnr_graph_check(&g, &input, false, &err));
    g.ops[0] = conv;
    g.ops[0].weight = g.ops[2].weight; /* 4 -> 4 instead of 1 -> 4 channels */
    assert_false(fnr_graph_check(&g, &input, false, &err));
    g.ops[0] = conv;
    g.ops[1].running_var = -1;
    assert_false(fnr_graph_check(&g, &input, false, &err));
    g.ops[1] = norm;
    assert_ok(fnr_graph_check(&g, &input, true, &err), err);

    /* One pixel at the bottom and one image: no variance. Two images have one. */
    assert_false(fnr_graph_check(&g, &(fnr_shape){2, 1, 1, 1, 4, 4}, true, &err));
    assert_int_equal(err.code, FNR_E_USAGE);
    assert_ok(fnr_graph_check(&g, &(fnr_shape){2, 1, 1, 1, 4, 4}, false, &err), err);
    assert_ok(fnr_graph_check(&g, &(fnr_shape){2, 2, 1, 1, 4, 4}, true, &err), err);
    fnr_graph_free(&g);
}

static void check_normal(const fnr_graph *g, const float *flat, fnr_param_role role, double mean, double sd)
{
    double sum = 0, squares = 0, n = 0;
    for (int i = 0; i < g->n_params; i++) {
        const fnr_param *p = &g->params[i];
        for (size_t k = 0; p->role == role && k < p->count; k++) {
            const double v = (double)flat[p->offset + k] - mean;
            sum += v;
            squares += v * v;
            n++;
        }
    }
    assert_true(n > 0);
    assert_at_most(fabs(sum / n), 5 * sd / sqrt(n)); /* five standard errors */
    assert_at_most(fabs(sqrt(squares / n) - sd), 5 * sd / sqrt(2 * n));
}

static void initialisation(void **state)
{
    (void)state;
    fnr_graph g = build((fnr_netdesc){2, 1, 1, 16, 3});
    float *a = malloc(g.param_floats * sizeof *a), *b = malloc(g.param_floats * sizeof *b);
    assert_true(a && b);
    fnr_graph_init(&g, 7, a);
    fnr_graph_init(&g, 7, b);
    assert_memory_equal(a, b, g.param_floats * sizeof *a);
    check_normal(&g, a, FNR_PARAM_WEIGHT, 0, 0.02);
    check_normal(&g, a, FNR_PARAM_NORM_WEIGHT, 1, 0.02);
    check_normal(&g, a, FNR_PARAM_BIAS, 0, 0);
    check_normal(&g, a, FNR_PARAM_NORM_BIAS, 0, 0);
    check_normal(&g, a, FNR_PARAM_RUNNING_MEAN, 0, 0);
    check_normal(&g, a, FNR_PARAM_RUNNING_VAR, 1, 0);
    fnr_graph_init(&g, 8, b);
    assert_int_not_equal(memcmp(a, b, g.param_floats * sizeof *a), 0);
    free(a);
    free(b);
    fnr_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_dicts_match_pytorch),
        cmocka_unit_test(parameter_counts),
        cmocka_unit_test(multiply_accumulates_per_pixel),
        cmocka_unit_test(operations_use_every_parameter_once),
        cmocka_unit_test(shapes_of_values),
        cmocka_unit_test(finer_than_the_input),
        cmocka_unit_test(descriptions_are_checked),
        cmocka_unit_test(broken_graphs_are_refused),
        cmocka_unit_test(initialisation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
