#include <string.h>

#include "net/cuda/program.h"

enum { EDGE_KERNEL = 3, VECTORS = 5 };

static bool place_new(fnr_program *p, int value, int time, fnr_cu_place *out, fnr_error *err)
{
    const fnr_cu_value *v = &p->values[value];
    const int buffer = fnr_cu_plan_add(&p->plan, v->rows * (size_t)v->shape.c * fnr_cu_size((int)v->type), time, time, err);
    *out = (fnr_cu_place){.buffer = buffer, .stride = (size_t)v->shape.c};
    return buffer >= 0;
}

static bool size_values(fnr_program *p, fnr_error *err)
{
    const fnr_graph *g = p->graph;
    fnr_shape input = p->input;
    input.n = p->share;
    for (int i = 0; i < g->n_values; i++) {
        fnr_cu_value *v = &p->values[i];
        *v = (fnr_cu_value){.producer = -1, .home = FNR_CU_NOWHERE, .copy = FNR_CU_NOWHERE, .type = p->backend->type};
        if (!fnr_graph_value_shape(g, i, &input, &v->shape, err)) {
            return false;
        }
        v->rows = fnr_shape_count(&v->shape) / (size_t)v->shape.c;
    }
    for (int i = 0; i < g->n_ops; i++) {
        for (int k = 0; k < 2; k++) {
            if (g->ops[i].in[k] >= 0) {
                p->values[g->ops[i].in[k]].uses++;
            }
        }
    }
    return true;
}

static fnr_cu_kind kind_of(const fnr_program *p, const fnr_op *op)
{
    const fnr_graph *g = p->graph;
    if (op->kind == FNR_OP_BN_RELU) {
        return FNR_CU_STEP_NORM;
    }
    if (op->kind == FNR_OP_CONCAT) {
        return FNR_CU_STEP_JOIN;
    }
    if (op->kind == FNR_OP_CONV && op->kernel == EDGE_KERNEL) {
        const fnr_cu_value *in = &p->values[op->in[0]], *out = &p->values[op->out];
        if (op->in[0] == g->input && in->uses == 1 && in->shape.c == 1) {
            return FNR_CU_STEP_FIRST;
        }
        if (op->out == g->output && out->uses == 0 && out->shape.c == 1) {
            return FNR_CU_STEP_LAST;
        }
    }
    return FNR_CU_STEP_CONV;
}

/* A norm right behind a convolution that nobody else reads takes over its bias; in inference the convolution does all of it. */
static void pair_norm(fnr_program *p, int norm)
{
    fnr_cu_step *n = &p->steps[norm];
    const fnr_cu_value *x = &p->values[n->op->in[0]];
    if (x->producer < 0 || x->uses != 1 || n->op->in[0] == p->graph->output) {
        return;
    }
    fnr_cu_step *c = &p->steps[x->producer];
    if (c->kind != FNR_CU_STEP_CONV && c->kind != FNR_CU_STEP_FIRST) {
        return;
    }
    if (!fnr_cu_training(p)) {
        c->fused = norm;
        c->out = n->op->out;
        n->kind = FNR_CU_STEP_FUSED;
        p->values[n->op->out].producer = x->producer;
    } else {
        c->leaves_bias = true;
        n->feeder = c->op->bias;
    }
}

static void classify(fnr_program *p)
{
    for (int i = 0; i < p->n_steps; i++) {
        fnr_cu_step *s = &p->steps[i];
        s->op = &p->graph->ops[i];
        s->kind = kind_of(p, s->op);
        s->fused = s->feeder = s->weights = s->biases = s->vectors = s->slots = -1;
        s->out = s->op->out;
        s->dy = s->dx = FNR_CU_NOWHERE;
        p->values[s->out].producer = i;
        if (s->kind == FNR_CU_STEP_NORM) {
            pair_norm(p, i);
        }
        if (s->kind == FNR_CU_STEP_FIRST) {
            p->values[s->op->in[0]].type = FNR_CU_FLOAT32;
        } else if (s->kind == FNR_CU_STEP_LAST) {
            p->values[s->out].type = FNR_CU_FLOAT32;
        }
    }
}

/* Norms and the first convolution write rows at any distance; cuDNN is given dense tensors alone, so what it writes is copied. */
static bool writes_anywhere(const fnr_program *p, const fnr_cu_value *v)
{
    if (v->producer < 0 || v->home.buffer >= 0 || v->copy.buffer >= 0) {
        return false;
    }
    const fnr_cu_step *s = &p->steps[v->producer];
    return s->kind == FNR_CU_STEP_NORM || s->kind == FNR_CU_STEP_FIRST;
}

