/* Does a graph hold together?  Backends ask before they compile one, so that a wrong graph is an error and never a wild read. */
#include "net/graph.h"

static bool bad(int op, const char *what, fnr_error *err)
{
    return fnr_fail(err, FNR_E_INTERNAL, "network graph: operation %d: %s", op, what);
}

static bool is_value(const fnr_graph *g, int id)
{
    return id >= 0 && id < g->n_values;
}

/* A parameter of `rank` axes: first, second, then `kernel` for the rest. */
static bool is_param(const fnr_graph *g, int id, int rank, int first, int second, int kernel)
{
    if (id < 0 || id >= g->n_params) {
        return false;
    }
    const fnr_param *p = &g->params[id];
    const int want[5] = {first, second, kernel, kernel, kernel};
    if (p->rank != rank || p->offset > g->param_floats || p->count > g->param_floats - p->offset) {
        return false;
    }
    for (int i = 0; i < rank; i++) {
        if (p->dims[i] != want[i]) {
            return false;
        }
    }
    return true;
}

static bool check_conv(const fnr_graph *g, int i, fnr_error *err)
{
    const fnr_op *op = &g->ops[i];
    const fnr_value *in = &g->values[op->in[0]], *out = &g->values[op->out];
    const bool transposed = op->kind == FNR_OP_CONVT;
    const bool same = op->stride == 1 && ((op->kernel == 3 && op->pad == 1) || (op->kernel == 1 && op->pad == 0)) && !transposed;
    const bool halving = op->kernel == 2 && op->stride == 2 && op->pad == 0;
    if (!same && !halving) {
        return bad(i, "this kernel, stride and padding are not part of the definition", err);
    }
    const int level = in->level + (same ? 0 : transposed ? -1 : 1);
    if (out->level != level) {
        return bad(i, "the output lies on the wrong level", err);
    }
    const int first = transposed ? in->channels : out->channels, second = transposed ? out->channels : in->channels;
    if (!is_param(g, op->weight, 2 + g->spatial, first, second, op->kernel)) {
        return bad(i, "the weight has the wrong shape", err);
    }
    if (op->bias >= 0 && !is_param(g, op->bias, 1, out->channels, 0, 0)) {
        return bad(i, "the bias has the wrong shape", err);
    }
    return true;
}

static bool check_norm(const fnr_graph *g, int i, const fnr_shape *input, bool training, fnr_error *err)
{
    const fnr_op *op = &g->ops[i];
    const fnr_value *in = &g->values[op->in[0]], *out = &g->values[op->out];
    if (in->channels != out->channels || in->level != out->level) {
        return bad(i, "batch norm changes the shape", err);
    }
    if (!is_param(g, op->weight, 1, in->channels, 0, 0) || !is_param(g, op->bias, 1, in->channels, 0, 0) ||
        !is_param(g, op->running_mean, 1, in->channels, 0, 0) || !is_param(g, op->running_var, 1, in->channels, 0, 0)) {
        return bad(i, "a batch norm parameter has the wrong shape", err);
    }
    fnr_shape s;
    if (!fnr_graph_value_shape(g, op->in[0], input, &s, err)) {
        return false;
    }
    if (training && fnr_shape_count(&s) == (size_t)s.c) {
        return fnr_fail(err, FNR_E_USAGE,
                        "input of %d x %d x %d x %d (n, d, h, w) is too small to train on: a batch norm would see one value per "
                        "channel; take a larger batch or patch",
                        input->n, input->d, input->h, input->w);
    }
    return true;
}

static bool check_concat(const fnr_graph *g, int i, fnr_error *err)
{
    const fnr_op *op = &g->ops[i];
    if (!is_value(g, op->in[1])) {
        return bad(i, "there is no such value", err);
    }
    const fnr_value *a = &g->values[op->in[0]], *b = &g->values[op->in[1]], *out = &g->values[op->out];
    if (a->level != b->level || a->level != out->level || a->channels + b->channels != out->channels) {
        return bad(i, "concatenated shapes do not fit", err);
    }
    return true;
}

bool fnr_graph_check(const fnr_graph *g, const fnr_shape *input, bool training, fnr_error *err)
{
    if (!is_value(g, g->input) || !is_value(g, g->output)) {
        return fnr_fail(err, FNR_E_INTERNAL, "network graph: no input or no output");
    }
    for (int i = 0; i < g->n_ops; i++) {
        const fnr_op *op = &g->ops[i];
        if (!is_value(g, op->in[0]) || !is_value(g, op->out)) {
            return bad(i, "there is no such value", err);
        }
        bool fine = false;
        switch (op->kind) {
        case FNR_OP_CONV:
        case FNR_OP_CONVT:
            fine = check_conv(g, i, err);
            break;
        case FNR_OP_BN_RELU:
            fine = check_norm(g, i, input, training, err);
            break;
        case FNR_OP_CONCAT:
            fine = check_concat(g, i, err);
            break;
        }
        if (!fine) {
            return false;
        }
    }
    fnr_shape out;
    return fnr_graph_value_shape(g, g->output, input, &out, err);
}
