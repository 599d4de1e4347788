#include "net/cuda/feed.h"

#include <stdlib.h>
#include <string.h>

#include "net/cuda/entry.h"
#include "net/cuda/state.h"
#include "src/core/mem.h"

/* What a step needs from the host, and what it gives back; pinned, so that copies do not hold anybody up. */
typedef struct {
    fnr_cu_step_numbers numbers;
    double loss;
    fnr_patch_order orders[]; /* of one GPU's share */
} slip;

typedef struct {
    float *pixels; /* of all images */
    fnr_cu_image *images;
    fnr_patch_order *orders;
    float *scratch;
    slip *slips[FNR_FEED_AHEAD];
    cudaEvent_t done[FNR_FEED_AHEAD];
    cudaGraphExec_t step; /* the captured step; NULL when it is queued piece by piece */
} feed_rank;

struct fnr_feed {
    fnr_program *program;
    const fnr_feed_image *given; /* while it is being made */
    size_t n_images, pixels;     /* floats of all images */
    fnr_cu_image *table;         /* n_images */
    feed_rank ranks[FNR_CU_MAX_GPUS];
    const fnr_patch_order *batch; /* of the step that is being queued */
    fnr_cu_step_numbers numbers;
    long queued, taken; /* steps */
};

static cudaStream_t stream_of(const fnr_feed *f, int rank)
{
    return f->program->backend->gpus[rank].stream;
}

static size_t image_pixels(const fnr_feed_image *image)
{
    return (size_t)image->d * (size_t)image->h * (size_t)image->w;
}

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

/* Once; CUDA stages what comes from ordinary memory by itself. */
static bool upload_images(const fnr_feed *f, feed_rank *r, cudaStream_t stream, fnr_error *err)
{
    static const char what[] = "training images to the GPU";
    const fnr_program *p = f->program;
    const size_t in = (size_t)p->values[p->graph->input].shape.c, out = (size_t)p->values[p->graph->output].shape.c;
    for (size_t i = 0; i < f->n_images; i++) {
        const size_t pixels = image_pixels(&f->given[i]);
        if (!fnr_cu_ok(cudaMemcpyAsync(r->pixels + f->table[i].signal, f->given[i].signal, in * pixels * sizeof(float), cudaMemcpyHostToDevice, stream),
                       what, err) ||
            !fnr_cu_ok(cudaMemcpyAsync(r->pixels + f->table[i].target, f->given[i].target, out * pixels * sizeof(float), cudaMemcpyHostToDevice, stream),
                       what, err)) {
            return false;
        }
    }
    return fnr_cu_ok(cudaMemcpyAsync(r->images, f->table, f->n_images * sizeof *f->table, cudaMemcpyHostToDevice, stream), what, err) &&
           fnr_cu_ok(cudaStreamSynchronize(stream), what, err);
}

static bool allocate(void *ctx, int rank, fnr_error *err)
{
    static const char what[] = "memory for training images";
    fnr_feed *f = ctx;
    feed_rank *r = &f->ranks[rank];
    const fnr_program *p = f->program;
    const size_t share = (size_t)p->share, input = fnr_shape_count(&p->values[p->graph->input].shape);
    bool ok = fnr_cu_ok(cudaMalloc((void **)&r->pixels, f->pixels * sizeof *r->pixels), what, err) &&
              fnr_cu_ok(cudaMalloc((void **)&r->images, f->n_images * sizeof *r->images), what, err) &&
              fnr_cu_ok(cudaMalloc((void **)&r->orders, share * sizeof *r->orders), what, err) &&
              fnr_cu_ok(cudaMalloc((void **)&r->scratch, input * sizeof *r->scratch), what, err);
    for (int i = 0; ok && i < FNR_FEED_AHEAD; i++) {
        ok = fnr_cu_ok(cudaHostAlloc((void **)&r->slips[i], sizeof **r->slips + share * sizeof *r->orders, cudaHostAllocDefault), what, err) &&
             fnr_cu_ok(cudaEventCreateWithFlags(&r->done[i], cudaEventDisableTiming), what, err);
    }
    return ok && fnr_cu_ok(cudaMemsetAsync(p->state->ranks[rank].broken, 0, sizeof(int), stream_of(f, rank)), what, err) &&
           upload_images(f, r, stream_of(f, rank), err);
}

