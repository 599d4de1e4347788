/* cuDNN's plans for every convolution of a program: what it proposes, the fastest of them by the clock, and plain loops where it has
 * nothing. */
#include <stdlib.h>
#include <string.h>

#include "net/cuda/program.h"
#include "src/core/mem.h"

enum { CANDIDATES = 4, ROUNDS = 3 };
#define MAX_WORKSPACE ((size_t)512 << 20)

static fnr_cu_conv_key key_of(const fnr_program *p, const fnr_cu_step *s, fnr_cu_pass pass)
{
    const fnr_op *op = s->op;
    const bool transposed = op->kind == FNR_OP_CONVT;
    const fnr_shape *fine = &p->values[transposed ? op->out : op->in[0]].shape, *coarse = &p->values[transposed ? op->in[0] : op->out].shape;
    fnr_cu_conv_key k;
    memset(&k, 0, sizeof k); /* padding too: keys are compared as bytes */
    k.pass = pass;
    k.io = k.result = p->backend->type;
    k.spatial = p->input.spatial;
    k.n = fine->n;
    k.fine_c = fine->c;
    k.coarse_c = coarse->c;
    const int fine_extent[3] = {fine->d, fine->h, fine->w}, coarse_extent[3] = {coarse->d, coarse->h, coarse->w};
    memcpy(k.fine, fine_extent, sizeof k.fine);
    memcpy(k.coarse, coarse_extent, sizeof k.coarse);
    k.kernel = op->kernel;
    k.stride = op->stride;
    k.pad = op->pad;
    k.exact = p->backend->exact;
    return k;
}

typedef struct {
    fnr_program *program;
    fnr_cu_conv *conv;
} conv_job;

static bool make_plans(void *ctx, int rank, fnr_error *err)
{
    const conv_job *j = ctx;
    const fnr_cu_target target = {.handle = j->program->backend->gpus[rank].cudnn};
    fnr_cu_plans *plans = &j->conv->plans[rank];
    fnr_error failure = {0};
    if (fnr_cu_plans_make(plans, &target, &j->conv->key, CANDIDATES, MAX_WORKSPACE, &failure)) {
        return true;
    }
    fnr_cu_plans_free(plans);
    return failure.code == FNR_E_UNSUPPORTED || fnr_fail(err, failure.code, "%s", failure.message);
}

static bool has_plans(const fnr_program *p, const fnr_cu_conv *c)
{
    bool all = true;
    for (int r = 0; r < p->backend->n_gpus; r++) {
        all = all && c->plans[r].count > 0;
    }
    return all;
}

static bool choose(fnr_program *p, fnr_cu_conv *c, const fnr_cu_conv_key *key, fnr_error *err)
{
    c->key = *key;
    c->plans = fnr_calloc((size_t)p->backend->n_gpus, sizeof *c->plans, "plans of a convolution", err);
    conv_job job = {.program = p, .conv = c};
    if (!c->plans || !fnr_cu_team_run(p->backend->team, make_plans, &job, err)) {
        return false;
    }
    for (int r = 0; r < p->backend->n_gpus; r++) {
        for (int i = 0; i < c->plans[r].count; i++) {
            const size_t bytes = c->plans[r].workspace[i];
            p->workspace = bytes > p->workspace ? bytes : p->workspace;
        }
    }
    return true;
}

/* The pass that computes the operation's output, with bias and ReLU in the same kernel where cuDNN can. */
static bool choose_forward(fnr_program *p, fnr_cu_step *s, fnr_error *err)
{
    fnr_cu_conv_key key = key_of(p, s, s->op->kind == FNR_OP_CONVT ? FNR_CU_DATA : FNR_CU_FORWARD);
    if (!fnr_cu_training(p)) {
        key.bias = 1;
        key.relu = s->fused >= 0 && p->graph->ops[s->fused].relu;
        if (!choose(p, &s->forward, &key, err)) {
            return false;
        }
        if (has_plans(p, &s->forward)) {
            return true;
        }
        fnr_cu_conv_free(&s->forward, p->backend->n_gpus);
        key.bias = key.relu = 0;
    }
    s->bias_apart = true;
    return choose(p, &s->forward, &key, err);
}

