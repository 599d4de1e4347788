/* What net/backend.h promises besides numbers: order of calls, limits, refusals, states shared by programs, repeatability. */
#include "tests/support/net_rig.h"
#include "tests/backend/tolerances.h"

static const fnr_netdesc small2d = {.spatial = 2, .in_channels = 2, .out_channels = 3, .base_channels = 5, .depth = 2};
static const fnr_netdesc small3d = {.spatial = 3, .in_channels = 1, .out_channels = 1, .base_channels = 3, .depth = 1};

static fnr_graph unet(const fnr_netdesc *desc)
{
    fnr_graph g;
    fnr_error err = {0};
    assert_ok(fnr_unet_build(desc, &g, &err), err);
    return g;
}

/* A network with random parameters and input, before its first forward pass. */
static void random_rig(fnr_rig *rig, const fnr_variant *variant, const fnr_netdesc *desc, const fnr_shape *shape, fnr_mode mode)
{
    fnr_rig_new(rig, variant, unet(desc), shape, mode);
    fnr_graph_init(&rig->graph, 5, rig->values);
    fnr_test_fill(rig->x, rig->n_in, 1, -1, 1);
    fnr_test_fill(rig->dy, rig->n_out, 2, -1, 1);
}

static void calls_out_of_order_fail(void **state)
{
    fnr_rig rig;
    fnr_error err = {0};
    double loss;
    random_rig(&rig, *state, &small2d, &(fnr_shape){2, 2, 2, 1, 8, 12}, FNR_MODE_TRAIN);
    const fnr_backend_ops *ops = rig.variant->ops;
    assert_false(ops->mse(rig.program, rig.dy, &loss, &err));
    assert_false(ops->backward(rig.program, NULL, &err));
    fnr_rig_forward(&rig);
    assert_false(ops->backward(rig.program, NULL, &err)); /* no loss yet */
    assert_ok(ops->mse(rig.program, rig.dy, &loss, &err), err);
    assert_ok(ops->backward(rig.program, NULL, &err), err);
    fnr_rig_forward(&rig);
    assert_false(ops->backward(rig.program, NULL, &err)); /* the loss belonged to the forward pass before */
    assert_false(ops->adam(rig.state, &(fnr_adam){1e-3, 0.5, 0.999, 1e-8}, 0, &err));
    fnr_rig_free(&rig);
}

static void inference_has_no_gradients(void **state)
{
    fnr_rig rig;
    fnr_error err = {0};
    double loss;
    random_rig(&rig, *state, &small2d, &(fnr_shape){2, 1, 2, 1, 8, 12}, FNR_MODE_INFER);
    const fnr_backend_ops *ops = rig.variant->ops;
    fnr_rig_forward(&rig);
    assert_false(ops->mse(rig.program, rig.dy, &loss, &err));
    assert_false(ops->backward(rig.program, NULL, &err));
    assert_false(ops->state_read(rig.state, FNR_STATE_GRADS, rig.grads, &err));
    assert_false(ops->adam(rig.state, &(fnr_adam){1e-3, 0.5, 0.999, 1e-8}, 1, &err));
    fnr_program *program = NULL;
    assert_false(ops->program_new(rig.backend, rig.state, &rig.in, FNR_MODE_TRAIN, &program, &err));
    assert_null(program);
    fnr_rig_free(&rig);
}

static void shapes_that_do_not_fit_are_refused(void **state)
{
    static const fnr_shape wrong[] = {
        {2, 1, 2, 1, 10, 12}, {2, 1, 2, 1, 8, 13}, {2, 1, 1, 1, 8, 12}, {3, 1, 2, 4, 8, 12}, {2, 0, 2, 1, 8, 12}};
    fnr_rig rig;
    fnr_error err = {0};
    fnr_program *program = NULL;
    random_rig(&rig, *state, &small2d, &(fnr_shape){2, 2, 2, 1, 8, 12}, FNR_MODE_TRAIN);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(rig.variant->ops->program_new(rig.backend, rig.state, &wrong[i], FNR_MODE_INFER, &program, &err));
    }
    /* One image of one pixel at the bottom has no variance. */
    assert_false(
        rig.variant->ops->program_new(rig.backend, rig.state, &(fnr_shape){2, 1, 2, 1, 4, 4}, FNR_MODE_TRAIN, &program, &err));
    assert_null(program);
    fnr_rig_free(&rig);
}

