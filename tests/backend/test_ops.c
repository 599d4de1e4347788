/* Batch norm, concatenation, loss and Adam on every backend against numbers worked out by hand. */
#include "tests/backend/place.h"

/* ---- batch norm ---- */

/* Channel 0 of two 1x2 images holds 1, 3 and 5, 7: mean 4, biased variance 5, unbiased 20/3.  Channel 1 is 10 - 2 * that: mean 2,
 * variances 20 and 80/3. */
static void norm_input(fnr_rig *rig)
{
    static const float x[8] = {1, 3, 8, 4, 5, 7, 0, -4};
    memcpy(rig->x, x, sizeof x);
    float *gamma = fnr_rig_param(rig, rig->values, "weight"), *beta = fnr_rig_param(rig, rig->values, "bias");
    float *mean = fnr_rig_param(rig, rig->values, "mean"), *var = fnr_rig_param(rig, rig->values, "var");
    gamma[0] = 2, gamma[1] = -1;
    beta[0] = 0.5f, beta[1] = 0.25f;
    mean[0] = 1, mean[1] = -1;
    var[0] = 4, var[1] = 0.25f;
}

static const fnr_shape norm_shape = {2, 2, 2, 1, 1, 2};

static void norm_training(void **state)
{
    for (int relu = 0; relu < 2; relu++) {
        fnr_rig rig;
        fnr_error err = {0};
        fnr_rig_new(&rig, *state, fnr_graph_of_norm(2, 2, relu), &norm_shape, FNR_MODE_TRAIN);
        norm_input(&rig);
        fnr_rig_forward(&rig);
        const double sd0 = sqrt(5 + 1e-5), sd1 = sqrt(20 + 1e-5);
        const double want[8] = {-6 / sd0 + 0.5, -2 / sd0 + 0.5, -6 / sd1 + 0.25, -2 / sd1 + 0.25,
                                2 / sd0 + 0.5,  6 / sd0 + 0.5,  2 / sd1 + 0.25,  6 / sd1 + 0.25};
        for (int i = 0; i < 8; i++) {
            assert_close(&rig, (double)rig.y[i], relu && want[i] < 0 ? 0 : want[i]);
        }
        assert_ok(rig.variant->ops->state_read(rig.state, FNR_STATE_VALUES, rig.values, &err), err);
        const float *mean = fnr_rig_param(&rig, rig.values, "mean"), *var = fnr_rig_param(&rig, rig.values, "var");
        assert_close(&rig, (double)mean[0], 0.9 * 1 + 0.1 * 4);
        assert_close(&rig, (double)mean[1], 0.9 * -1 + 0.1 * 2);
        assert_close(&rig, (double)var[0], 0.9 * 4 + 0.1 * 20 / 3);
        assert_close(&rig, (double)var[1], 0.9 * 0.25 + 0.1 * 80 / 3);
        fnr_rig_free(&rig);
    }
}

