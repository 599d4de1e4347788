/* Times training steps and predictions of the backends: bench_net [backend [seconds per case [threads]]].
 * A step is forward, loss, backward and Adam; GFLOP/s counts two operations per multiply-accumulate of the convolutions as they
 * are defined (Winograd does fewer), three times those of the forward pass for a step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/backend.h"
#include "src/core/rng.h"
#include "src/core/timer.h"

typedef struct {
    const char *name;
    fnr_netdesc desc;
    fnr_shape shape;
    fnr_mode mode;
} bench_case;

static const bench_case cases[] = {
    {"train 2d base 16 depth 3", {2, 1, 1, 16, 3}, {2, 8, 1, 1, 64, 64}, FNR_MODE_TRAIN},
    {"train 2d base 16 depth 4", {2, 1, 1, 16, 4}, {2, 8, 1, 1, 128, 128}, FNR_MODE_TRAIN},
    {"train 2d base 32 depth 4", {2, 1, 1, 32, 4}, {2, 8, 1, 1, 256, 256}, FNR_MODE_TRAIN},
    {"train 3d base 32 depth 4", {3, 1, 1, 32, 4}, {3, 1, 1, 32, 64, 64}, FNR_MODE_TRAIN},
    {"infer 2d base 32 depth 4", {2, 1, 1, 32, 4}, {2, 1, 1, 1, 1504, 1504}, FNR_MODE_INFER},
};

typedef struct {
    const fnr_backend_ops *ops;
    fnr_backend *device;
    fnr_graph graph;
    fnr_state *state;
    fnr_program *program;
    float *x, *y;
} bench;

static float *noise(size_t n, uint64_t seed)
{
    float *p = malloc(n * sizeof *p);
    fnr_rng rng = fnr_rng_at(seed, 0, 0);
    for (size_t i = 0; p && i < n; i++) {
        p[i] = (float)fnr_rng_normal(&rng);
    }
    return p;
}

static bool prepare(bench *b, const bench_case *c, fnr_error *err)
{
    const size_t n = fnr_shape_count(&c->shape);
    if (!fnr_unet_build(&c->desc, &b->graph, err) ||
        !b->ops->state_new(b->device, &b->graph, c->mode == FNR_MODE_TRAIN, &b->state, err)) {
        return false;
    }
    float *values = malloc(b->graph.param_floats * sizeof *values);
    b->x = noise(n, 1);
    b->y = noise(n, 2);
    bool ok = values && b->x && b->y;
    if (ok) {
        fnr_graph_init(&b->graph, 1, values);
        ok = b->ops->state_write(b->state, FNR_STATE_VALUES, values, err) &&
             b->ops->program_new(b->device, b->state, &c->shape, c->mode, &b->program, err);
    }
    free(values);
    return ok;
}

static bool once(const bench *b, const bench_case *c, long step, fnr_error *err)
{
    static const fnr_adam adam = {.lr = 1e-3, .beta1 = 0.5, .beta2 = 0.999, .eps = 1e-8};
    double loss;
    if (c->mode == FNR_MODE_INFER) {
        return b->ops->forward(b->program, b->x, b->y, err);
    }
    return b->ops->forward(b->program, b->x, NULL, err) && b->ops->mse(b->program, b->y, &loss, err) &&
           b->ops->backward(b->program, NULL, err) && b->ops->adam(b->state, &adam, step, err);
}

/* Processor time of all threads: with one thread the honest measure on a machine that others use too. */
static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median and best time of a run, after one that warms up. */
static bool measure(const bench *b, const bench_case *c, double seconds, fnr_error *err)
{
    enum { MOST = 1000 };
    double times[MOST];
    int n = 0;
    if (!once(b, c, 1, err)) {
        return false;
    }
    const double cpu_start = cpu_s();
    for (double start = fnr_now_s(); n < MOST && (n < 3 || fnr_now_s() - start < seconds); n++) {
        const double t = fnr_now_s();
        if (!once(b, c, n + 2, err)) {
            return false;
        }
        times[n] = fnr_now_s() - t;
    }
    const double cpu = (cpu_s() - cpu_start) / n;
    qsort(times, (size_t)n, sizeof *times, by_value);
    const double flop = 2 * fnr_graph_macs(&b->graph, &c->shape) * (c->mode == FNR_MODE_TRAIN ? 3 : 1), median = times[n / 2];
    printf("%s  %d x %d x %d x %d: %8.1f ms (best %8.1f, cpu %8.1f)  %7.2f /s  %6.0f GFLOP/s  %7.1f MiB\n", c->name, c->shape.n, c->shape.d,
           c->shape.h, c->shape.w, median * 1e3, times[0] * 1e3, cpu * 1e3, 1 / median, flop / median * 1e-9,
           (double)b->ops->program_bytes(b->program) / 0x1p20);
    fflush(stdout);
    return true;
}

static void finish(bench *b)
{
    if (b->program) {
        b->ops->program_free(b->program);
    }
    if (b->state) {
        b->ops->state_free(b->state);
    }
    fnr_graph_free(&b->graph);
    free(b->x);
    free(b->y);
}

int main(int argc, char **argv)
{
    fnr_error err = {0};
    const char *name = argc > 1 ? argv[1] : "auto", *only = getenv("FNR_BENCH_CASE"); /* part of a case's name */
    const double seconds = argc > 2 ? atof(argv[2]) : 3;
    const fnr_backend_options options = {.threads = argc > 3 ? atoi(argv[3]) : 0, .winograd = !getenv("FNR_BENCH_DIRECT")};
    const fnr_backend_ops *ops = fnr_backend_find(name, &err);
    fnr_backend *device = NULL;
    if (!ops || !ops->open(&options, &device, &err)) {
        fprintf(stderr, "bench_net: %s\n", err.message);
        return 1;
    }
    bool ok = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bench b = {.ops = ops, .device = device};
        if ((!only || strstr(cases[i].name, only)) && !(prepare(&b, &cases[i], &err) && measure(&b, &cases[i], seconds, &err))) {
            fprintf(stderr, "bench_net: %s: %s\n", cases[i].name, err.message);
            ok = false;
        }
        finish(&b);
    }
    ops->close(device);
    return ok ? 0 : 1;
}
