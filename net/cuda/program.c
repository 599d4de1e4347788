#include "net/cuda/program.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/cuda/entry.h"
#include "src/core/mem.h"

enum { MSE_PARTS = 4 * FNR_CU_BLOCK };

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

static bool release(void *ctx, int rank, fnr_error *err)
{
    fnr_program *p = ctx;
    fnr_cu_rank *r = &p->ranks[rank];
    (void)err;
    (void)cudaStreamSynchronize(p->backend->gpus[rank].stream);
    (void)cudaFree(r->block);
    (void)cudaFree(r->workspace);
    (void)cudaFree(r->loss);
    (void)cudaFreeHost(r->host_loss);
    return true;
}

void fnr_cu_program_free(fnr_program *p)
{
    if (!p) {
        return;
    }
    (void)fnr_cu_team_run(p->backend->team, release, p, NULL);
    for (int i = 0; p->steps && i < p->n_steps; i++) {
        fnr_cu_conv_free(&p->steps[i].forward, p->backend->n_gpus);
        fnr_cu_conv_free(&p->steps[i].data, p->backend->n_gpus);
        fnr_cu_conv_free(&p->steps[i].filter, p->backend->n_gpus);
    }
    fnr_cu_plan_free(&p->plan);
    free(p->steps);
    free(p->values);
    free(p);
}

bool fnr_cu_program_new(fnr_backend *b, fnr_state *s, const fnr_shape *shape, fnr_mode mode, fnr_program **out, fnr_error *err)
{
    const fnr_graph *g = s->graph;
    if (mode == FNR_MODE_TRAIN && !s->training) {
        return fnr_fail(err, FNR_E_INTERNAL, "a training program needs a state made for training");
    }
    if (!fnr_graph_check(g, shape, mode == FNR_MODE_TRAIN, err)) {
        return false;
    }
    const bool shared = shape->n % b->n_gpus == 0;
    if (!shared && mode == FNR_MODE_TRAIN) {
        return fnr_fail(err, FNR_E_USAGE, "a batch of %d cannot be shared evenly by %d GPUs: choose train.batch or compute.gpus to fit", shape->n,
                        b->n_gpus);
    }
    if (mode == FNR_MODE_TRAIN && !fnr_cu_team_connect(b->team, err)) {
        return false;
    }
    fnr_program *p = fnr_calloc(1, sizeof *p, "program", err);
    if (!p) {
        return false;
    }
    p->backend = b;
    p->state = s;
    p->graph = g;
    p->mode = mode;
    p->input = *shape;
    p->n_ranks = shared ? b->n_gpus : 1;
    p->share = shape->n / p->n_ranks;
    p->n_steps = g->n_ops;
    p->values = fnr_calloc((size_t)g->n_values, sizeof *p->values, "values of a program", err);
    p->steps = p->values ? fnr_calloc((size_t)g->n_ops + 1, sizeof *p->steps, "steps of a program", err) : NULL;
    if (!p->steps || !fnr_cu_compile(p, err)) {
        fnr_cu_program_free(p);
        return false;
    }
    *out = p;
    return true;
}

size_t fnr_cu_program_bytes(const fnr_program *p)
{
    return p->plan.bytes + p->workspace;
}

/* ---- one pass at a time, as the table has it -------------------------------------------------------------------------------- */

typedef struct {
    fnr_program *program;
    const float *from; /* of the whole batch */
    float *to;
    bool flag;
} pass_job;

static size_t share_of(const fnr_program *p, int value)
{
    return fnr_shape_count(&p->values[value].shape);
}

static bool copy_in(const fnr_program *p, int rank, int buffer, const float *from, size_t count, fnr_error *err)
{
    return fnr_cu_ok(cudaMemcpyAsync(fnr_cu_buffer_at(p, rank, buffer), from + (size_t)rank * count, count * sizeof *from, cudaMemcpyHostToDevice,
                                     p->backend->gpus[rank].stream),
                     "copying to the GPU", err);
}