/* dgamma = sum g xhat, dbeta = sum g, dx = gamma / sd * (g - mean g - xhat mean(g xhat)), with g = dy where y > 0. */
static void norm_backward(void **state)
{
    static const float dy[8] = {1, -2, 3, 1, 4, 2, -1, 2};
    for (int relu = 0; relu < 2; relu++) {
        fnr_rig rig;
        fnr_rig_new(&rig, *state, fnr_graph_of_norm(2, 2, relu), &norm_shape, FNR_MODE_TRAIN);
        norm_input(&rig);
        fnr_rig_forward(&rig);
        memcpy(rig.dy, dy, sizeof dy);
        fnr_rig_backward(&rig);
        for (int c = 0; c < 2; c++) {
            const int index[4] = {2 * c, 2 * c + 1, 2 * c + 4, 2 * c + 5};
            const double mean = c ? 2 : 4, sd = sqrt((c ? 20 : 5) + 1e-5), gamma = c ? -1 : 2, beta = c ? 0.25 : 0.5;
            double g[4], xhat[4], dgamma = 0, dbeta = 0;
            for (int i = 0; i < 4; i++) {
                xhat[i] = ((double)rig.x[index[i]] - mean) / sd;
                g[i] = relu && gamma * xhat[i] + beta <= 0 ? 0 : (double)dy[index[i]];
                dgamma += g[i] * xhat[i];
                dbeta += g[i];
            }
            assert_close(&rig, (double)fnr_rig_param(&rig, rig.grads, "weight")[c], dgamma);
            assert_close(&rig, (double)fnr_rig_param(&rig, rig.grads, "bias")[c], dbeta);
            for (int i = 0; i < 4; i++) {
                assert_close(&rig, (double)rig.dx[index[i]], gamma / sd * (g[i] - dbeta / 4 - xhat[i] * dgamma / 4));
            }
        }
        assert_close(&rig, (double)fnr_rig_param(&rig, rig.grads, "mean")[0], 0);
        assert_close(&rig, (double)fnr_rig_param(&rig, rig.grads, "var")[1], 0);
        fnr_rig_free(&rig);
    }
}

static void norm_evaluation(void **state)
{
    for (int relu = 0; relu < 2; relu++) {
        fnr_rig rig;
        fnr_error err = {0};
        fnr_rig_new(&rig, *state, fnr_graph_of_norm(2, 2, relu), &norm_shape, FNR_MODE_INFER);
        norm_input(&rig);
        fnr_rig_forward(&rig);
        for (int i = 0; i < 8; i++) {
            const double x = (double)rig.x[i];
            const double want = i / 2 % 2 ? -(x + 1) / sqrt(0.25 + 1e-5) + 0.25 : 2 * (x - 1) / sqrt(4 + 1e-5) + 0.5;
            assert_close(&rig, (double)rig.y[i], relu && want < 0 ? 0 : want);
        }
        float *before = rig.dy; /* any buffer of 8 floats */
        memcpy(before, rig.values, 8 * sizeof *before);
        assert_ok(rig.variant->ops->state_read(rig.state, FNR_STATE_VALUES, rig.values, &err), err);
        assert_memory_equal(before, rig.values, 8 * sizeof *before); /* evaluation leaves the running statistics alone */
        fnr_rig_free(&rig);
    }
}

/* A large mean over a small spread: sum of squares minus squared mean would lose every digit in float32. */
static void norm_is_stable(void **state)
{
    fnr_rig rig;
    const fnr_shape shape = {3, 2, 3, 2, 6, 4};
    fnr_rig_new(&rig, *state, fnr_graph_of_norm(3, 3, false), &shape, FNR_MODE_TRAIN);
    for (size_t i = 0; i < rig.n_in; i++) {
        rig.x[i] = 4096 + (i % 2 ? 1.0f : -1.0f);
    }
    for (int c = 0; c < 3; c++) {
        fnr_rig_param(&rig, rig.values, "weight")[c] = 1;
        fnr_rig_param(&rig, rig.values, "bias")[c] = 0;
        fnr_rig_param(&rig, rig.values, "mean")[c] = 0;
        fnr_rig_param(&rig, rig.values, "var")[c] = 1;
    }
    fnr_rig_forward(&rig);
    for (size_t i = 0; i < rig.n_out; i++) {
        assert_close(&rig, (double)rig.y[i], (i % 2 ? 1 : -1) / sqrt(1 + 1e-5));
    }
    fnr_rig_free(&rig);
}

/* ---- concatenation, loss, Adam ---- */

