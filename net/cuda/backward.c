#include "net/cuda/program.h"

static cudaStream_t stream_of(const fnr_program *p, int rank)
{
    return p->backend->gpus[rank].stream;
}

/* to = sum of a value's gradients. */
static bool sum_gradients(const fnr_program *p, int rank, const fnr_cu_value *v, fnr_cu_place to, fnr_error *err)
{
    fnr_cu_place places[FNR_CU_MAX_SOURCES + 1] = {to};
    fnr_cu_gather sum = {.to = fnr_cu_at(p, rank, to, v->type), .count = v->n_grads, .channels = v->shape.c, .rows = v->rows};
    for (int i = 0; i < v->n_grads; i++) {
        sum.from[i] = fnr_cu_at(p, rank, v->grads[i], v->type);
        places[1 + i] = v->grads[i];
    }
    sum.group = fnr_cu_group_of(v->shape.c, places, v->n_grads + 1);
    return fnr_cu_ok(fnr_cu_launch_gather(&sum, stream_of(p, rank)), "adding gradients", err);
}

/* The bias' own gradient, where it has one; that of a bias in front of a norm stays 0. */
static bool bias_gradient(const fnr_program *p, int rank, const fnr_cu_step *s, fnr_error *err)
{
    if (s->op->bias < 0 || s->op->bias_feeds_norm) {
        return true;
    }
    const fnr_cu_value *out = &p->values[s->out];
    const fnr_cu_slice dy = fnr_cu_at(p, rank, s->dy, out->type);
    return fnr_cu_ok(fnr_cu_launch_column_sums(&dy, out->rows, out->shape.c, fnr_cu_param_grad(p, rank, s->op->bias), stream_of(p, rank)),
                     "gradient of a bias", err);
}

/* cuDNN gives a bfloat16 convolution's weight gradient in bfloat16. */
static bool raise_gradient(const fnr_program *p, int rank, const fnr_cu_step *s, fnr_error *err)
{
    const size_t count = p->graph->params[s->op->weight].count;
    const fnr_cu_gather copy = {.to = {.data = fnr_cu_param_grad(p, rank, s->op->weight), .type = FNR_CU_FLOAT32, .stride = 1},
                                .from = {{.data = fnr_cu_buffer_at(p, rank, p->low_grads), .type = FNR_CU_BF16, .stride = 1}},
                                .count = 1,
                                .channels = 1,
                                .group = 1,
                                .rows = count};
    return fnr_cu_ok(fnr_cu_launch_gather(&copy, stream_of(p, rank)), "gradient of weights", err);
}

static bool back_conv(const fnr_program *p, int rank, const fnr_cu_step *s, bool want_dx, fnr_error *err)
{
    const bool transposed = s->op->kind == FNR_OP_CONVT, low = p->backend->type == FNR_CU_BF16;
    const fnr_cu_value *in = &p->values[s->op->in[0]], *out = &p->values[s->out];
    const fnr_cu_params *params = &p->state->ranks[rank];
    const size_t at = p->state->offsets[s->op->weight];
    void *x = fnr_cu_at(p, rank, in->home, in->type).data, *dx = fnr_cu_at(p, rank, s->dx, in->type).data;
    void *dy = fnr_cu_at(p, rank, s->dy, out->type).data;
    void *weight = low ? (void *)(params->low + at) : (void *)(params->values + at);
    void *dw = low ? fnr_cu_buffer_at(p, rank, p->low_grads) : (void *)(params->grads + at);
    const fnr_cu_conv_data filter = {.fine = transposed ? dy : x, .coarse = transposed ? x : dy, .weight = dw};
    const fnr_cu_conv_data data = {.fine = transposed ? dy : dx, .coarse = transposed ? dx : dy, .weight = weight};
    return fnr_cu_conv_run(p, rank, &s->filter, &filter, err) && (!low || raise_gradient(p, rank, s, err)) && bias_gradient(p, rank, s, err) &&
           (!want_dx || fnr_cu_conv_run(p, rank, &s->data, &data, err));
}

