/* Training steps and predictions on the GPU, as in the paper's recipes: bench_cuda [precision [seconds per case]].
 * Training is fed as `train` feeds it: images on the GPU, patches cut there, steps queued.  FLOP are counted as in bench_net. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/backend.h"
#include "net/sampler.h"
#include "net/step_queue.h"
#include "src/core/rng.h"
#include "src/core/timer.h"

enum { IMAGES = 20, SIDE = 1504, DEPTH = 32, WARM_UP = 20, MEASURED_PREDICTIONS = 50, RECIPE_STEPS = 50000 };

typedef struct {
    const fnr_backend_ops *ops;
    fnr_backend *device;
} gpu;

static float *noise(size_t n, uint64_t seed)
{
    float *p = malloc(n * sizeof *p);
    fnr_rng rng = fnr_rng_at(seed, 0, 0);
    for (size_t i = 0; p && i < n; i++) {
        p[i] = (float)(fnr_rng_uniform(&rng) * 3.4 - 1.7);
    }
    return p;
}

/* Steps of about `seconds`, after some that warm up; the losses are taken as `train` takes them. */
static bool run_steps(fnr_step_queue *q, double seconds, long *steps, double *elapsed, double *loss, fnr_error *err)
{
    static const fnr_adam adam = {.lr = 1e-3, .beta1 = 0.5, .beta2 = 0.999, .eps = 1e-8};
    double losses[FNR_FEED_AHEAD], start = 0;
    int count = 0;
    long step = 0;
    for (;; step++) {
        if (step == WARM_UP) {
            do {
                if (!fnr_step_queue_take(q, true, losses, &count, err)) {
                    return false;
                }
            } while (count > 0);
            start = fnr_now_s();
        }
        if (step > WARM_UP && step % 8 == 0 && fnr_now_s() - start > seconds) {
            break;
        }
        if (!fnr_step_queue_push(q, &adam, step, err) || !fnr_step_queue_take(q, false, losses, &count, err)) {
            return false;
        }
        *loss = count ? losses[count - 1] : *loss;
    }
    if (!fnr_step_queue_take(q, true, losses, &count, err)) {
        return false;
    }
    *elapsed = fnr_now_s() - start;
    *steps = step - WARM_UP;
    return true;
}

typedef struct {
    fnr_graph graph;
    fnr_state *state;
    fnr_program *program;
    fnr_sampler *sampler;
    fnr_step_queue *queue;
    float *signal, *target, *values;
} job;

static bool open_net(const gpu *g, job *j, const fnr_netdesc *desc, const fnr_shape *shape, fnr_mode mode, fnr_error *err)
{
    if (!fnr_unet_build(desc, &j->graph, err) || !(j->values = malloc(j->graph.param_floats * sizeof *j->values))) {
        return false;
    }
    fnr_graph_init(&j->graph, 1, j->values);
    return g->ops->state_new(g->device, &j->graph, mode == FNR_MODE_TRAIN, &j->state, err) &&
           g->ops->state_write(j->state, FNR_STATE_VALUES, j->values, err) &&
           g->ops->program_new(g->device, j->state, shape, mode, &j->program, err);
}

static void close_net(const gpu *g, job *j)
{
    fnr_step_queue_free(j->queue);
    fnr_sampler_free(j->sampler);
    if (j->program) {
        g->ops->program_free(j->program);
    }
    if (j->state) {
        g->ops->state_free(j->state);
    }
    fnr_graph_free(&j->graph);
    free(j->signal);
    free(j->target);
    free(j->values);
}