bool fnr_cu_choose_plans(fnr_program *p, fnr_error *err)
{
    for (int i = 0; i < p->n_steps; i++) {
        fnr_cu_step *s = &p->steps[i];
        if (s->kind != FNR_CU_STEP_CONV) {
            continue;
        }
        if (!choose_forward(p, s, err)) {
            return false;
        }
        if (fnr_cu_training(p)) {
            const fnr_cu_conv_key data = key_of(p, s, s->op->kind == FNR_OP_CONVT ? FNR_CU_FORWARD : FNR_CU_DATA);
            const fnr_cu_conv_key filter = key_of(p, s, FNR_CU_FILTER);
            if (!choose(p, &s->data, &data, err) || !choose(p, &s->filter, &filter, err)) {
                return false;
            }
        }
    }
    return true;
}

void fnr_cu_conv_free(fnr_cu_conv *c, int ranks)
{
    for (int r = 0; c->plans && r < ranks; r++) {
        fnr_cu_plans_free(&c->plans[r]);
    }
    free(c->plans);
    c->plans = NULL;
}

/* ---- running --------------------------------------------------------------------------------------------------------------- */

static fnr_cu_direct direct_of(const fnr_cu_conv_key *k, const fnr_cu_conv_data *data)
{
    fnr_cu_direct d = {.fine = data->fine,
                       .coarse = data->coarse,
                       .weight = data->weight,
                       .io = (int)k->io,
                       .result = (int)k->result,
                       .bias = data->bias,
                       .n = k->n,
                       .fine_c = k->fine_c,
                       .coarse_c = k->coarse_c,
                       .relu = k->relu,
                       .fine_d = k->fine[0],
                       .fine_h = k->fine[1],
                       .fine_w = k->fine[2],
                       .coarse_d = k->coarse[0],
                       .coarse_h = k->coarse[1],
                       .coarse_w = k->coarse[2]};
    for (int axis = 0; axis < 3; axis++) {
        const bool flat = axis == 0 && k->spatial == 2;
        d.kernel[axis] = flat ? 1 : k->kernel;
        d.stride[axis] = flat ? 1 : k->stride;
        d.pad[axis] = flat ? 0 : k->pad;
    }
    return d;
}

bool fnr_cu_conv_run(const fnr_program *p, int rank, const fnr_cu_conv *c, const fnr_cu_conv_data *data, fnr_error *err)
{
    const fnr_cu_gpu *gpu = &p->backend->gpus[rank];
    fnr_cu_conv_data all = *data;
    all.workspace = p->ranks[rank].workspace;
    all.bias = c->key.bias ? data->bias : NULL;
    if (c->plans[rank].count > 0) {
        return fnr_cu_plan_run(gpu->cudnn, c->plans[rank].plans[0], &c->key, &all, err);
    }
    const fnr_cu_direct d = direct_of(&c->key, &all);
    const cudaError_t status = c->key.pass == FNR_CU_FORWARD ? fnr_cu_launch_direct_forward(&d, gpu->stream)
                               : c->key.pass == FNR_CU_DATA  ? fnr_cu_launch_direct_data(&d, gpu->stream)
                                                             : fnr_cu_launch_direct_filter(&d, gpu->stream);
    return fnr_cu_ok(status, "a convolution by plain loops", err);
}

/* ---- by the clock ---------------------------------------------------------------------------------------------------------- */

typedef struct {
    const fnr_program *program;
    int rank;
    cudaEvent_t begin, end;
} stopwatch;

/* Milliseconds of the fastest of a few runs; a plan that fails is infinitely slow. */
static bool time_plan(const stopwatch *w, const fnr_cu_conv *c, int plan, const fnr_cu_conv_data *data, float *ms, fnr_error *err)
{
    const fnr_cu_gpu *gpu = &w->program->backend->gpus[w->rank];
    *ms = 1e30f;
    for (int i = 0; i <= ROUNDS; i++) { /* the first one warms up */
        float now = 0;
        if (!fnr_cu_ok(cudaEventRecord(w->begin, gpu->stream), "timing a convolution", err)) {
            return false;
        }
        if (!fnr_cu_plan_run(gpu->cudnn, c->plans[w->rank].plans[plan], &c->key, data, NULL)) {
            (void)cudaGetLastError();
            return true;
        }
        if (!fnr_cu_ok(cudaEventRecord(w->end, gpu->stream), "timing a convolution", err) ||
            !fnr_cu_ok(cudaEventSynchronize(w->end), "timing a convolution", err) ||
            !fnr_cu_ok(cudaEventElapsedTime(&now, w->begin, w->end), "timing a convolution", err)) {
            return false;
        }
        *ms = i > 0 && now < *ms ? now : *ms;
    }
    return true;
}

