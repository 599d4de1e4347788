#include "net/cuda/flow.h"

#include <stdlib.h>

#include "src/core/mem.h"

/* Three streams of one GPU: tiles come in on one, are computed on the GPU's own, and leave on a third, so that both copies go on
 * beside the computation of another slot's tile. */
typedef struct {
    float *in, *out;         /* page-locked host memory */
    float *gpu_in, *gpu_out; /* planes, as the host has them */
    cudaEvent_t arrived, computed, left;
} flow_slot;

typedef struct {
    cudaStream_t in, out;
    flow_slot slots[FNR_FLOW_SLOTS];
    uint64_t version; /* of the state when this GPU's weights were folded; 0 = never */
} flow_lane;

struct fnr_flow {
    fnr_program *program;
    size_t in_bytes, out_bytes;
    flow_lane lanes[FNR_CU_MAX_GPUS];
};

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

static bool open_slot(const fnr_flow *f, flow_slot *s, fnr_error *err)
{
    static const char what[] = "memory for tiles on their way", events[] = "events for tiles on their way";
    return fnr_cu_ok(cudaMalloc((void **)&s->gpu_in, f->in_bytes), what, err) && fnr_cu_ok(cudaMalloc((void **)&s->gpu_out, f->out_bytes), what, err) &&
           fnr_cu_ok(cudaHostAlloc((void **)&s->in, f->in_bytes, cudaHostAllocDefault), "page-locked memory for tiles", err) &&
           fnr_cu_ok(cudaHostAlloc((void **)&s->out, f->out_bytes, cudaHostAllocDefault), "page-locked memory for tiles", err) &&
           fnr_cu_ok(cudaEventCreateWithFlags(&s->arrived, cudaEventDisableTiming), events, err) &&
           fnr_cu_ok(cudaEventCreateWithFlags(&s->computed, cudaEventDisableTiming), events, err) &&
           fnr_cu_ok(cudaEventCreateWithFlags(&s->left, cudaEventDisableTiming), events, err);
}

static bool open_lane(void *ctx, int rank, fnr_error *err)
{
    fnr_flow *f = ctx;
    flow_lane *l = &f->lanes[rank];
    bool ok = fnr_cu_ok(cudaStreamCreateWithFlags(&l->in, cudaStreamNonBlocking), "creating a stream", err) &&
              fnr_cu_ok(cudaStreamCreateWithFlags(&l->out, cudaStreamNonBlocking), "creating a stream", err);
    for (int i = 0; ok && i < FNR_FLOW_SLOTS; i++) {
        ok = open_slot(f, &l->slots[i], err);
    }
    return ok;
}

static void close_slot(flow_slot *s)
{
    cudaEvent_t const events[] = {s->arrived, s->computed, s->left};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        if (events[i]) {
            (void)cudaEventDestroy(events[i]);
        }
    }
    (void)cudaFree(s->gpu_in);
    (void)cudaFree(s->gpu_out);
    (void)cudaFreeHost(s->in);
    (void)cudaFreeHost(s->out);
}

static bool close_lane(void *ctx, int rank, fnr_error *err)
{
    fnr_flow *f = ctx;
    flow_lane *l = &f->lanes[rank];
    cudaStream_t const own[] = {l->in, l->out};
    (void)err;
    (void)cudaStreamSynchronize(f->program->backend->gpus[rank].stream);
    for (int i = 0; i < 2; i++) {
        if (own[i]) {
            (void)cudaStreamSynchronize(own[i]);
            (void)cudaStreamDestroy(own[i]);
        }
    }
    for (int i = 0; i < FNR_FLOW_SLOTS; i++) {
        close_slot(&l->slots[i]);
    }
    return true;
}

void fnr_cu_flow_free(fnr_flow *f)
{
    if (f) {
        (void)fnr_cu_team_run(f->program->backend->team, close_lane, f, NULL);
        free(f);
    }
}

bool fnr_cu_flow_new(fnr_program *p, fnr_flow **out, fnr_error *err)
{
    if (fnr_cu_training(p) || p->input.n != 1) {
        return fnr_fail(err, FNR_E_INTERNAL, "tiles flow through an inference program of one sample");
    }
    fnr_flow *f = fnr_calloc(1, sizeof *f, "tiles on their way", err);
    if (!f) {
        return false;
    }
    f->program = p;
    f->in_bytes = fnr_shape_count(&p->values[p->graph->input].shape) * sizeof(float);
    f->out_bytes = fnr_shape_count(&p->values[p->graph->output].shape) * sizeof(float);
    if (!fnr_cu_team_run(p->backend->team, open_lane, f, err)) {
        fnr_cu_flow_free(f);
        return false;
    }
    *out = f;
    return true;
}

/* ---- one tile --------------------------------------------------------------------------------------------------------------- */

void fnr_cu_flow_ends(fnr_flow *f, int lane, int slot, float **in, const float **out)
{
    const flow_slot *s = &f->lanes[lane].slots[slot];
    *in = s->in;
    *out = s->out;
}

/* What is queued on `then` from here on waits for what is queued on `first`. */
static bool follow(cudaStream_t first, cudaEvent_t event, cudaStream_t then, fnr_error *err)
{
    return fnr_cu_ok(cudaEventRecord(event, first), "queueing a tile", err) && fnr_cu_ok(cudaStreamWaitEvent(then, event, 0), "queueing a tile", err);
}

static bool fold_once(fnr_flow *f, int lane, fnr_error *err)
{
    const uint64_t now = f->program->state->version;
    if (f->lanes[lane].version != now) {
        if (!fnr_cu_fold_weights(f->program, lane, err)) {
            return false;
        }
        f->lanes[lane].version = now;
    }
    return true;
}

/* The slot is free: its last output has left, so its memory on the GPU may be written again. */
bool fnr_cu_flow_push(fnr_flow *f, int lane, int slot, fnr_error *err)
{
    const fnr_cu_gpu *gpu = &f->program->backend->gpus[lane];
    const flow_lane *l = &f->lanes[lane];
    const flow_slot *s = &l->slots[slot];
    return fnr_cu_ok(cudaSetDevice(gpu->ordinal), "choosing the GPU", err) &&
           fnr_cu_ok(cudaMemcpyAsync(s->gpu_in, s->in, f->in_bytes, cudaMemcpyHostToDevice, l->in), "a tile to the GPU", err) &&
           follow(l->in, s->arrived, gpu->stream, err) && fold_once(f, lane, err) &&
           fnr_cu_forward_between(f->program, lane, s->gpu_in, s->gpu_out, err) && follow(gpu->stream, s->computed, l->out, err) &&
           fnr_cu_ok(cudaMemcpyAsync(s->out, s->gpu_out, f->out_bytes, cudaMemcpyDeviceToHost, l->out), "a tile from the GPU", err) &&
           fnr_cu_ok(cudaEventRecord(s->left, l->out), "queueing a tile", err);
}

bool fnr_cu_flow_take(fnr_flow *f, int lane, int slot, bool wait, bool *done, fnr_error *err)
{
    const flow_slot *s = &f->lanes[lane].slots[slot];
    const cudaError_t status = wait ? cudaEventSynchronize(s->left) : cudaEventQuery(s->left);
    *done = status == cudaSuccess;
    if (status == cudaErrorNotReady) {
        (void)cudaGetLastError(); /* or the next launch takes it for its own */
        return true;
    }
    return fnr_cu_ok(status, "predicting a tile", err);
}
