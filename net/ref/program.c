/* A graph with a buffer for each value, and for training one for each value's gradient. */
#include "net/ref/ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"

typedef enum { READY_FOR_FORWARD, READY_FOR_LOSS, READY_FOR_BACKWARD } stage;

struct fnr_program {
    const fnr_graph *graph;
    fnr_state *state;
    fnr_mode mode;
    fnr_ref_tensor *tensors; /* graph->n_values */
    fnr_ref_call *calls;     /* graph->n_ops */
    double *norms;           /* means and inverse deviations of all batch norms */
    double *rows;            /* scratch */
    size_t row_length, max_channels, norm_channels;
    size_t bytes;
    stage stage;
};

/* Sizes and the memory they need, before anything large is allocated. */
static bool measure(fnr_program *p, const fnr_shape *input, fnr_error *err)
{
    const fnr_graph *g = p->graph;
    const bool training = p->mode == FNR_MODE_TRAIN;
    for (int i = 0; i < g->n_values; i++) {
        fnr_shape s;
        if (!fnr_graph_value_shape(g, i, input, &s, err)) {
            return false;
        }
        p->bytes += fnr_ref_tensor_bytes(&s, training);
        p->row_length = (size_t)s.w > p->row_length ? (size_t)s.w : p->row_length;
        p->max_channels = (size_t)s.c > p->max_channels ? (size_t)s.c : p->max_channels;
    }
    for (int i = 0; i < g->n_ops; i++) {
        if (g->ops[i].kind == FNR_OP_BN_RELU) {
            p->norm_channels += (size_t)g->values[g->ops[i].out].channels;
        }
    }
    p->bytes += (p->row_length * p->max_channels + 2 * p->norm_channels) * sizeof(double);
    return true;
}

static bool allocate(fnr_program *p, const fnr_shape *input, fnr_error *err)
{
    const fnr_graph *g = p->graph;
    p->tensors = fnr_calloc((size_t)g->n_values, sizeof *p->tensors, "network program", err);
    p->calls = p->tensors ? fnr_calloc((size_t)g->n_ops + 1, sizeof *p->calls, "network program", err) : NULL;
    p->norms = p->calls ? fnr_calloc(2 * p->norm_channels + 1, sizeof *p->norms, "network program", err) : NULL;
    p->rows = p->norms ? fnr_calloc(p->row_length * p->max_channels, sizeof *p->rows, "network program", err) : NULL;
    if (!p->rows) {
        return false;
    }
    for (int i = 0; i < g->n_values; i++) {
        fnr_shape s;
        if (!fnr_graph_value_shape(g, i, input, &s, err) ||
            !fnr_ref_tensor_new(&p->tensors[i], &s, p->mode == FNR_MODE_TRAIN, err)) {
            return false;
        }
    }
    return true;
}

/* Where parameter `id` lies in one of the state's vectors; NULL without either. */
static float *param_in(const fnr_program *p, float *flat, int id)
{
    return flat && id >= 0 ? flat + p->graph->params[id].offset : NULL;
}

static void look_up_operands(fnr_program *p)
{
    const fnr_graph *g = p->graph;
    float *grads = p->mode == FNR_MODE_TRAIN ? p->state->grads : NULL;
    double *norms = p->norms;
    for (int i = 0; i < g->n_ops; i++) {
        const fnr_op *op = &g->ops[i];
        fnr_ref_call *c = &p->calls[i];
        c->op = op;
        c->in[0] = &p->tensors[op->in[0]];
        c->in[1] = op->kind == FNR_OP_CONCAT ? &p->tensors[op->in[1]] : NULL;
        c->out = &p->tensors[op->out];
        c->rows = p->rows;
        c->row_length = p->row_length;
        if (op->kind != FNR_OP_CONCAT) {
            c->weight = param_in(p, p->state->values, op->weight);
            c->bias = param_in(p, p->state->values, op->bias);
            c->dweight = param_in(p, grads, op->weight);
            c->dbias = param_in(p, grads, op->bias);
        }
        if (op->kind == FNR_OP_BN_RELU) {
            const size_t channels = (size_t)c->out->shape.c;
            c->running_mean = param_in(p, p->state->values, op->running_mean);
            c->running_var = param_in(p, p->state->values, op->running_var);
            c->mean = norms;
            c->inv_sd = norms + channels;
            norms += 2 * channels;
        }
    }
}

bool fnr_ref_program_new(fnr_backend *b, fnr_state *s, const fnr_shape *shape, fnr_mode mode, fnr_program **out, fnr_error *err)
{
    const bool training = mode == FNR_MODE_TRAIN;
    if (!fnr_graph_check(s->graph, shape, training, err)) {
        return false;
    }
    if (training && !s->grads) {
        return fnr_fail(err, FNR_E_INTERNAL, "training needs a network state made for training");
    }
    fnr_program *p = fnr_calloc(1, sizeof *p, "network program", err);
    if (!p) {
        return false;
    }
    p->graph = s->graph;
    p->state = s;
    p->mode = mode;
    bool ok = measure(p, shape, err);
    if (ok && b->max_bytes && p->bytes > b->max_bytes) {
        ok = fnr_fail(err, FNR_E_LIMIT,
                      "the network needs %zu MiB for an input of %d x %d x %d x %d (n, d, h, w), the limit is %zu MiB",
                      (p->bytes >> 20) + 1, shape->n, shape->d, shape->h, shape->w, b->max_bytes >> 20);
    }
    ok = ok && allocate(p, shape, err);
    if (!ok) {
        fnr_ref_program_free(p);
        return false;
    }
    look_up_operands(p);
    *out = p;
    return true;
}

