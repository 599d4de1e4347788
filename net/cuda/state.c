#include "net/cuda/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"

#define ALIGN_FLOATS ((size_t)64) /* 128 bytes of bfloat16: more than cuDNN asks for */

/* Trained parameters first: the optimiser and the sums over GPUs then work on one run of memory. */
static bool lay_out(fnr_state *s, fnr_error *err)
{
    const fnr_graph *g = s->graph;
    s->offsets = fnr_calloc((size_t)g->n_params + 1, sizeof *s->offsets, "network state", err);
    if (!s->offsets) {
        return false;
    }
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < g->n_params; i++) {
            if (fnr_role_is_trained(g->params[i].role) == (pass == 0)) {
                s->offsets[i] = s->total;
                s->total += (g->params[i].count + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
            }
        }
        s->trained = pass == 0 ? s->total : s->trained;
    }
    s->total = s->total ? s->total : ALIGN_FLOATS;
    return true;
}

static bool zeros(float **out, size_t count, cudaStream_t stream, fnr_error *err)
{
    static const char what[] = "memory for the network's parameters";
    return fnr_cu_ok(cudaMalloc((void **)out, count * sizeof **out), what, err) &&
           fnr_cu_ok(cudaMemsetAsync(*out, 0, count * sizeof **out, stream), what, err);
}

static bool allocate(void *ctx, int rank, fnr_error *err)
{
    fnr_state *s = ctx;
    fnr_cu_params *p = &s->ranks[rank];
    const cudaStream_t stream = s->backend->gpus[rank].stream;
    static const char what[] = "memory for the network's parameters";
    if (!zeros(&p->values, s->total, stream, err)) {
        return false;
    }
    if (s->training && !(zeros(&p->grads, s->total, stream, err) && zeros(&p->moment1, s->total, stream, err) &&
                         zeros(&p->moment2, s->total, stream, err))) {
        return false;
    }
    if (s->training && s->backend->type == FNR_CU_BF16 &&
        !(fnr_cu_ok(cudaMalloc((void **)&p->low, s->total * sizeof *p->low), what, err) &&
          fnr_cu_ok(cudaMemsetAsync(p->low, 0, s->total * sizeof *p->low, stream), what, err))) {
        return false;
    }
    return fnr_cu_ok(cudaMalloc((void **)&p->numbers, sizeof *p->numbers), what, err) &&
           fnr_cu_ok(cudaMalloc((void **)&p->broken, sizeof *p->broken), what, err) &&
           fnr_cu_ok(cudaMemsetAsync(p->broken, 0, sizeof *p->broken, stream), what, err) &&
           fnr_cu_ok(cudaStreamSynchronize(stream), what, err);
}

static bool release(void *ctx, int rank, fnr_error *err)
{
    fnr_state *s = ctx;
    fnr_cu_params *p = &s->ranks[rank];
    (void)err;
    (void)cudaStreamSynchronize(s->backend->gpus[rank].stream);
    void *const all[] = {p->values, p->grads, p->moment1, p->moment2, p->low, p->numbers, p->broken};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        (void)cudaFree(all[i]);
    }
    return true;
}

bool fnr_cu_state_new(fnr_backend *b, const fnr_graph *g, bool training, fnr_state **out, fnr_error *err)
{
    fnr_state *s = fnr_calloc(1, sizeof *s, "network state", err);
    if (!s) {
        return false;
    }
    s->backend = b;
    s->graph = g;
    s->training = training;
    s->version = 1;
    if (!lay_out(s, err) || !fnr_cu_team_run(b->team, allocate, s, err)) {
        fnr_cu_state_free(s);
        return false;
    }
    *out = s;
    return true;
}

void fnr_cu_state_free(fnr_state *s)
{
    if (s) {
        (void)fnr_cu_team_run(s->backend->team, release, s, NULL);
        free(s->offsets);
        free(s);
    }
}

/* ---- in and out ------------------------------------------------------------------------------------------------------------ */

/* Weights of convolutions stand channels-last on the GPU: (coarse, taps, fine) instead of (coarse, fine, taps). */
static void permute(const fnr_state *s, float *device_order, float *flat, bool to_device)
{
    const fnr_graph *g = s->graph;
    for (int i = 0; i < g->n_params; i++) {
        const fnr_param *p = &g->params[i];
        float *there = device_order + s->offsets[i], *here = flat + p->offset;
        const size_t coarse = p->rank > 2 ? (size_t)p->dims[0] : 1, fine = p->rank > 2 ? (size_t)p->dims[1] : 1, taps = p->count / (coarse * fine);
        for (size_t k = 0; k < p->count; k++) {
            const size_t a = k / (fine * taps), b = k / taps % fine, t = k % taps, at = (a * taps + t) * fine + b;
            if (to_device) {
                there[at] = here[k];
            } else {
                here[k] = there[at];
            }
        }
    }
}

static float *part_of(const fnr_state *s, int rank, fnr_state_part part)
{
    const fnr_cu_params *p = &s->ranks[rank];
    float *const parts[] = {p->values, p->grads, p->moment1, p->moment2};
    return parts[part];
}

