/* Every other backend against ref, operation by operation, over shapes that fill blocks of channels, spill over them and leave
 * remainders, on images down to a few pixels: forward, running statistics, all gradients. */
#include "tests/support/net_rig.h"
#include "tests/backend/tolerances.h"

typedef struct {
    const char *name;
    fnr_op_kind kind;
    int kernel, c_out; /* CONV, CONVT; c_out is the number of new channels of CONCAT */
    bool relu;         /* BN_RELU */
    fnr_shape in;
} single;

static const single singles[] = {
    {"conv3 1->1", FNR_OP_CONV, 3, 1, false, {2, 1, 1, 1, 5, 9}},
    {"conv3 1->32", FNR_OP_CONV, 3, 32, false, {2, 2, 1, 1, 18, 22}},
    {"conv3 32->1", FNR_OP_CONV, 3, 1, false, {2, 3, 32, 1, 12, 20}},
    {"conv3 3->5", FNR_OP_CONV, 3, 5, false, {2, 3, 3, 1, 7, 11}},
    {"conv3 17->33", FNR_OP_CONV, 3, 33, false, {2, 1, 17, 1, 13, 6}},
    {"conv3 16->16", FNR_OP_CONV, 3, 16, false, {2, 2, 16, 1, 16, 24}},
    {"conv3 48->24", FNR_OP_CONV, 3, 24, false, {2, 1, 48, 1, 9, 30}},
    {"conv3 64->64 tiny", FNR_OP_CONV, 3, 64, false, {2, 2, 64, 1, 2, 3}},
    {"conv3 128->128 tiny", FNR_OP_CONV, 3, 128, false, {2, 1, 128, 1, 4, 5}},
    {"conv3 64->64 odd", FNR_OP_CONV, 3, 64, false, {2, 1, 64, 1, 17, 9}},
    {"conv3 3->5 3D", FNR_OP_CONV, 3, 5, false, {3, 2, 3, 4, 5, 7}},
    {"conv3 16->32 3D", FNR_OP_CONV, 3, 32, false, {3, 1, 16, 6, 4, 10}},
    {"conv3 1->8 3D", FNR_OP_CONV, 3, 8, false, {3, 2, 1, 4, 6, 5}},
    {"conv3 8->1 3D", FNR_OP_CONV, 3, 1, false, {3, 2, 8, 4, 6, 5}},
    {"conv3 17->24 3D one slice", FNR_OP_CONV, 3, 24, false, {3, 2, 17, 1, 7, 9}},
    {"conv3 33->8 3D two slices", FNR_OP_CONV, 3, 8, false, {3, 2, 33, 2, 13, 6}},
    {"conv3 24->17 3D odd", FNR_OP_CONV, 3, 17, false, {3, 1, 24, 3, 8, 14}},
    {"conv3 9->40 3D strips", FNR_OP_CONV, 3, 40, false, {3, 1, 9, 11, 20, 27}},
    {"conv3 8->40 3D last strip shorter", FNR_OP_CONV, 3, 40, false, {3, 1, 8, 9, 13, 40}},
    {"conv3 160->48 3D odd", FNR_OP_CONV, 3, 48, false, {3, 2, 160, 5, 7, 3}},
    {"conv3 512->328 3D sums", FNR_OP_CONV, 3, 328, false, {3, 1, 512, 2, 3, 2}},
    {"conv2 5->5", FNR_OP_CONV, 2, 5, false, {2, 3, 5, 1, 8, 14}},
    {"conv2 32->32", FNR_OP_CONV, 2, 32, false, {2, 1, 32, 1, 20, 12}},
    {"conv2 17->3 3D", FNR_OP_CONV, 2, 3, false, {3, 2, 17, 4, 6, 10}},
    {"conv1 17->5", FNR_OP_CONV, 1, 5, false, {2, 2, 17, 1, 7, 5}},
    {"conv1 16->32 3D", FNR_OP_CONV, 1, 32, false, {3, 1, 16, 3, 5, 4}},
    {"convt 6->3", FNR_OP_CONVT, 2, 3, false, {2, 3, 6, 1, 4, 7}},
    {"convt 64->32", FNR_OP_CONVT, 2, 32, false, {2, 2, 64, 1, 5, 8}},
    {"convt 34->17 3D", FNR_OP_CONVT, 2, 17, false, {3, 1, 34, 2, 3, 5}},
    {"norm 3", FNR_OP_BN_RELU, 0, 0, false, {2, 3, 3, 1, 6, 5}},
    {"norm relu 17", FNR_OP_BN_RELU, 0, 0, true, {2, 2, 17, 1, 9, 14}},
    {"norm relu 32", FNR_OP_BN_RELU, 0, 0, true, {2, 1, 32, 1, 40, 50}},
    {"norm relu 5 3D", FNR_OP_BN_RELU, 0, 0, true, {3, 2, 5, 4, 3, 7}},
    {"concat 3+5", FNR_OP_CONCAT, 1, 3, false, {2, 3, 5, 1, 6, 4}},
    {"concat 16+16", FNR_OP_CONCAT, 1, 16, false, {2, 2, 16, 1, 6, 10}},
    {"concat 17+3 3D", FNR_OP_CONCAT, 1, 17, false, {3, 2, 3, 2, 4, 6}},
};
enum { N_SINGLES = sizeof singles / sizeof *singles };

