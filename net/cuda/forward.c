#include "net/cuda/program.h"

static cudaStream_t stream_of(const fnr_program *p, int rank)
{
    return p->backend->gpus[rank].stream;
}

/* ---- operands -------------------------------------------------------------------------------------------------------------- */

fnr_cu_norm fnr_cu_norm_of(const fnr_program *p, int rank, const fnr_cu_step *s)
{
    const fnr_op *op = s->op;
    const fnr_cu_value *in = &p->values[op->in[0]], *out = &p->values[op->out];
    const size_t channels = (size_t)out->shape.c;
    const fnr_cu_place second = s->sums_dy || out->n_grads < 2 ? FNR_CU_NOWHERE : out->grads[1];
    const fnr_cu_place places[] = {in->home, out->home, out->copy, s->dy, second, s->dx};
    const int group = fnr_cu_group_of(out->shape.c, places, sizeof places / sizeof *places);
    float *vectors = fnr_cu_buffer_at(p, rank, s->vectors);
    return (fnr_cu_norm){.cut = fnr_cu_cut_of(out->rows, out->shape.c, group, p->backend->gpus[rank].sms),
                         .x = fnr_cu_at(p, rank, in->home, in->type),
                         .y = {fnr_cu_at(p, rank, out->home, out->type), fnr_cu_at(p, rank, out->copy, out->type)},
                         .dy = {fnr_cu_at(p, rank, s->dy, out->type), fnr_cu_at(p, rank, second, out->type)},
                         .dx = fnr_cu_at(p, rank, s->dx, in->type),
                         .gamma = fnr_cu_param(p, rank, op->weight),
                         .beta = fnr_cu_param(p, rank, op->bias),
                         .bias = fnr_cu_param(p, rank, s->feeder),
                         .running_mean = fnr_cu_param(p, rank, op->running_mean),
                         .running_var = fnr_cu_param(p, rank, op->running_var),
                         .mean = vectors,
                         .inv_sd = vectors + channels,
                         .scale = vectors + 2 * channels,
                         .mean_g = vectors + 3 * channels,
                         .mean_gx = vectors + 4 * channels,
                         .dgamma = fnr_cu_training(p) ? fnr_cu_param_grad(p, rank, op->weight) : NULL,
                         .dbeta = fnr_cu_training(p) ? fnr_cu_param_grad(p, rank, op->bias) : NULL,
                         .partial = fnr_cu_buffer_at(p, rank, p->scratch),
                         .slots = fnr_cu_buffer_at(p, rank, s->slots),
                         .channels = out->shape.c,
                         .ranks = p->backend->n_gpus,
                         .rank = rank,
                         .relu = op->relu,
                         .eps = FNR_BN_EPS,
                         .momentum = FNR_BN_MOMENTUM};
}

/* Forward: FIRST expands the input to the output, LAST shrinks the input to the output.  Weights of a FIRST are (channel, tap), of
 * a LAST (tap, channel), both in the order (coarse, taps, fine). */
fnr_cu_edge fnr_cu_edge_of(const fnr_program *p, int rank, const fnr_cu_step *s)
{
    const bool first = s->kind == FNR_CU_STEP_FIRST;
    const fnr_cu_value *in = &p->values[s->op->in[0]], *out = &p->values[s->out];
    const fnr_cu_value *wide = first ? out : in, *thin = first ? in : out;
    const fnr_cu_place places[] = {wide->home, s->dx, s->dy};
    const int taps = p->input.spatial == 3 ? 27 : 9, channels = wide->shape.c;
    const int group = fnr_cu_group_of(channels, places, first ? 1 : 2);
    const float *weight = s->weights >= 0 ? fnr_cu_buffer_at(p, rank, s->weights) : fnr_cu_param(p, rank, s->op->weight);
    const float *bias = s->biases >= 0 ? fnr_cu_buffer_at(p, rank, s->biases) : s->leaves_bias ? NULL : fnr_cu_param(p, rank, s->op->bias);
    return (fnr_cu_edge){.cut = fnr_cu_cut_of(wide->rows, channels, group, p->backend->gpus[rank].sms),
                         .wide = fnr_cu_at(p, rank, wide->home, wide->type),
                         .thin = fnr_cu_at(p, rank, thin->home, thin->type).data,
                         .weight = weight,
                         .bias = bias,
                         .partial = fnr_cu_buffer_at(p, rank, p->scratch),
                         .channels = channels,
                         .n = wide->shape.n,
                         .d = wide->shape.d,
                         .h = wide->shape.h,
                         .w = wide->shape.w,
                         .taps = taps,
                         .sign = 1,
                         .weight_c = first ? taps : 1,
                         .weight_t = first ? 1 : channels,
                         .relu = s->fused >= 0 && p->graph->ops[s->fused].relu};
}