static bool release(void *ctx, int rank, fnr_error *err)
{
    fnr_feed *f = ctx;
    feed_rank *r = &f->ranks[rank];
    (void)err;
    (void)cudaStreamSynchronize(stream_of(f, rank));
    if (r->step) {
        (void)cudaGraphExecDestroy(r->step);
    }
    for (int i = 0; i < FNR_FEED_AHEAD; i++) {
        (void)cudaFreeHost(r->slips[i]);
        if (r->done[i]) {
            (void)cudaEventDestroy(r->done[i]);
        }
    }
    (void)cudaFree(r->pixels);
    (void)cudaFree(r->images);
    (void)cudaFree(r->orders);
    (void)cudaFree(r->scratch);
    return true;
}

void fnr_cu_feed_free(fnr_feed *f)
{
    if (f) {
        (void)fnr_cu_team_run(f->program->backend->team, release, f, NULL);
        free(f->table);
        free(f);
    }
}

bool fnr_cu_feed_new(fnr_program *p, const fnr_feed_image *images, size_t n, fnr_feed **out, fnr_error *err)
{
    if (!fnr_cu_training(p) || n == 0) {
        return fnr_fail(err, FNR_E_INTERNAL, "a feed needs a training program and images");
    }
    fnr_feed *f = fnr_calloc(1, sizeof *f, "training feed", err);
    if (!f) {
        return false;
    }
    const size_t in = (size_t)p->values[p->graph->input].shape.c, per_pixel = in + (size_t)p->values[p->graph->output].shape.c;
    f->program = p;
    f->given = images;
    f->n_images = n;
    f->table = fnr_calloc(n, sizeof *f->table, "training feed", err);
    for (size_t i = 0; f->table && i < n; i++) {
        const size_t pixels = image_pixels(&images[i]);
        f->table[i] = (fnr_cu_image){.signal = f->pixels, .target = f->pixels + in * pixels, .d = images[i].d, .h = images[i].h, .w = images[i].w};
        f->pixels += per_pixel * pixels;
    }
    if (!f->table || !fnr_cu_team_run(p->backend->team, allocate, f, err)) {
        fnr_cu_feed_free(f);
        return false;
    }
    f->given = NULL;
    *out = f;
    return true;
}

/* ---- a step ---------------------------------------------------------------------------------------------------------------- */

/* Everything that is the same in every step: from orders and numbers in the GPU's memory to new parameters. */
static bool queue_step(fnr_feed *f, int rank, fnr_error *err)
{
    fnr_program *p = f->program;
    const feed_rank *r = &f->ranks[rank];
    const fnr_shape *in = &p->values[p->graph->input].shape;
    const fnr_cu_cutter cutter = {.orders = r->orders,
                                  .images = r->images,
                                  .pixels = r->pixels,
                                  .x = fnr_cu_buffer_at(p, rank, p->planes_in),
                                  .y = fnr_cu_buffer_at(p, rank, p->planes_out),
                                  .scratch = r->scratch,
                                  .n = in->n,
                                  .in_channels = in->c,
                                  .out_channels = p->values[p->graph->output].shape.c,
                                  .d = in->d,
                                  .h = in->h,
                                  .w = in->w,
                                  .blurs = 1};
    return fnr_cu_ok(fnr_cu_launch_cutter(&cutter, stream_of(f, rank)), "cutting patches", err) && fnr_cu_forward(p, rank, err) &&
           fnr_cu_queue_mse(p, rank, err) && fnr_cu_backward(p, rank, false, err) && fnr_cu_queue_adam(p->state, rank, err);
}