static void memory_limit_holds(void **state)
{
    const fnr_variant *given = *state;
    fnr_error err = {0};
    fnr_rig rig;
    const fnr_shape shape = {2, 1, 2, 1, 160, 192}; /* far above the granularity in which memory is taken */
    random_rig(&rig, given, &small2d, &shape, FNR_MODE_TRAIN);
    const size_t bytes = given->ops->program_bytes(rig.program);
    assert_true(bytes > fnr_shape_count(&shape) * sizeof(float));
    fnr_rig_free(&rig);

    fnr_backend_options options = given->options;
    options.max_bytes = bytes - bytes / 4;
    fnr_graph g = unet(&small2d);
    fnr_backend *backend = NULL;
    fnr_state *params = NULL;
    fnr_program *program = NULL;
    assert_ok(given->ops->open(&options, &backend, &err), err);
    assert_ok(given->ops->state_new(backend, &g, true, &params, &err), err);
    assert_false(given->ops->program_new(backend, params, &shape, FNR_MODE_TRAIN, &program, &err));
    assert_int_equal(err.code, FNR_E_LIMIT);
    assert_ok(given->ops->program_new(backend, params, &(fnr_shape){2, 1, 2, 1, 16, 24}, FNR_MODE_TRAIN, &program, &err), err);
    given->ops->program_free(program);
    given->ops->state_free(params);
    given->ops->close(backend);
    fnr_graph_free(&g);
}

static void not_finite_is_an_error(void **state)
{
    fnr_rig rig;
    fnr_error err = {0};
    double loss = 0;
    random_rig(&rig, *state, &small2d, &(fnr_shape){2, 2, 2, 1, 8, 12}, FNR_MODE_TRAIN);
    rig.x[17] = NAN;
    fnr_rig_forward(&rig);
    assert_false(rig.variant->ops->mse(rig.program, rig.dy, &loss, &err));
    assert_int_equal(err.code, FNR_E_NUMERIC);

    rig.x[17] = 0; /* and a broken step leaves nothing behind in the program */
    fnr_rig_forward(&rig);
    rig.dy[3] = INFINITY;
    assert_false(rig.variant->ops->mse(rig.program, rig.dy, &loss, &err));
    assert_int_equal(err.code, FNR_E_NUMERIC);
    rig.dy[3] = 0;
    fnr_rig_forward(&rig);
    assert_ok(rig.variant->ops->mse(rig.program, rig.dy, &loss, &err), err);
    assert_true(isfinite(loss));
    fnr_rig_free(&rig);
}

/* A training and an inference program of other extents on one state: the second sees what Adam did through the first. */
static void programs_share_a_state(void **state)
{
    fnr_rig rig, alone;
    fnr_error err = {0};
    const fnr_adam hyper = {.lr = 1e-2, .beta1 = 0.5, .beta2 = 0.999, .eps = 1e-8};
    const fnr_shape other = {2, 1, 2, 1, 16, 8};
    random_rig(&rig, *state, &small2d, &(fnr_shape){2, 2, 2, 1, 8, 12}, FNR_MODE_TRAIN);
    random_rig(&alone, *state, &small2d, &other, FNR_MODE_INFER);
    const fnr_backend_ops *ops = rig.variant->ops;
    fnr_program *infer = NULL;
    float *before = malloc(2 * alone.n_out * sizeof *before), *after = before + alone.n_out;
    assert_non_null(before);

    fnr_rig_forward(&rig);
    assert_ok(ops->program_new(rig.backend, rig.state, &other, FNR_MODE_INFER, &infer, &err), err);
    assert_ok(ops->forward(infer, alone.x, before, &err), err);
    fnr_rig_backward(&rig);
    assert_ok(ops->adam(rig.state, &hyper, 1, &err), err);
    assert_ok(ops->forward(infer, alone.x, after, &err), err);
    assert_true(fnr_test_rel_l2(after, before, alone.n_out) > 1e-3);

    assert_ok(ops->state_read(rig.state, FNR_STATE_VALUES, alone.values, &err), err);
    fnr_rig_forward(&alone);
    assert_memory_equal(alone.y, after, alone.n_out * sizeof *after);
    ops->program_free(infer);
    free(before);
    fnr_rig_free(&alone);
    fnr_rig_free(&rig);
}