static bool has_part(const fnr_state *s, fnr_state_part part, fnr_error *err)
{
    return part_of(s, 0, part) ||
           fnr_fail(err, FNR_E_INTERNAL, "network state: there are no gradients or moments, it was not made for training");
}

typedef struct {
    fnr_state *state;
    fnr_state_part part;
    float *host; /* device order */
} transfer;

static bool upload(void *ctx, int rank, fnr_error *err)
{
    const transfer *t = ctx;
    const fnr_state *s = t->state;
    const cudaStream_t stream = s->backend->gpus[rank].stream;
    static const char what[] = "writing parameters to the GPU";
    const fnr_cu_params *p = &s->ranks[rank];
    return fnr_cu_ok(cudaMemcpyAsync(part_of(s, rank, t->part), t->host, s->total * sizeof(float), cudaMemcpyHostToDevice, stream), what, err) &&
           (t->part != FNR_STATE_VALUES || !p->low || fnr_cu_ok(fnr_cu_launch_lower(p->values, p->low, s->total, stream), what, err)) &&
           fnr_cu_ok(cudaStreamSynchronize(stream), what, err);
}

/* All GPUs hold the same; rank 0's is read. */
static bool download(void *ctx, int rank, fnr_error *err)
{
    const transfer *t = ctx;
    const fnr_state *s = t->state;
    const cudaStream_t stream = s->backend->gpus[rank].stream;
    static const char what[] = "reading parameters from the GPU";
    return rank > 0 ||
           (fnr_cu_ok(cudaMemcpyAsync(t->host, part_of(s, 0, t->part), s->total * sizeof(float), cudaMemcpyDeviceToHost, stream), what, err) &&
            fnr_cu_ok(cudaStreamSynchronize(stream), what, err));
}

bool fnr_cu_state_write(fnr_state *s, fnr_state_part part, const float *flat, fnr_error *err)
{
    transfer t = {.state = s, .part = part};
    if (!has_part(s, part, err) || !(t.host = fnr_calloc(s->total, sizeof *t.host, "parameters on their way", err))) {
        return false;
    }
    permute(s, t.host, (float *)flat, true);
    const bool ok = fnr_cu_team_run(s->backend->team, upload, &t, err);
    free(t.host);
    s->version++;
    return ok;
}

bool fnr_cu_state_read(fnr_state *s, fnr_state_part part, float *flat, fnr_error *err)
{
    transfer t = {.state = s, .part = part};
    if (!has_part(s, part, err) || !(t.host = fnr_calloc(s->total, sizeof *t.host, "parameters on their way", err))) {
        return false;
    }
    const bool ok = fnr_cu_team_run(s->backend->team, download, &t, err);
    if (ok) {
        permute(s, t.host, flat, false);
    }
    free(t.host);
    return ok;
}

/* ---- Adam ------------------------------------------------------------------------------------------------------------------ */

fnr_cu_step_numbers fnr_cu_numbers_of(const fnr_adam *hyper, long step)
{
    return (fnr_cu_step_numbers){.beta1 = hyper->beta1,
                                 .beta2 = hyper->beta2,
                                 .eps = hyper->eps,
                                 .step_size = hyper->lr / (1 - pow(hyper->beta1, (double)step)),
                                 .root_scale = 1 / sqrt(1 - pow(hyper->beta2, (double)step))};
}

bool fnr_cu_queue_adam(const fnr_state *s, int rank, fnr_error *err)
{
    const fnr_cu_params *p = &s->ranks[rank];
    const fnr_cu_adam adam = {.values = p->values,
                              .grads = p->grads,
                              .moment1 = p->moment1,
                              .moment2 = p->moment2,
                              .low = p->low,
                              .count = s->trained,
                              .numbers = p->numbers,
                              .broken = p->broken};
    return fnr_cu_ok(fnr_cu_launch_adam(&adam, s->backend->gpus[rank].stream), "the optimiser's step", err);
}

typedef struct {
    fnr_state *state;
    fnr_cu_step_numbers numbers;
} adam_job;

static bool run_adam(void *ctx, int rank, fnr_error *err)
{
    const adam_job *j = ctx;
    const cudaStream_t stream = j->state->backend->gpus[rank].stream;
    return fnr_cu_ok(cudaMemcpyAsync(j->state->ranks[rank].numbers, &j->numbers, sizeof j->numbers, cudaMemcpyHostToDevice, stream),
                     "the optimiser's step", err) &&
           fnr_cu_queue_adam(j->state, rank, err) && fnr_cu_ok(cudaStreamSynchronize(stream), "the optimiser's step", err);
}

bool fnr_cu_state_adam(fnr_state *s, const fnr_adam *hyper, long step, fnr_error *err)
{
    if (!s->training || step < 1) {
        return fnr_fail(err, FNR_E_INTERNAL, "an Adam step needs a state made for training and a step number from 1");
    }
    adam_job job = {.state = s, .numbers = fnr_cu_numbers_of(hyper, step)};
    s->version++;
    return s->trained == 0 || fnr_cu_team_run(s->backend->team, run_adam, &job, err);
}