static fnr_graph graph_of(const single *s)
{
    switch (s->kind) {
    case FNR_OP_CONV:
        return fnr_graph_of_conv(s->in.spatial, s->in.c, s->c_out, s->kernel);
    case FNR_OP_CONVT:
        return fnr_graph_of_convt(s->in.spatial, s->in.c, s->c_out);
    case FNR_OP_BN_RELU:
        return fnr_graph_of_norm(s->in.spatial, s->in.c, s->relu);
    case FNR_OP_CONCAT:
        break;
    }
    return fnr_graph_of_concat(s->in.spatial, s->in.c, s->c_out);
}

/* Parameters of every role uniform in a range that suits it; the same for both rigs. */
static void run(fnr_rig *rig, const fnr_variant *variant, const single *s, fnr_mode mode)
{
    fnr_rig_new(rig, variant, graph_of(s), &s->in, mode);
    fnr_test_fill(rig->x, rig->n_in, 1, -1, 2);
    fnr_test_fill(rig->dy, rig->n_out, 2, -1, 1);
    fnr_test_fill(rig->values, rig->graph.param_floats, 3, 0.1, 1);
    if (s->kind != FNR_OP_BN_RELU) {
        fnr_test_fill(rig->values, rig->graph.param_floats, 3, -1, 1);
    }
    fnr_rig_forward(rig);
    if (mode == FNR_MODE_TRAIN) {
        fnr_rig_backward(rig);
        fnr_error err = {0};
        assert_ok(variant->ops->state_read(rig->state, FNR_STATE_VALUES, rig->values, &err), err);
    }
}

static void compare(const fnr_variant *variant, const single *s, fnr_mode mode)
{
    static const fnr_variant reference = {.name = "ref", .ops = &fnr_backend_ref};
    fnr_rig want, got;
    run(&want, &reference, s, mode);
    run(&got, variant, s, mode);
    fnr_judge(variant, s->name, FNR_TOL_PARITY, fnr_test_rel_l2(got.y, want.y, want.n_out), "output");
    if (mode == FNR_MODE_TRAIN) {
        fnr_judge(variant, s->name, FNR_TOL_PARITY, fnr_test_rel_l2(got.dx, want.dx, want.n_in), "input gradient");
        for (int i = 0; i < want.graph.n_params; i++) {
            const fnr_param *p = &want.graph.params[i];
            const bool trained = fnr_role_is_trained(p->role);
            const float *a = (trained ? got.grads : got.values) + p->offset,
                        *b = (trained ? want.grads : want.values) + p->offset;
            fnr_judge(variant, s->name, FNR_TOL_PARITY, fnr_test_rel_l2(a, b, p->count), p->name);
        }
    }
    fnr_rig_free(&want);
    fnr_rig_free(&got);
}

static void parity_in_training(void **state)
{
    for (size_t i = 0; i < N_SINGLES; i++) {
        compare(*state, &singles[i], FNR_MODE_TRAIN);
    }
}

static void parity_in_evaluation(void **state)
{
    for (size_t i = 0; i < N_SINGLES; i++) {
        compare(*state, &singles[i], FNR_MODE_INFER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parity_in_training),
        cmocka_unit_test(parity_in_evaluation),
    };
    return fnr_run_for_others(tests, sizeof tests / sizeof *tests);
}