/* Records the step once; where that does not work, steps go on being queued piece by piece. */
static void capture(fnr_feed *f, int rank)
{
    feed_rank *r = &f->ranks[rank];
    const cudaStream_t stream = stream_of(f, rank);
    cudaGraph_t graph = NULL;
    if (cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess) {
        const bool queued = queue_step(f, rank, NULL);
        const bool recorded = cudaStreamEndCapture(stream, &graph) == cudaSuccess && queued;
        if (!recorded || cudaGraphInstantiate(&r->step, graph, 0) != cudaSuccess) {
            r->step = NULL;
        }
        if (graph) {
            (void)cudaGraphDestroy(graph);
        }
    }
    (void)cudaGetLastError();
}

static bool step_job(void *ctx, int rank, fnr_error *err)
{
    static const char what[] = "queueing a training step";
    fnr_feed *f = ctx;
    feed_rank *r = &f->ranks[rank];
    const fnr_program *p = f->program;
    const cudaStream_t stream = stream_of(f, rank);
    const size_t share = (size_t)p->share;
    slip *s = r->slips[f->queued % FNR_FEED_AHEAD];
    s->numbers = f->numbers;
    memcpy(s->orders, f->batch + (size_t)rank * share, share * sizeof *s->orders);
    if (!fnr_cu_ok(cudaMemcpyAsync(r->orders, s->orders, share * sizeof *s->orders, cudaMemcpyHostToDevice, stream), what, err) ||
        !fnr_cu_ok(cudaMemcpyAsync(p->state->ranks[rank].numbers, &s->numbers, sizeof s->numbers, cudaMemcpyHostToDevice, stream), what, err)) {
        return false;
    }
    if (f->queued == 1) { /* the first step has loaded every kernel, which a recording must not do */
        capture(f, rank);
    }
    const bool ok = r->step ? fnr_cu_ok(cudaGraphLaunch(r->step, stream), what, err) : queue_step(f, rank, err);
    return ok && fnr_cu_ok(cudaMemcpyAsync(&s->loss, p->ranks[rank].loss, sizeof s->loss, cudaMemcpyDeviceToHost, stream), what, err) &&
           fnr_cu_ok(cudaEventRecord(r->done[f->queued % FNR_FEED_AHEAD], stream), what, err);
}

bool fnr_cu_feed_step(fnr_feed *f, const fnr_patch_order *orders, const fnr_adam *hyper, long step, fnr_error *err)
{
    fnr_program *p = f->program;
    if (step < 1 || f->queued - f->taken >= FNR_FEED_AHEAD) {
        return fnr_fail(err, FNR_E_INTERNAL, "training steps are counted from 1, and at most %d are queued", FNR_FEED_AHEAD);
    }
    f->batch = orders;
    f->numbers = fnr_cu_numbers_of(hyper, step);
    p->state->version++;
    p->forward_done = p->grad_given = false;
    const bool ok = fnr_cu_team_run(p->backend->team, step_job, f, err);
    f->queued += ok;
    return ok;
}

typedef struct {
    fnr_feed *feed;
    bool wait;
    double *losses;
    int *count;
} losses_job;

/* Rank 0's event is enough: the loss is a sum over all ranks, and slips are used again only after it was taken. */
static bool take_losses(void *ctx, int rank, fnr_error *err)
{
    const losses_job *j = ctx;
    fnr_feed *f = j->feed;
    feed_rank *r = &f->ranks[rank];
    for (long k = f->taken; k < f->queued; k++) {
        const int at = (int)(k % FNR_FEED_AHEAD);
        const cudaError_t status = j->wait || rank > 0 ? cudaEventSynchronize(r->done[at]) : cudaEventQuery(r->done[at]);
        if (status == cudaErrorNotReady) {
            (void)cudaGetLastError();
            break;
        }
        if (!fnr_cu_ok(status, "waiting for training steps", err)) {
            return false;
        }
        if (rank == 0) {
            j->losses[(*j->count)++] = r->slips[at]->loss;
        }
    }
    return true;
}

bool fnr_cu_feed_losses(fnr_feed *f, bool wait, double *losses, int *count, fnr_error *err)
{
    losses_job job = {.feed = f, .wait = wait || f->program->backend->n_gpus > 1, .losses = losses, .count = count};
    *count = 0;
    const bool ok = fnr_cu_team_run(f->program->backend->team, take_losses, &job, err);
    f->taken += *count;
    return ok;
}