static void concat_order_and_fan_out(void **state)
{
    static const fnr_shape inputs[] = {{2, 3, 3, 1, 4, 6}, {3, 1, 5, 2, 4, 6}, {2, 1, 17, 1, 6, 2}};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        const fnr_shape *s = &inputs[i];
        const int fresh = 3;
        fnr_rig rig;
        fnr_rig_new(&rig, *state, fnr_graph_of_concat(s->spatial, s->c, fresh), s, FNR_MODE_TRAIN);
        fill_whole(rig.x, rig.n_in, 1);
        fill_whole(rig.dy, rig.n_out, 2);
        zero(rig.values, rig.graph.param_floats);
        rig.values[0] = 2; /* channel 0 of the new ones is twice channel 0 of the input */
        fnr_rig_forward(&rig);
        fnr_rig_backward(&rig);
        for (size_t k = 0; k < rig.n_out; k++) {
            const fnr_place p = place_of(&rig.out, k);
            const double x = value_at(rig.x, s, (fnr_place){p.n, p.c < fresh ? 0 : p.c - fresh, p.z, p.y, p.x});
            assert_close(&rig, (double)rig.y[k], p.c == 0 ? 2 * x : p.c < fresh ? 0 : x);
        }
        for (size_t k = 0; k < rig.n_in; k++) {
            const fnr_place p = place_of(s, k);
            const double direct = value_at(rig.dy, &rig.out, (fnr_place){p.n, p.c + fresh, p.z, p.y, p.x});
            const double through = p.c == 0 ? 2 * value_at(rig.dy, &rig.out, p) : 0;
            assert_close(&rig, (double)rig.dx[k], direct + through);
        }
        fnr_rig_free(&rig);
    }
}

/* [x, x]: both halves of dy come back to the same place. */
static void concat_with_itself(void **state)
{
    const fnr_shape shape = {2, 2, 3, 1, 4, 6};
    fnr_graph g = {.spatial = 2};
    g.input = fnr_graph_add_value(&g, shape.c, 0);
    g.output = fnr_graph_add_value(&g, 2 * shape.c, 0);
    const fnr_op op = {.kind = FNR_OP_CONCAT,
                       .in = {g.input, g.input},
                       .out = g.output,
                       .weight = -1,
                       .bias = -1,
                       .running_mean = -1,
                       .running_var = -1};
    assert_int_equal(fnr_graph_add_op(&g, &op), 0);
    fnr_rig rig;
    fnr_rig_new(&rig, *state, g, &shape, FNR_MODE_TRAIN);
    fill_whole(rig.x, rig.n_in, 1);
    fill_whole(rig.dy, rig.n_out, 2);
    fnr_rig_forward(&rig);
    fnr_rig_backward(&rig);
    for (size_t k = 0; k < rig.n_in; k++) {
        const fnr_place first = place_of(&shape, k);
        const fnr_place second = {first.n, first.c + shape.c, 0, first.y, first.x};
        assert_close(&rig, value_at(rig.y, &rig.out, first), (double)rig.x[k]);
        assert_close(&rig, value_at(rig.y, &rig.out, second), (double)rig.x[k]);
        assert_close(&rig, (double)rig.dx[k], value_at(rig.dy, &rig.out, first) + value_at(rig.dy, &rig.out, second));
    }
    fnr_rig_free(&rig);
}

/* y = x through a 1x1 convolution with weight 1: the loss and its gradient show themselves. */
static void mean_squared_error(void **state)
{
    static const float x[6] = {1, 2, 3, 4, 5, 6}, target[6] = {1, 0, 3, 7, 5, 5};
    static const double dx[6] = {0, 2.0 / 3, 0, -1, 0, 1.0 / 3}; /* 2 (y - t) / 6 */
    fnr_rig rig;
    fnr_error err = {0};
    fnr_rig_new(&rig, *state, fnr_graph_of_conv(2, 1, 1, 1), &(fnr_shape){2, 1, 1, 1, 2, 3}, FNR_MODE_TRAIN);
    memcpy(rig.x, x, sizeof x);
    rig.values[0] = 1;
    rig.values[1] = 0;
    fnr_rig_forward(&rig);
    memcpy(rig.dy, target, sizeof target);
    double loss = 0;
    assert_ok(rig.variant->ops->mse(rig.program, rig.dy, &loss, &err), err);
    assert_close(&rig, loss, (4 + 9 + 1) / 6.0);
    assert_ok(rig.variant->ops->backward(rig.program, rig.dx, &err), err);
    for (int i = 0; i < 6; i++) {
        assert_close(&rig, (double)rig.dx[i], dx[i]);
    }
    assert_ok(rig.variant->ops->state_read(rig.state, FNR_STATE_GRADS, rig.grads, &err), err);
    assert_close(&rig, (double)rig.grads[0], 2 * 2.0 / 3 - 4 + 2);
    assert_close(&rig, (double)rig.grads[1], 0); /* 2/3 - 1 + 1/3 */
    fnr_rig_free(&rig);
}