/* ---- steps ----------------------------------------------------------------------------------------------------------------- */

static bool run_conv(const fnr_program *p, int rank, const fnr_cu_step *s, fnr_error *err)
{
    const bool transposed = s->op->kind == FNR_OP_CONVT;
    const fnr_cu_value *in = &p->values[s->op->in[0]], *out = &p->values[s->out];
    const fnr_cu_slice y = fnr_cu_at(p, rank, out->home, out->type);
    void *x = fnr_cu_at(p, rank, in->home, in->type).data;
    const fnr_cu_params *params = &p->state->ranks[rank];
    const size_t at = p->state->offsets[s->op->weight];
    void *weight = s->weights >= 0 ? fnr_cu_buffer_at(p, rank, s->weights) : params->low ? (void *)(params->low + at) : (void *)(params->values + at);
    float *bias = s->biases >= 0 ? fnr_cu_buffer_at(p, rank, s->biases) : s->leaves_bias ? NULL : fnr_cu_param(p, rank, s->op->bias);
    const fnr_cu_conv_data data = {.fine = transposed ? y.data : x, .coarse = transposed ? x : y.data, .weight = weight, .bias = bias};
    const int relu = s->fused >= 0 && p->graph->ops[s->fused].relu;
    return fnr_cu_conv_run(p, rank, &s->forward, &data, err) &&
           (!s->bias_apart || !bias || fnr_cu_ok(fnr_cu_launch_bias(&y, bias, out->rows, out->shape.c, relu, stream_of(p, rank)), "adding a bias", err));
}

static bool run_norm(const fnr_program *p, int rank, const fnr_cu_step *s, fnr_error *err)
{
    const fnr_cu_norm norm = fnr_cu_norm_of(p, rank, s);
    const cudaStream_t stream = stream_of(p, rank);
    static const char what[] = "batch norm";
    if (!fnr_cu_training(p)) {
        return fnr_cu_ok(fnr_cu_launch_norm_running(&norm, stream), what, err) && fnr_cu_ok(fnr_cu_launch_norm_apply(&norm, stream), what, err);
    }
    return fnr_cu_ok(fnr_cu_launch_norm_stats(&norm, stream), what, err) &&
           fnr_cu_team_share_doubles(p->backend->team, rank, norm.slots, 2 * (size_t)norm.channels, err) &&
           fnr_cu_ok(fnr_cu_launch_norm_combine(&norm, stream), what, err) && fnr_cu_ok(fnr_cu_launch_norm_apply(&norm, stream), what, err);
}

static bool run_join(const fnr_program *p, int rank, const fnr_cu_step *s, fnr_error *err)
{
    fnr_cu_place part = p->values[s->out].home;
    for (int k = 0; k < 2; k++) {
        const fnr_cu_value *in = &p->values[s->op->in[k]];
        if (s->put[k]) {
            const fnr_cu_place places[] = {part, in->home};
            const fnr_cu_gather copy = {.to = fnr_cu_at(p, rank, part, in->type),
                                        .from = {fnr_cu_at(p, rank, in->home, in->type)},
                                        .count = 1,
                                        .channels = in->shape.c,
                                        .group = fnr_cu_group_of(in->shape.c, places, 2),
                                        .rows = in->rows};
            if (!fnr_cu_ok(fnr_cu_launch_gather(&copy, stream_of(p, rank)), "concatenation", err)) {
                return false;
            }
        }
        part.offset += (size_t)in->shape.c;
    }
    return true;
}