/* Images that overlap in one array of noise: contents do not matter, but where they lie in memory does. */
static bool train(const gpu *g, int spatial, double seconds, fnr_error *err)
{
    const fnr_netdesc desc = {spatial, 1, 1, 32, 4};
    const fnr_sampler_options o = {.patch_d = spatial == 3 ? 32 : 1, .patch_h = spatial == 3 ? 64 : 256, .patch_w = spatial == 3 ? 64 : 256,
                                   .batch = spatial == 3 ? 24 : 32, .flip = true, .turn = true, .gain_jitter = 0.25, .offset_jitter = 0.25,
                                   .noise_sd = 0.1, .seed = 1};
    const fnr_shape shape = {spatial, o.batch, 1, o.patch_d, o.patch_h, o.patch_w};
    const int side = spatial == 3 ? 256 : SIDE, depth = spatial == 3 ? DEPTH : 1;
    const size_t pixels = (size_t)depth * (size_t)side * (size_t)side;
    fnr_pair pairs[IMAGES];
    job j = {0};
    j.signal = noise(pixels + IMAGES, 1);
    j.target = noise(pixels + IMAGES, 2);
    for (int i = 0; i < IMAGES; i++) {
        pairs[i] = (fnr_pair){.name = "noise", .d = depth, .h = side, .w = side, .signal = j.signal + i, .target = j.target + i};
    }
    const double made = fnr_now_s();
    bool ok = j.signal && j.target && open_net(g, &j, &desc, &shape, FNR_MODE_TRAIN, err);
    const double compile_s = fnr_now_s() - made;
    ok = ok && (j.sampler = fnr_sampler_new(&desc, pairs, IMAGES, &o, err)) &&
         fnr_step_queue_new(g->ops, j.program, j.sampler, o.batch, &j.queue, err) && j.queue;
    long steps = 0;
    double elapsed = 0, loss = 0;
    ok = ok && run_steps(j.queue, seconds, &steps, &elapsed, &loss, err);
    if (ok) {
        const double rate = (double)steps / elapsed, flop = 6 * fnr_graph_macs(&j.graph, &shape);
        printf("train %dD, batch %d of %d x %d x %d: %8.3f ms/step  %8.2f steps/s  %7.1f TFLOP/s  %d steps in %5.1f min  %7.0f MiB  loss %.4f  "
               "(plans chosen in %.1f s)\n", spatial, o.batch, o.patch_d, o.patch_h, o.patch_w, 1e3 / rate, rate, flop * rate * 1e-12, RECIPE_STEPS,
               RECIPE_STEPS / rate / 60, (double)g->ops->program_bytes(j.program) / 0x1p20, loss, compile_s);
    }
    close_net(g, &j);
    return ok;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* From host memory to host memory, and without the way back: the table has no prediction that stays on the GPU. */
static bool predict(const gpu *g, fnr_error *err)
{
    const fnr_netdesc desc = {2, 1, 1, 32, 4};
    const fnr_shape shape = {2, 1, 1, 1, SIDE, SIDE};
    job j = {0};
    j.signal = noise(fnr_shape_count(&shape), 1);
    j.target = noise(fnr_shape_count(&shape), 2);
    bool ok = j.signal && j.target && open_net(g, &j, &desc, &shape, FNR_MODE_INFER, err);
    for (int back = 0; ok && back < 2; back++) {
        double times[MEASURED_PREDICTIONS];
        for (int i = -3; ok && i < MEASURED_PREDICTIONS; i++) {
            const double start = fnr_now_s();
            ok = g->ops->forward(j.program, j.signal, back ? j.target : NULL, err);
            if (i >= 0) {
                times[i] = fnr_now_s() - start;
            }
        }
        qsort(times, MEASURED_PREDICTIONS, sizeof *times, by_value);
        printf("predict 1504 x 1504, %s: %8.3f ms (best %.3f)  %7.1f TFLOP/s  %7.0f MiB\n", back ? "host to host" : "host to GPU ",
               times[MEASURED_PREDICTIONS / 2] * 1e3, times[0] * 1e3, 2 * fnr_graph_macs(&j.graph, &shape) / times[MEASURED_PREDICTIONS / 2] * 1e-12,
               (double)g->ops->program_bytes(j.program) / 0x1p20);
    }
    close_net(g, &j);
    return ok;
}

int main(int argc, char **argv)
{
    const char *precision = argc > 1 ? argv[1] : "bf16";
    const double seconds = argc > 2 ? atof(argv[2]) : 10;
    const fnr_backend_options options = {
        .precision = !strcmp(precision, "bf16") ? FNR_PRECISION_BF16 : !strcmp(precision, "tf32") ? FNR_PRECISION_TF32 : FNR_PRECISION_FLOAT32};
    fnr_error err = {0};
    gpu g = {.ops = fnr_backend_find("cuda", &err)};
    if (!g.ops || !g.ops->open(&options, &g.device, &err)) {
        printf("skipped: %s\n", err.message);
        return 0;
    }
    printf("%s\n", g.ops->device_name(g.device));
    fflush(stdout);
    bool ok = true;
    for (int i = 0; i < 3; i++) {
        if (!(i == 0 ? train(&g, 2, seconds, &err) : i == 1 ? train(&g, 3, seconds, &err) : predict(&g, &err))) {
            fprintf(stderr, "bench_cuda: %s\n", err.message);
            ok = false;
        }
        fflush(stdout);
    }
    g.ops->close(g.device);
    return ok ? 0 : 1;
}