/* FIRST: dy is wide, the input thin.  LAST: dy is thin, the input wide; seen from the wide side taps point the other way. */
static bool back_edge(const fnr_program *p, int rank, const fnr_cu_step *s, bool want_dx, fnr_error *err)
{
    static const char what[] = "gradient of the first or last convolution";
    const bool first = s->kind == FNR_CU_STEP_FIRST;
    const cudaStream_t stream = stream_of(p, rank);
    const fnr_cu_value *in = &p->values[s->op->in[0]], *out = &p->values[s->out];
    const fnr_cu_slice dy = fnr_cu_at(p, rank, s->dy, out->type), dx = fnr_cu_at(p, rank, s->dx, in->type);
    fnr_cu_edge weights = fnr_cu_edge_of(p, rank, s);
    weights.cut = fnr_cu_cut_of(weights.cut.rows, weights.channels, 1, p->backend->gpus[rank].sms);
    weights.dweight = fnr_cu_param_grad(p, rank, s->op->weight);
    fnr_cu_edge pixels = fnr_cu_edge_of(p, rank, s);
    pixels.bias = NULL;
    pixels.sign = -1;
    if (first) {
        weights.wide = pixels.wide = dy;
        pixels.thin = dx.data;
    } else {
        weights.thin = pixels.thin = dy.data;
        weights.sign = -1;
        pixels.wide = dx;
    }
    const fnr_cu_place used[] = {first ? s->dy : s->dx};
    pixels.cut = fnr_cu_cut_of(pixels.cut.rows, pixels.channels, fnr_cu_group_of(pixels.channels, used, 1), p->backend->gpus[rank].sms);
    return fnr_cu_ok(fnr_cu_launch_correlate(&weights, stream), what, err) && bias_gradient(p, rank, s, err) &&
           (!want_dx || fnr_cu_ok(first ? fnr_cu_launch_shrink(&pixels, stream) : fnr_cu_launch_expand(&pixels, stream), what, err));
}

static bool back_norm(const fnr_program *p, int rank, const fnr_cu_step *s, fnr_error *err)
{
    const fnr_cu_norm norm = fnr_cu_norm_of(p, rank, s);
    const cudaStream_t stream = stream_of(p, rank);
    static const char what[] = "gradient of a batch norm";
    return fnr_cu_ok(fnr_cu_launch_norm_back_stats(&norm, stream), what, err) &&
           fnr_cu_team_share_doubles(p->backend->team, rank, norm.slots, 2 * (size_t)norm.channels, err) &&
           fnr_cu_ok(fnr_cu_launch_norm_back_combine(&norm, stream), what, err) &&
           fnr_cu_ok(fnr_cu_launch_norm_back_apply(&norm, stream), what, err);
}

static bool back_step(const fnr_program *p, int rank, const fnr_cu_step *s, bool want_dx, fnr_error *err)
{
    if (s->sums_dy && !sum_gradients(p, rank, &p->values[s->out], s->dy, err)) {
        return false;
    }
    switch (s->kind) {
    case FNR_CU_STEP_FIRST:
    case FNR_CU_STEP_LAST:
        return back_edge(p, rank, s, want_dx, err);
    case FNR_CU_STEP_CONV:
        return back_conv(p, rank, s, want_dx, err);
    case FNR_CU_STEP_NORM:
        return back_norm(p, rank, s, err);
    case FNR_CU_STEP_JOIN:  /* its inputs' producers read their part of its gradient */
    case FNR_CU_STEP_FUSED: /* inference alone */
        break;
    }
    return true;
}

/* The input's gradient into planes_in, which the forward pass no longer needs. */
static bool give_dx(const fnr_program *p, int rank, fnr_error *err)
{
    const fnr_cu_value *in = &p->values[p->graph->input];
    fnr_cu_place sum = in->grads[0];
    if (in->n_grads > 1) {
        sum = in->home; /* read for the last time by the first operation's backward pass */
        if (!sum_gradients(p, rank, in, sum, err)) {
            return false;
        }
    }
    const fnr_cu_planes leave = {.planes = fnr_cu_buffer_at(p, rank, p->planes_in),
                                 .rows = fnr_cu_at(p, rank, sum, in->type),
                                 .channels = in->shape.c,
                                 .to_planes = 1,
                                 .samples = (size_t)in->shape.n,
                                 .pixels = in->rows / (size_t)in->shape.n};
    return fnr_cu_ok(fnr_cu_launch_planes(&leave, stream_of(p, rank)), "gradient of the input", err);
}

/* Gradients of parameters without one (running statistics, biases in front of norms) stay 0 since the state was made. */
bool fnr_cu_backward(fnr_program *p, int rank, bool want_dx, fnr_error *err)
{
    for (int i = p->n_steps - 1; i >= 0; i--) {
        const fnr_cu_step *s = &p->steps[i];
        if (!back_step(p, rank, s, want_dx || s->op->in[0] != p->graph->input, err)) {
            return false;
        }
    }
    return fnr_cu_team_sum_floats(p->backend->team, rank, p->state->ranks[rank].grads, p->state->trained, err) &&
           (!want_dx || give_dx(p, rank, err));
}