/* Only norms can write to two places, and only other norms, copies and joins read rows at a distance. */
static void place_part(fnr_program *p, fnr_cu_step *join, int k)
{
    const fnr_op *op = join->op;
    fnr_cu_value *v = &p->values[op->in[k]];
    const fnr_cu_value *whole = &p->values[op->out];
    if (!writes_anywhere(p, v) || op->in[0] == op->in[1] || op->in[k] == p->graph->output) {
        join->put[k] = true;
        return;
    }
    fnr_cu_place part = whole->home;
    part.offset += k == 0 ? 0 : (size_t)p->values[op->in[0]].shape.c;
    if (v->uses == 1) {
        v->home = part;
    } else if (p->steps[v->producer].kind == FNR_CU_STEP_NORM) {
        v->copy = part;
    } else {
        join->put[k] = true;
    }
}

/* Last concatenations first, so that a part may itself have parts. */
static bool place_joins(fnr_program *p, fnr_error *err)
{
    for (int i = p->n_steps - 1; i >= 0; i--) {
        fnr_cu_step *s = &p->steps[i];
        if (s->kind != FNR_CU_STEP_JOIN) {
            continue;
        }
        fnr_cu_value *whole = &p->values[s->out];
        if (whole->home.buffer < 0 && !place_new(p, s->out, fnr_cu_forward_time(i), &whole->home, err)) {
            return false;
        }
        place_part(p, s, 0);
        place_part(p, s, 1);
    }
    return true;
}

/* Lifetimes: written when its producer runs, read by the forward pass of its readers, and by the backward pass of those that need
 * their input again (a ReLU's mask is computed from the norm's input, so nobody needs a norm's own output). */
static bool place_values(fnr_program *p, fnr_error *err)
{
    for (int i = 0; i < p->n_steps; i++) {
        const fnr_cu_step *s = &p->steps[i];
        const int now = fnr_cu_forward_time(i);
        if (s->kind == FNR_CU_STEP_FUSED) {
            continue;
        }
        for (int k = 0; k < 2 && s->op->in[k] >= 0; k++) {
            fnr_cu_value *v = &p->values[s->op->in[k]];
            if (v->producer < 0 && v->home.buffer < 0 && !place_new(p, s->op->in[k], 0, &v->home, err)) {
                return false;
            }
            fnr_cu_plan_touch(&p->plan, v->home.buffer, now);
            if (fnr_cu_training(p) && s->kind != FNR_CU_STEP_JOIN) {
                fnr_cu_plan_touch(&p->plan, v->home.buffer, fnr_cu_backward_time(p, i));
            }
        }
        fnr_cu_value *out = &p->values[s->out];
        if (out->home.buffer < 0 && !place_new(p, s->out, now, &out->home, err)) {
            return false;
        }
        fnr_cu_plan_touch(&p->plan, out->home.buffer, now);
        fnr_cu_plan_touch(&p->plan, out->copy.buffer, now);
        if (s->out == p->graph->output) {
            fnr_cu_plan_touch(&p->plan, out->home.buffer, p->n_steps + 1);
        }
    }
    return true;
}

static void want(size_t *most, size_t bytes)
{
    *most = bytes > *most ? bytes : *most;
}

/* Bytes of partial sums: a norm's two for each channel, an edge's one for each weight. */
static void measure_scratch(fnr_program *p, const fnr_cu_step *s)
{
    const int sms = p->backend->gpus[0].sms;
    const fnr_cu_value *wide = &p->values[s->kind == FNR_CU_STEP_LAST ? s->op->in[0] : s->op->out];
    const fnr_cu_cut cut = fnr_cu_cut_of(wide->rows, wide->shape.c, 1, sms);
    const size_t sums = s->kind == FNR_CU_STEP_NORM ? 2 : FNR_CU_MAX_TAPS;
    want(&p->scratch_bytes, (size_t)cut.parts * (size_t)wide->shape.c * sums * sizeof(double));
}