static bool copy_out(const fnr_program *p, int rank, int buffer, float *to, size_t count, fnr_error *err)
{
    return fnr_cu_ok(cudaMemcpyAsync(to + (size_t)rank * count, fnr_cu_buffer_at(p, rank, buffer), count * sizeof *to, cudaMemcpyDeviceToHost,
                                     p->backend->gpus[rank].stream),
                     "copying from the GPU", err);
}

static bool wait(const fnr_program *p, int rank, const char *what, fnr_error *err)
{
    return fnr_cu_ok(cudaStreamSynchronize(p->backend->gpus[rank].stream), what, err);
}

/* The output's planes, which inference has made already. */
static bool export_output(const fnr_program *p, int rank, fnr_error *err)
{
    const fnr_cu_value *out = &p->values[p->graph->output];
    const fnr_cu_planes leave = {.planes = fnr_cu_buffer_at(p, rank, p->planes_out),
                                 .rows = fnr_cu_at(p, rank, out->home, out->type),
                                 .channels = out->shape.c,
                                 .to_planes = 1,
                                 .samples = (size_t)out->shape.n,
                                 .pixels = out->rows / (size_t)out->shape.n};
    return !fnr_cu_training(p) || fnr_cu_ok(fnr_cu_launch_planes(&leave, p->backend->gpus[rank].stream), "the network's output", err);
}

static bool forward_job(void *ctx, int rank, fnr_error *err)
{
    const pass_job *j = ctx;
    fnr_program *p = j->program;
    if (rank >= p->n_ranks) {
        return true;
    }
    return copy_in(p, rank, p->planes_in, j->from, share_of(p, p->graph->input), err) && (!j->flag || fnr_cu_fold_weights(p, rank, err)) &&
           fnr_cu_forward(p, rank, err) &&
           (!j->to || (export_output(p, rank, err) && copy_out(p, rank, p->planes_out, j->to, share_of(p, p->graph->output), err))) &&
           wait(p, rank, "the forward pass", err);
}

bool fnr_cu_program_forward(fnr_program *p, const float *x, float *y, fnr_error *err)
{
    pass_job job = {.program = p, .from = x, .to = y, .flag = !fnr_cu_training(p) && p->version != p->state->version};
    p->grad_given = false;
    p->forward_done = fnr_cu_team_run(p->backend->team, forward_job, &job, err);
    if (p->forward_done) {
        p->version = p->state->version;
    }
    if (fnr_cu_training(p)) {
        p->state->version++; /* running statistics: inference programs fold them in */
    }
    return p->forward_done;
}

bool fnr_cu_queue_mse(const fnr_program *p, int rank, fnr_error *err)
{
    const fnr_cu_value *out = &p->values[p->graph->output];
    const fnr_cu_rank *r = &p->ranks[rank];
    const cudaStream_t stream = p->backend->gpus[rank].stream;
    int *broken = p->state->ranks[rank].broken;
    const size_t count = fnr_shape_count(&out->shape), blocks = (count + FNR_CU_BLOCK - 1) / FNR_CU_BLOCK;
    const fnr_cu_mse mse = {.y = fnr_cu_at(p, rank, out->home, out->type),
                            .dy = fnr_cu_at(p, rank, out->grads[0], out->type),
                            .target = fnr_cu_buffer_at(p, rank, p->planes_out),
                            .channels = out->shape.c,
                            .parts = (int)(blocks < MSE_PARTS ? blocks : MSE_PARTS),
                            .samples = (size_t)out->shape.n,
                            .pixels = out->rows / (size_t)out->shape.n,
                            .inverse_count = 1 / ((double)count * p->backend->n_gpus),
                            .partial = fnr_cu_buffer_at(p, rank, p->scratch),
                            .loss = r->loss,
                            .broken = broken};
    return fnr_cu_ok(fnr_cu_launch_mse(&mse, stream), "the loss", err) && fnr_cu_team_sum_doubles(p->backend->team, rank, r->loss, 1, err) &&
           (p->backend->n_gpus == 1 || fnr_cu_ok(fnr_cu_launch_check_loss(r->loss, broken, stream), "the loss", err));
}