/* The same step twice gives the same bits: resumed training depends on it. */
static void steps_repeat_exactly(void **state)
{
    static const struct {
        const fnr_netdesc *desc;
        fnr_shape shape;
    } cases[] = {{&small2d, {2, 3, 2, 1, 20, 12}}, {&small3d, {3, 2, 1, 4, 6, 10}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fnr_rig rig;
        random_rig(&rig, *state, cases[i].desc, &cases[i].shape, FNR_MODE_TRAIN);
        const size_t n = rig.graph.param_floats;
        float *grads = malloc(n * sizeof *grads), *y = malloc(rig.n_out * sizeof *y), *dx = malloc(rig.n_in * sizeof *dx);
        assert_true(grads && y && dx);
        fnr_rig_forward(&rig);
        fnr_rig_backward(&rig);
        memcpy(grads, rig.grads, n * sizeof *grads);
        memcpy(y, rig.y, rig.n_out * sizeof *y);
        memcpy(dx, rig.dx, rig.n_in * sizeof *dx);
        fnr_rig_forward(&rig);
        fnr_rig_backward(&rig);
        assert_memory_equal(grads, rig.grads, n * sizeof *grads);
        assert_memory_equal(y, rig.y, rig.n_out * sizeof *y);
        assert_memory_equal(dx, rig.dx, rig.n_in * sizeof *dx);
        free(grads);
        free(y);
        free(dx);
        fnr_rig_free(&rig);
    }
}

/* In evaluation an image's output does not depend on the others of its batch. */
static void images_of_a_batch_are_independent(void **state)
{
    fnr_rig one, three;
    random_rig(&three, *state, &small2d, &(fnr_shape){2, 3, 2, 1, 8, 12}, FNR_MODE_INFER);
    random_rig(&one, *state, &small2d, &(fnr_shape){2, 1, 2, 1, 8, 12}, FNR_MODE_INFER);
    fnr_rig_forward(&three);
    for (size_t n = 0; n < 3; n++) {
        memcpy(one.x, three.x + n * one.n_in, one.n_in * sizeof *one.x);
        fnr_rig_forward(&one);
        fnr_judge(*state, "batch", FNR_TOL_EVALUATION, fnr_test_rel_l2(three.y + n * one.n_out, one.y, one.n_out),
                  "one image alone");
    }
    fnr_rig_free(&one);
    fnr_rig_free(&three);
}

/* With positive weights every output pixel that sees a disturbed input pixel changes: the furthest are as far away as the
 * receptive field says, and at the worst alignment exactly that far. */
static void receptive_field(void **state)
{
    const fnr_netdesc desc = {.spatial = 2, .in_channels = 1, .out_channels = 1, .base_channels = 1, .depth = 2};
    const int reach = fnr_netdesc_receptive_field(&desc), h = 64, w = 72, cy = 32;
    fnr_rig rig;
    fnr_rig_new(&rig, *state, unet(&desc), &(fnr_shape){2, 1, 1, 1, h, w}, FNR_MODE_INFER);
    for (int i = 0; i < rig.graph.n_params; i++) {
        const fnr_param *p = &rig.graph.params[i];
        for (size_t k = 0; k < p->count; k++) {
            rig.values[p->offset + k] = p->role == FNR_PARAM_WEIGHT ? 0.5f : p->role == FNR_PARAM_RUNNING_MEAN ? 0 : 1;
        }
    }
    float *plain = malloc(rig.n_out * sizeof *plain);
    assert_non_null(plain);
    for (size_t i = 0; i < rig.n_in; i++) {
        rig.x[i] = 1;
    }
    fnr_rig_forward(&rig);
    memcpy(plain, rig.y, rig.n_out * sizeof *plain);
    int furthest_left = 0, furthest_right = 0;
    for (int cx = 34; cx < 38; cx++) { /* all alignments to the grid of 4 */
        rig.x[cy * w + cx] = 1e9f;     /* so much that the smallest weight product shows in float32 */
        fnr_rig_forward(&rig);
        rig.x[cy * w + cx] = 1;
        for (int i = 0; i < h * w; i++) {
            if (rig.y[i] > plain[i] * 1.5f) {
                furthest_left = cx - i % w > furthest_left ? cx - i % w : furthest_left;
                furthest_right = i % w - cx > furthest_right ? i % w - cx : furthest_right;
            }
        }
    }
    assert_int_equal(furthest_left, reach);
    assert_int_equal(furthest_right, reach);
    free(plain);
    fnr_rig_free(&rig);
}

static void registry_finds_by_name(void **state)
{
    const fnr_variant *variant = *state;
    fnr_error err = {0};
    assert_ptr_equal(fnr_backend_find(variant->ops->name, &err), variant->ops);
    assert_non_null(fnr_backend_find("auto", &err));
    assert_null(fnr_backend_find("quantum", &err));
    assert_non_null(strstr(err.message, variant->ops->name)); /* the message lists what there is */
    assert_true(strlen(variant->ops->description) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_out_of_order_fail),
        cmocka_unit_test(inference_has_no_gradients),
        cmocka_unit_test(shapes_that_do_not_fit_are_refused),
        cmocka_unit_test(memory_limit_holds),
        cmocka_unit_test(not_finite_is_an_error),
        cmocka_unit_test(programs_share_a_state),
        cmocka_unit_test(steps_repeat_exactly),
        cmocka_unit_test(images_of_a_batch_are_independent),
        cmocka_unit_test(receptive_field),
        cmocka_unit_test(registry_finds_by_name),
    };
    return fnr_run_for_variants(tests, sizeof tests / sizeof *tests);
}
