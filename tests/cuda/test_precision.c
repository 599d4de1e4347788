/* The network in bfloat16 against the reference in float32: outputs and gradients are good to what eight bits of mantissa leave.  On
 * noise that is little: PyTorch's own bf16 autocast is off by 2.9e-2 (output) and 0.44 (gradients) on the 2D case.  Skips where there
 * is no GPU; tests/cuda/test_emulated.sh runs it on a pretended one. */
#include "tests/support/net_rig.h"

static void run(fnr_rig *rig, const fnr_variant *variant, const fnr_netdesc *desc, const fnr_shape *shape)
{
    fnr_graph g;
    fnr_error err = {0};
    double loss = 0;
    assert_ok(fnr_unet_build(desc, &g, &err), err);
    fnr_rig_new(rig, variant, g, shape, FNR_MODE_TRAIN);
    fnr_graph_init(&rig->graph, 7, rig->values);
    fnr_test_fill(rig->x, rig->n_in, 1, -1.7, 1.7);
    fnr_test_fill(rig->dy, rig->n_out, 2, -1.7, 1.7); /* as target */
    fnr_rig_forward(rig);
    assert_ok(variant->ops->mse(rig->program, rig->dy, &loss, &err), err);
    assert_true(isfinite(loss));
    assert_ok(variant->ops->backward(rig->program, NULL, &err) && variant->ops->state_read(rig->state, FNR_STATE_GRADS, rig->grads, &err), err);
}

static void compare(const fnr_netdesc *desc, const fnr_shape *shape, double worst_output, double worst_gradient)
{
    static const fnr_variant reference = {.name = "ref", .ops = &fnr_backend_ref};
    fnr_variant low = {.name = "cuda", .ops = fnr_backend_find("cuda", NULL), .options = {.precision = FNR_PRECISION_BF16}};
    if (!low.ops) {
        print_message("skipped: this build has no CUDA backend\n");
        skip();
    }
    fnr_rig got, want;
    run(&got, &low, desc, shape);
    run(&want, &reference, desc, shape);
    const double output = fnr_test_rel_l2(got.y, want.y, want.n_out), gradient = fnr_test_rel_l2(got.grads, want.grads, want.graph.param_floats);
    if (getenv("FNR_TEST_REPORT")) {
        printf("# bf16 %dD: output %.2e, gradients %.2e\n", desc->spatial, output, gradient);
    }
    assert_at_most(output, worst_output);
    assert_at_most(gradient, worst_gradient);
    assert_true(output > 1e-4); /* it is bfloat16 */
    fnr_rig_free(&got);
    fnr_rig_free(&want);
}

static void bf16_2d(void **state)
{
    (void)state;
    compare(&(fnr_netdesc){2, 1, 1, 8, 2}, &(fnr_shape){2, 2, 1, 1, 32, 24}, 6e-2, 0.6);
}

static void bf16_3d(void **state)
{
    (void)state;
    compare(&(fnr_netdesc){3, 1, 1, 8, 1}, &(fnr_shape){3, 1, 1, 8, 16, 12}, 3e-2, 0.3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bf16_2d),
        cmocka_unit_test(bf16_3d),
    };
    return cmocka_run_group_tests_name("precision", tests, NULL, NULL);
}
