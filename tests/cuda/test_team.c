/* Two GPUs against one with the same batch: losses, gradients, statistics and parameters after steps agree.  Skips where there are not two;
 * tests/cuda/test_emulated.sh runs it on two pretended ones. */
#include "tests/support/net_rig.h"

enum { STEPS = 3 };

typedef struct {
    double losses[STEPS];
    float *grads, *values, *moment2, *y;
} outcome;

static const fnr_shape shape = {2, 4, 1, 1, 16, 24};

static fnr_graph unet(void)
{
    fnr_graph g;
    fnr_error err = {0};
    const fnr_netdesc desc = {.spatial = 2, .in_channels = 1, .out_channels = 1, .base_channels = 8, .depth = 2};
    assert_ok(fnr_unet_build(&desc, &g, &err), err);
    return g;
}

static fnr_backend *open_gpus(const fnr_backend_ops **ops, int gpus)
{
    fnr_error err = {0};
    fnr_backend *b = NULL;
    *ops = fnr_backend_find("cuda", &err);
    if (!*ops || !(*ops)->open(&(fnr_backend_options){.gpus = gpus}, &b, &err)) {
        print_message("skipped: %s\n", err.message);
        skip();
    }
    return b;
}

static float *floats(size_t n)
{
    float *p = calloc(n, sizeof *p);
    assert_non_null(p);
    return p;
}

static outcome train_on(int gpus)
{
    static const fnr_adam adam = {.lr = 1e-3, .beta1 = 0.5, .beta2 = 0.999, .eps = 1e-8};
    const fnr_backend_ops *ops;
    fnr_backend *b = open_gpus(&ops, gpus);
    fnr_graph g = unet();
    fnr_state *s = NULL;
    fnr_program *p = NULL;
    fnr_error err = {0};
    const size_t n = fnr_shape_count(&shape);
    float *x = floats(n), *target = floats(n);
    outcome o = {.grads = floats(g.param_floats), .values = floats(g.param_floats), .moment2 = floats(g.param_floats), .y = floats(n)};
    fnr_test_fill(x, n, 1, -1, 1);
    fnr_test_fill(target, n, 2, -1, 1);
    fnr_graph_init(&g, 3, o.values);
    assert_ok(ops->state_new(b, &g, true, &s, &err) && ops->state_write(s, FNR_STATE_VALUES, o.values, &err) &&
                  ops->program_new(b, s, &shape, FNR_MODE_TRAIN, &p, &err), err);
    for (int i = 0; i < STEPS; i++) {
        assert_ok(ops->forward(p, x, o.y, &err) && ops->mse(p, target, &o.losses[i], &err) && ops->backward(p, NULL, &err), err);
        if (i == 0) {
            assert_ok(ops->state_read(s, FNR_STATE_GRADS, o.grads, &err), err);
        }
        assert_ok(ops->adam(s, &adam, i + 1, &err), err);
    }
    assert_ok(ops->state_read(s, FNR_STATE_VALUES, o.values, &err) && ops->state_read(s, FNR_STATE_MOMENT2, o.moment2, &err), err);
    ops->program_free(p);
    ops->state_free(s);
    ops->close(b);
    fnr_graph_free(&g);
    free(x);
    free(target);
    return o;
}

static void two_gpus_are_as_good_as_one(void **state)
{
    (void)state;
    outcome two = train_on(2), one = train_on(1);
    fnr_graph g = unet();
    for (int i = 0; i < STEPS; i++) {
        assert_at_most(fabs(two.losses[i] - one.losses[i]) / one.losses[i], i == 0 ? 1e-6 : 1e-4);
    }
    assert_at_most(fnr_test_rel_l2(two.grads, one.grads, g.param_floats), 1e-4);
    assert_at_most(fnr_test_rel_l2(two.values, one.values, g.param_floats), 1e-3);
    fnr_graph_free(&g);
    float *const all[] = {two.grads, two.values, two.moment2, two.y, one.grads, one.values, one.moment2, one.y};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]);
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    const fnr_backend_ops *ops;
    fnr_backend *b = open_gpus(&ops, 2), *many = NULL;
    fnr_graph g = unet();
    fnr_state *s = NULL;
    fnr_program *p = NULL;
    fnr_error err = {0};
    fnr_shape odd = shape;
    odd.n = 3;
    assert_ok(ops->state_new(b, &g, true, &s, &err), err);
    assert_false(ops->program_new(b, s, &odd, FNR_MODE_TRAIN, &p, &err));
    assert_int_equal(err.code, FNR_E_USAGE);
    assert_int_equal(ops->lanes(b), 2);
    odd.n = 1; /* a single image is one GPU's work */
    float x[16 * 24] = {0}, y[16 * 24];
    assert_ok(ops->program_new(b, s, &odd, FNR_MODE_INFER, &p, &err) && ops->forward(p, x, y, &err), err);
    assert_true(isfinite(y[0]) && isfinite(y[16 * 24 - 1]));
    ops->program_free(p);
    assert_false(ops->open(&(fnr_backend_options){.gpus = 99}, &many, &err));
    assert_non_null(strstr(err.message, "compute.gpus = 99"));
    ops->state_free(s);
    ops->close(b);
    fnr_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_gpus_are_as_good_as_one),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests_name("team", tests, NULL, NULL);
}