void fnr_ref_program_free(fnr_program *p)
{
    if (!p) {
        return;
    }
    for (int i = 0; p->tensors && i < p->graph->n_values; i++) {
        fnr_ref_tensor_free(&p->tensors[i]);
    }
    free(p->tensors);
    free(p->calls);
    free(p->norms);
    free(p->rows);
    free(p);
}

size_t fnr_ref_program_bytes(const fnr_program *p)
{
    return p->bytes;
}

static bool overrun(int op, fnr_error *err)
{
    return fnr_fail(err, FNR_E_INTERNAL, "ref backend: operation %d wrote past the end of a buffer", op);
}

bool fnr_ref_forward(fnr_program *p, const float *x, float *y, fnr_error *err)
{
    const fnr_ref_tensor *input = &p->tensors[p->graph->input], *output = &p->tensors[p->graph->output];
    p->stage = READY_FOR_FORWARD;
    memcpy(input->data, x, fnr_shape_count(&input->shape) * sizeof *x);
    for (int i = 0; i < p->graph->n_ops; i++) {
        const fnr_ref_call *c = &p->calls[i];
        switch (c->op->kind) {
        case FNR_OP_CONV:
            fnr_ref_conv_forward(c);
            break;
        case FNR_OP_CONVT:
            fnr_ref_convt_forward(c);
            break;
        case FNR_OP_BN_RELU:
            p->mode == FNR_MODE_TRAIN ? fnr_ref_bn_relu_train(c) : fnr_ref_bn_relu_infer(c);
            break;
        case FNR_OP_CONCAT:
            fnr_ref_concat_forward(c);
            break;
        }
        if (!fnr_ref_tensor_intact(c->out)) {
            return overrun(i, err);
        }
    }
    if (y) {
        memcpy(y, output->data, fnr_shape_count(&output->shape) * sizeof *y);
    }
    p->stage = p->mode == FNR_MODE_TRAIN ? READY_FOR_LOSS : READY_FOR_FORWARD;
    return true;
}

bool fnr_ref_program_mse(fnr_program *p, const float *target, double *loss, fnr_error *err)
{
    if (p->stage == READY_FOR_FORWARD) {
        return fnr_fail(err, FNR_E_INTERNAL, "a loss needs a forward pass in training mode first");
    }
    const double value = fnr_ref_mse(&p->tensors[p->graph->output], target);
    if (!isfinite(value)) {
        p->stage = READY_FOR_LOSS;
        return fnr_fail(err, FNR_E_NUMERIC, "the loss is not finite");
    }
    *loss = value;
    p->stage = READY_FOR_BACKWARD;
    return true;
}

bool fnr_ref_set_output_grad(fnr_program *p, const float *dy, fnr_error *err)
{
    if (p->stage == READY_FOR_FORWARD) {
        return fnr_fail(err, FNR_E_INTERNAL, "an output gradient needs a forward pass in training mode first");
    }
    const fnr_ref_tensor *output = &p->tensors[p->graph->output];
    memcpy(output->grad, dy, fnr_shape_count(&output->shape) * sizeof *dy);
    p->stage = READY_FOR_BACKWARD;
    return true;
}

/* Gradients of values are sums over all operations that read them, so they start at zero; the output's is already there. */
static void clear_gradients(fnr_program *p)
{
    for (int i = 0; i < p->graph->n_values; i++) {
        if (i != p->graph->output) {
            memset(p->tensors[i].grad, 0, fnr_shape_count(&p->tensors[i].shape) * sizeof(float));
        }
    }
    memset(p->state->grads, 0, p->graph->param_floats * sizeof(float));
}

bool fnr_ref_backward(fnr_program *p, float *dx, fnr_error *err)
{
    if (p->stage != READY_FOR_BACKWARD) {
        return fnr_fail(err, FNR_E_INTERNAL, "a backward pass needs a loss first");
    }
    p->stage = READY_FOR_FORWARD;
    clear_gradients(p);
    for (int i = p->graph->n_ops - 1; i >= 0; i--) {
        const fnr_ref_call *c = &p->calls[i];
        switch (c->op->kind) {
        case FNR_OP_CONV:
            fnr_ref_conv_backward(c);
            break;
        case FNR_OP_CONVT:
            fnr_ref_convt_backward(c);
            break;
        case FNR_OP_BN_RELU:
            fnr_ref_bn_relu_backward(c);
            break;
        case FNR_OP_CONCAT:
            fnr_ref_concat_backward(c);
            break;
        }
        if (!fnr_ref_tensor_intact(c->in[0]) || (c->in[1] && !fnr_ref_tensor_intact(c->in[1]))) {
            return overrun(i, err);
        }
    }
    if (dx) {
        const fnr_ref_tensor *input = &p->tensors[p->graph->input];
        memcpy(dx, input->grad, fnr_shape_count(&input->shape) * sizeof *dx);
    }
    return true;
}