static bool mse_job(void *ctx, int rank, fnr_error *err)
{
    const pass_job *j = ctx;
    fnr_program *p = j->program;
    const cudaStream_t stream = p->backend->gpus[rank].stream;
    fnr_cu_rank *r = &p->ranks[rank];
    return copy_in(p, rank, p->planes_out, j->from, share_of(p, p->graph->output), err) &&
           fnr_cu_ok(cudaMemsetAsync(p->state->ranks[rank].broken, 0, sizeof(int), stream), "the loss", err) && fnr_cu_queue_mse(p, rank, err) &&
           fnr_cu_ok(cudaMemcpyAsync(r->host_loss, r->loss, sizeof *r->loss, cudaMemcpyDeviceToHost, stream), "the loss", err) &&
           wait(p, rank, "the loss", err);
}

bool fnr_cu_program_mse(fnr_program *p, const float *target, double *loss, fnr_error *err)
{
    if (!fnr_cu_training(p) || !p->forward_done) {
        return fnr_fail(err, FNR_E_INTERNAL, "mse is asked for without a training forward pass");
    }
    pass_job job = {.program = p, .from = target};
    if (!fnr_cu_team_run(p->backend->team, mse_job, &job, err)) {
        return false;
    }
    const double value = *p->ranks[0].host_loss;
    if (!isfinite(value)) {
        return fnr_fail(err, FNR_E_NUMERIC, "the loss is not a finite number");
    }
    *loss = value;
    p->grad_given = true;
    return true;
}

static bool output_grad_job(void *ctx, int rank, fnr_error *err)
{
    const pass_job *j = ctx;
    fnr_program *p = j->program;
    const fnr_cu_value *out = &p->values[p->graph->output];
    const cudaStream_t stream = p->backend->gpus[rank].stream;
    const fnr_cu_planes enter = {.planes = fnr_cu_buffer_at(p, rank, p->planes_out),
                                 .rows = fnr_cu_at(p, rank, out->grads[0], out->type),
                                 .channels = out->shape.c,
                                 .samples = (size_t)out->shape.n,
                                 .pixels = out->rows / (size_t)out->shape.n};
    return copy_in(p, rank, p->planes_out, j->from, share_of(p, p->graph->output), err) &&
           fnr_cu_ok(cudaMemsetAsync(p->state->ranks[rank].broken, 0, sizeof(int), stream), "the output's gradient", err) &&
           fnr_cu_ok(fnr_cu_launch_planes(&enter, stream), "the output's gradient", err) && wait(p, rank, "the output's gradient", err);
}

bool fnr_cu_program_set_output_grad(fnr_program *p, const float *dy, fnr_error *err)
{
    if (!fnr_cu_training(p) || !p->forward_done) {
        return fnr_fail(err, FNR_E_INTERNAL, "an output gradient is given without a training forward pass");
    }
    pass_job job = {.program = p, .from = dy};
    p->grad_given = fnr_cu_team_run(p->backend->team, output_grad_job, &job, err);
    return p->grad_given;
}

static bool backward_job(void *ctx, int rank, fnr_error *err)
{
    const pass_job *j = ctx;
    fnr_program *p = j->program;
    return fnr_cu_backward(p, rank, j->to != NULL, err) &&
           (!j->to || copy_out(p, rank, p->planes_in, j->to, share_of(p, p->graph->input), err)) && wait(p, rank, "the backward pass", err);
}

/* Consumes what the forward pass left behind. */
bool fnr_cu_program_backward(fnr_program *p, float *dx, fnr_error *err)
{
    if (!p->grad_given) {
        return fnr_fail(err, FNR_E_INTERNAL, "backward needs a forward pass and the gradient of its output");
    }
    pass_job job = {.program = p, .to = dx};
    p->grad_given = p->forward_done = false;
    return fnr_cu_team_run(p->backend->team, backward_job, &job, err);
}