static bool run_step(const fnr_program *p, int rank, const fnr_cu_step *s, fnr_error *err)
{
    fnr_cu_edge edge;
    switch (s->kind) {
    case FNR_CU_STEP_FIRST:
        edge = fnr_cu_edge_of(p, rank, s);
        return fnr_cu_ok(fnr_cu_launch_expand(&edge, stream_of(p, rank)), "the first convolution", err);
    case FNR_CU_STEP_LAST:
        edge = fnr_cu_edge_of(p, rank, s);
        return fnr_cu_ok(fnr_cu_launch_shrink(&edge, stream_of(p, rank)), "the last convolution", err);
    case FNR_CU_STEP_CONV:
        return run_conv(p, rank, s, err);
    case FNR_CU_STEP_NORM:
        return run_norm(p, rank, s, err);
    case FNR_CU_STEP_JOIN:
        return run_join(p, rank, s, err);
    case FNR_CU_STEP_FUSED:
        break;
    }
    return true;
}

bool fnr_cu_forward_between(fnr_program *p, int rank, float *from, float *to, fnr_error *err)
{
    const fnr_cu_value *in = &p->values[p->graph->input], *out = &p->values[p->graph->output];
    const fnr_cu_planes enter = {.planes = from,
                                 .rows = fnr_cu_at(p, rank, in->home, in->type),
                                 .channels = in->shape.c,
                                 .samples = (size_t)in->shape.n,
                                 .pixels = in->rows / (size_t)in->shape.n};
    if (!fnr_cu_ok(fnr_cu_launch_planes(&enter, stream_of(p, rank)), "the network's input", err)) {
        return false;
    }
    for (int i = 0; i < p->n_steps; i++) {
        if (!run_step(p, rank, &p->steps[i], err)) {
            return false;
        }
    }
    const fnr_cu_planes leave = {.planes = to,
                                 .rows = fnr_cu_at(p, rank, out->home, out->type),
                                 .channels = out->shape.c,
                                 .to_planes = 1,
                                 .samples = (size_t)out->shape.n,
                                 .pixels = out->rows / (size_t)out->shape.n};
    return fnr_cu_training(p) || fnr_cu_ok(fnr_cu_launch_planes(&leave, stream_of(p, rank)), "the network's output", err);
}

bool fnr_cu_forward(fnr_program *p, int rank, fnr_error *err)
{
    return fnr_cu_forward_between(p, rank, fnr_cu_buffer_at(p, rank, p->planes_in), fnr_cu_buffer_at(p, rank, p->planes_out), err);
}

/* ---- weights for inference -------------------------------------------------------------------------------------------------- */

bool fnr_cu_fold_weights(fnr_program *p, int rank, fnr_error *err)
{
    const fnr_graph *g = p->graph;
    for (int i = 0; i < p->n_steps; i++) {
        const fnr_cu_step *s = &p->steps[i];
        if (s->weights < 0) {
            continue;
        }
        const fnr_op *norm = s->fused >= 0 ? &g->ops[s->fused] : NULL;
        const size_t count = g->params[s->op->weight].count;
        const int channels = p->values[s->out].shape.c;
        const bool transposed = s->op->kind == FNR_OP_CONVT;
        const fnr_cu_fold fold = {.weight = fnr_cu_param(p, rank, s->op->weight),
                                  .bias = fnr_cu_param(p, rank, s->op->bias),
                                  .gamma = norm ? fnr_cu_param(p, rank, norm->weight) : NULL,
                                  .beta = norm ? fnr_cu_param(p, rank, norm->bias) : NULL,
                                  .mean = norm ? fnr_cu_param(p, rank, norm->running_mean) : NULL,
                                  .variance = norm ? fnr_cu_param(p, rank, norm->running_var) : NULL,
                                  .to = fnr_cu_buffer_at(p, rank, s->weights),
                                  .to_bias = fnr_cu_buffer_at(p, rank, s->biases),
                                  .type = s->kind == FNR_CU_STEP_CONV ? (int)p->backend->type : FNR_CU_FLOAT32,
                                  .channels = channels,
                                  .count = count,
                                  .divide = transposed ? 1 : count / (size_t)channels,
                                  .eps = FNR_BN_EPS};
        if (!fnr_cu_ok(fnr_cu_launch_fold(&fold, stream_of(p, rank)), "folding weights", err)) {
            return false;
        }
    }
    return true;
}