static bool tune_conv(const stopwatch *w, fnr_cu_conv *c, const fnr_cu_conv_data *data, fnr_error *err)
{
    if (!c->plans) {
        return true;
    }
    fnr_cu_plans *plans = &c->plans[w->rank];
    fnr_cu_conv_data all = *data;
    all.workspace = w->program->ranks[w->rank].workspace;
    const fnr_cu_gpu *gpus = w->program->backend->gpus;
    const bool follows = w->rank > 0 && plans->count == c->offered && strcmp(gpus[w->rank].name, gpus[0].name) == 0;
    int best = follows ? c->kept : 0;
    float best_ms = 1e30f;
    for (int i = 0; !follows && i < plans->count && plans->count > 1; i++) {
        float ms;
        if (!time_plan(w, c, i, &all, &ms, err)) {
            return false;
        }
        if (ms < best_ms) {
            best_ms = ms;
            best = i;
        }
    }
    if (w->rank == 0) {
        c->kept = best;
        c->offered = plans->count;
    }
    if (plans->count > 0) {
        fnr_cu_plans_keep(plans, best);
    }
    return true;
}

/* Any memory of the right size will do: what stands in it does not matter for time. */
static bool tune_step(const stopwatch *w, fnr_cu_step *s, fnr_error *err)
{
    const fnr_program *p = w->program;
    const bool transposed = s->op->kind == FNR_OP_CONVT;
    const fnr_cu_value *in = &p->values[s->op->in[0]], *out = &p->values[s->out];
    void *x = fnr_cu_at(p, w->rank, in->home, in->type).data, *y = fnr_cu_at(p, w->rank, out->home, out->type).data;
    void *dx = fnr_cu_at(p, w->rank, s->dx, in->type).data, *dy = fnr_cu_at(p, w->rank, s->dy, out->type).data;
    void *weights = s->weights >= 0 ? fnr_cu_buffer_at(p, w->rank, s->weights) : p->state->ranks[w->rank].values + p->state->offsets[s->op->weight];
    void *dw = p->backend->type == FNR_CU_BF16 ? fnr_cu_buffer_at(p, w->rank, p->low_grads)
               : fnr_cu_training(p)            ? (void *)fnr_cu_param_grad(p, w->rank, s->op->weight)
                                               : NULL;
    const fnr_cu_conv_data forward = {.fine = transposed ? y : x, .coarse = transposed ? x : y, .weight = weights,
                                      .bias = s->biases >= 0 ? fnr_cu_buffer_at(p, w->rank, s->biases) : NULL};
    const fnr_cu_conv_data data = {.fine = transposed ? dy : dx, .coarse = transposed ? dx : dy, .weight = weights};
    const fnr_cu_conv_data filter = {.fine = transposed ? dy : x, .coarse = transposed ? x : dy, .weight = dw};
    return tune_conv(w, &s->forward, &forward, err) && tune_conv(w, &s->data, &data, err) && tune_conv(w, &s->filter, &filter, err);
}

static bool tune_rank(fnr_program *p, int rank, fnr_error *err)
{
    stopwatch w = {.program = p, .rank = rank};
    bool ok = fnr_cu_ok(cudaEventCreate(&w.begin), "timing convolutions", err) && fnr_cu_ok(cudaEventCreate(&w.end), "timing convolutions", err);
    for (int i = 0; ok && i < p->n_steps; i++) {
        ok = p->steps[i].kind != FNR_CU_STEP_CONV || tune_step(&w, &p->steps[i], err);
    }
    if (w.begin) {
        (void)cudaEventDestroy(w.begin);
    }
    if (w.end) {
        (void)cudaEventDestroy(w.end);
    }
    return ok;
}

static bool tune_first(void *ctx, int rank, fnr_error *err)
{
    return rank > 0 || tune_rank(ctx, rank, err);
}

static bool tune_others(void *ctx, int rank, fnr_error *err)
{
    return rank == 0 || tune_rank(ctx, rank, err);
}

/* The clock decides on the first GPU; the others, which are offered the same, take the same, so that all compute the same bits. */
bool fnr_cu_tune(fnr_program *p, fnr_error *err)
{
    return fnr_cu_team_run(p->backend->team, tune_first, p, err) && fnr_cu_team_run(p->backend->team, tune_others, p, err);
}