/* Buffers that a step needs for itself. */
static bool plan_step(fnr_program *p, fnr_cu_step *s, fnr_error *err)
{
    const fnr_graph *g = p->graph;
    const size_t channels = (size_t)p->values[s->op->out].shape.c;
    if (s->kind == FNR_CU_STEP_NORM) {
        measure_scratch(p, s);
        s->vectors = fnr_cu_plan_add_kept(&p->plan, VECTORS * channels * sizeof(float), err);
        s->slots = fnr_cu_plan_add_kept(&p->plan, (size_t)p->backend->n_gpus * 2 * channels * sizeof(double), err);
        return s->vectors >= 0 && s->slots >= 0;
    }
    if (s->kind == FNR_CU_STEP_FUSED || s->kind == FNR_CU_STEP_JOIN) {
        return true;
    }
    const size_t weights = g->params[s->op->weight].count;
    if (fnr_cu_training(p)) {
        if (s->kind != FNR_CU_STEP_CONV) {
            measure_scratch(p, s);
        }
        want(&p->low_bytes, weights * sizeof(uint16_t));
        return true;
    }
    const bool thin = s->kind != FNR_CU_STEP_CONV;
    s->weights = fnr_cu_plan_add_kept(&p->plan, weights * (thin ? sizeof(float) : fnr_cu_size((int)p->backend->type)), err);
    s->biases = fnr_cu_plan_add_kept(&p->plan, channels * sizeof(float), err);
    return s->weights >= 0 && s->biases >= 0;
}

static bool plan_ends(fnr_program *p, fnr_error *err)
{
    const fnr_graph *g = p->graph;
    const size_t in = fnr_shape_count(&p->values[g->input].shape), out = fnr_shape_count(&p->values[g->output].shape);
    want(&p->scratch_bytes, 4 * (size_t)FNR_CU_BLOCK * sizeof(double)); /* the loss */
    p->planes_in = fnr_cu_plan_add_kept(&p->plan, in * sizeof(float), err);
    p->planes_out = fnr_cu_plan_add_kept(&p->plan, out * sizeof(float), err);
    p->scratch = fnr_cu_plan_add_kept(&p->plan, p->scratch_bytes, err);
    p->low_grads = fnr_cu_plan_add_kept(&p->plan, p->low_bytes, err);
    return p->planes_in >= 0 && p->planes_out >= 0 && p->scratch >= 0 && p->low_grads >= 0;
}

static bool within_limit(const fnr_program *p, fnr_error *err)
{
    const size_t bytes = p->plan.bytes + p->workspace, limit = p->backend->max_bytes;
    if (limit && bytes > limit) {
        return fnr_fail(err, FNR_E_LIMIT, "the network needs %.1f MiB of the GPU's memory for this shape, more than the limit of %.1f MiB",
                        (double)bytes / 0x1p20, (double)limit / 0x1p20);
    }
    return true;
}

typedef struct {
    fnr_program *program;
} allocation;

static bool allocate(void *ctx, int rank, fnr_error *err)
{
    fnr_program *p = ((allocation *)ctx)->program;
    fnr_cu_rank *r = &p->ranks[rank];
    static const char what[] = "memory for the network";
    /* 0x3C in every byte is a small number in float32 and in bfloat16: plans are timed on it, and what reads memory that nobody
     * wrote does not find a harmless zero. */
    return fnr_cu_ok(cudaMalloc((void **)&r->block, p->plan.bytes), what, err) &&
           fnr_cu_ok(cudaMemsetAsync(r->block, 0x3C, p->plan.bytes, p->backend->gpus[rank].stream), what, err) &&
           (p->workspace == 0 || fnr_cu_ok(cudaMalloc(&r->workspace, p->workspace), what, err)) &&
           fnr_cu_ok(cudaMalloc((void **)&r->loss, sizeof *r->loss), what, err) &&
           fnr_cu_ok(cudaHostAlloc((void **)&r->host_loss, sizeof *r->host_loss, cudaHostAllocDefault), what, err);
}

bool fnr_cu_compile(fnr_program *p, fnr_error *err)
{
    allocation a = {.program = p};
    p->plan.end = 2 * p->n_steps + 2;
    if (!size_values(p, err)) {
        return false;
    }
    classify(p);
    if (!place_joins(p, err) || !place_values(p, err)) {
        return false;
    }
    for (int i = 0; i < p->n_steps; i++) {
        if (!plan_step(p, &p->steps[i], err)) {
            return false;
        }
    }
    return (!fnr_cu_training(p) || fnr_cu_plan_gradients(p, err)) && plan_ends(p, err) && fnr_cu_plan_place(&p->plan, err) &&
           within_limit(p, err) && fnr_cu_choose_plans(p, err) && within_limit(p, err) && fnr_cu_team_run(p->backend->team, allocate, &a, err) &&
           fnr_cu_tune(p, err);
}