/* lr 0.1, betas 0.5 and 0.9, eps 0.01; gradients 4, then 1; weight 1.
 * Step 1: m 2, v 1.6; corrected 4 and 16; 1 - 0.1 * 4 / (4 + 0.01).
 * Step 2: m 1.5, v 1.54; corrected 1.5 / 0.75 = 2 and 1.54 / 0.19; minus 0.1 * 2 / (sqrt(1.54 / 0.19) + 0.01). */
static void adam_by_hand(void **state)
{
    static const fnr_adam hyper = {.lr = 0.1, .beta1 = 0.5, .beta2 = 0.9, .eps = 0.01};
    fnr_rig rig;
    fnr_error err = {0};
    fnr_rig_new(&rig, *state, fnr_graph_of_norm(2, 2, true), &norm_shape, FNR_MODE_TRAIN);
    const fnr_backend_ops *ops = rig.variant->ops;
    const size_t n = rig.graph.param_floats;
    for (size_t i = 0; i < n; i++) {
        rig.values[i] = 1;
    }
    assert_ok(ops->state_write(rig.state, FNR_STATE_VALUES, rig.values, &err), err);
    const double first = 1 - 0.1 * 4 / 4.01, second = first - 0.1 * 2 / (sqrt(1.54 / 0.19) + 0.01);
    for (long step = 1; step <= 2; step++) {
        for (size_t i = 0; i < n; i++) {
            rig.grads[i] = step == 1 ? 4 : 1;
        }
        assert_ok(ops->state_write(rig.state, FNR_STATE_GRADS, rig.grads, &err), err);
        assert_ok(ops->adam(rig.state, &hyper, step, &err), err);
        assert_ok(ops->state_read(rig.state, FNR_STATE_VALUES, rig.values, &err), err);
        for (int c = 0; c < 2; c++) {
            assert_close(&rig, (double)fnr_rig_param(&rig, rig.values, "weight")[c], step == 1 ? first : second);
            assert_close(&rig, (double)fnr_rig_param(&rig, rig.values, "bias")[c], step == 1 ? first : second);
            assert_close(&rig, (double)fnr_rig_param(&rig, rig.values, "mean")[c], 1); /* not Adam's */
            assert_close(&rig, (double)fnr_rig_param(&rig, rig.values, "var")[c], 1);
        }
    }
    assert_ok(ops->state_read(rig.state, FNR_STATE_MOMENT1, rig.grads, &err), err);
    assert_close(&rig, (double)rig.grads[0], 1.5);
    assert_ok(ops->state_read(rig.state, FNR_STATE_MOMENT2, rig.grads, &err), err);
    assert_close(&rig, (double)rig.grads[0], 1.54);
    fnr_rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norm_training),
        cmocka_unit_test(norm_backward),
        cmocka_unit_test(norm_evaluation),
        cmocka_unit_test(norm_is_stable),
        cmocka_unit_test(concat_order_and_fan_out),
        cmocka_unit_test(concat_with_itself),
        cmocka_unit_test(mean_squared_error),
        cmocka_unit_test(adam_by_hand),
    };
    return fnr_run_for_variants(tests, sizeof tests / sizeof *tests);
}
