/* Times training steps and predictions of the backends.
 *   bench_net [backend [seconds per case [threads]]]   a table; FNR_BENCH_CASE=part of a name narrows it
 *   bench_net --list                                   the cases that compare_net.py knows: name, name of PyTorch's work, text
 *   bench_net --serve CASE [backend]                   one case, a step for each line "go" (compare_net.py has the protocol)
 * A step is forward, loss, backward and Adam; GFLOP/s counts two operations per multiply-accumulate of the convolutions as they
 * are defined (Winograd does fewer), three times those of the forward pass for a step.  FNR_BENCH_THREADS sets the threads. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/backend.h"
#include "src/core/rng.h"
#include "src/core/timer.h"

/* `torch`: the work of pytorch_net.py that it is compared with; NULL leaves the case out of the comparison. */
typedef struct {
    const char *name, *torch, *precision;
    fnr_netdesc desc;
    fnr_shape shape;
    fnr_mode mode;
} bench_case;

/* clang-format off */
#define SMALL3 {2, 1, 1, 16, 3}
#define SMALL4 {2, 1, 1, 16, 4}
#define PAPER2D {2, 1, 1, 32, 4}
#define PAPER3D {3, 1, 1, 32, 4}
/* clang-format on */

static const bench_case cases[] = {
    {"train2d-small3", NULL, "float32", SMALL3, {2, 8, 1, 1, 64, 64}, FNR_MODE_TRAIN},
    {"train2d-small4", NULL, "float32", SMALL4, {2, 8, 1, 1, 128, 128}, FNR_MODE_TRAIN},
    {"train2d-8", "train2d-8", "float32", PAPER2D, {2, 8, 1, 1, 256, 256}, FNR_MODE_TRAIN},
    {"train2d-32", "train2d-32", "float32", PAPER2D, {2, 32, 1, 1, 256, 256}, FNR_MODE_TRAIN},
    {"infer2d", "infer2d", "float32", PAPER2D, {2, 1, 1, 1, 1504, 1504}, FNR_MODE_INFER},
    {"infer2d-int8", "infer2d", "int8", PAPER2D, {2, 1, 1, 1, 1504, 1504}, FNR_MODE_INFER},
    {"train3d", "train3d", "float32", PAPER3D, {3, 4, 1, 32, 64, 64}, FNR_MODE_TRAIN},
    {"infer3d", "infer3d", "float32", PAPER3D, {3, 1, 1, 32, 256, 256}, FNR_MODE_INFER},
};

enum { N_CASES = sizeof cases / sizeof *cases };

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
    printf("%-14s %s %2d x %d x %d x %d: %8.1f ms (best %8.1f, cpu %8.1f)  %7.2f /s  %6.0f GFLOP/s  %7.1f MiB\n", c->name,
           c->precision, c->shape.n, c->shape.d, c->shape.h, c->shape.w, median * 1e3, times[0] * 1e3, cpu * 1e3, 1 / median,
           flop / median * 1e-9, (double)b->ops->program_bytes(b->program) / 0x1p20);
    fflush(stdout);
    return true;
}

/* Peak of this process's memory. Not getrusage: its figure survives exec, so that it may be the parent's. */
static double peak_mib(void)
{
    char line[256];
    double kib = NAN;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtod(line + 6, NULL);
        }
    }
    if (f) {
        fclose(f);
    }
    return kib / 1024;
}

static size_t trained_parameters(const fnr_graph *g)
{
    size_t n = 0;
    for (int i = 0; i < g->n_params; i++) {
        n += fnr_role_is_trained(g->params[i].role) ? g->params[i].count : 0;
    }
    return n;
}

/* Protocol: "ready TAB description TAB parameters" after a step that warms up; for each line "go" one step and "time SECONDS"; at
 * the end of the input "peak MIB MIB": the most memory this process held, and what of it was there before the work (nothing). */
static bool serve(const bench *b, const bench_case *c, fnr_error *err)
{
    char line[16];
    if (!once(b, c, 1, err)) {
        return false;
    }
    printf("ready\tfnet-register " FNR_VERSION ", backend %s, %s\t%zu\n", b->ops->name, c->precision, trained_parameters(&b->graph));
    fflush(stdout);
    for (long step = 2; fgets(line, sizeof line, stdin) && strcmp(line, "go\n") == 0; step++) {
        const double t = fnr_now_s();
        if (!once(b, c, step, err)) {
            return false;
        }
        printf("time %.6f\n", fnr_now_s() - t);
        fflush(stdout);
    }
    printf("peak %.1f 0\n", peak_mib());
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

static int list_cases(void)
{
    for (const bench_case *c = cases; c < cases + N_CASES; c++) {
        if (c->torch) {
            printf("%s\t%s\t%dD %s, %s, %d x ", c->name, c->torch, c->desc.spatial,
                   c->mode == FNR_MODE_TRAIN ? "training step" : "inference", c->precision, c->shape.n);
            printf(c->desc.spatial == 3 ? "%d x " : "%.0d", c->desc.spatial == 3 ? c->shape.d : 0);
            printf("%d x %d\n", c->shape.h, c->shape.w);
        }
    }
    return 0;
}

typedef struct {
    const char *backend, *only; /* only: part of a case's name, the whole of it to serve; NULL for all */
    double seconds;
    int threads;
    bool serve;
} arguments;

static bool wanted(const arguments *a, const bench_case *c)
{
    return a->serve ? strcmp(c->name, a->only) == 0 : !a->only || strstr(c->name, a->only);
}

static bool run_case(const arguments *a, const fnr_backend_ops *ops, const bench_case *c, fnr_error *err)
{
    const fnr_backend_options options = {.threads = a->threads,
                                         .winograd = !getenv("FNR_BENCH_DIRECT"),
                                         .precision = strcmp(c->precision, "int8") == 0 ? FNR_PRECISION_INT8 : FNR_PRECISION_FLOAT32};
    bench b = {.ops = ops};
    if (!fnr_backend_has_precision(ops, options.precision, err) || !ops->open(&options, &b.device, err)) {
        return false;
    }
    const bool ok = prepare(&b, c, err) && (a->serve ? serve(&b, c, err) : measure(&b, c, a->seconds, err));
    finish(&b);
    ops->close(b.device);
    return ok;
}

static int run(const arguments *a)
{
    fnr_error err = {0};
    const fnr_backend_ops *ops = fnr_backend_find(a->backend, &err);
    if (!ops) {
        fprintf(stderr, "bench_net: %s\n", err.message);
        return 1;
    }
    int status = a->serve ? 2 : 0; /* until the case is found */
    for (const bench_case *c = cases; c < cases + N_CASES; c++) {
        if (!wanted(a, c)) {
            continue;
        }
        status = a->serve ? 0 : status;
        if (!run_case(a, ops, c, &err)) {
            fprintf(stderr, "bench_net: %s: %s\n", c->name, err.message);
            status = 1;
        }
    }
    return status;
}

int main(int argc, char **argv)
{
    const char *threads = getenv("FNR_BENCH_THREADS");
    arguments a = {.backend = "auto", .seconds = 3, .threads = threads ? atoi(threads) : 0, .only = getenv("FNR_BENCH_CASE")};
    if (argc > 1 && strcmp(argv[1], "--list") == 0) {
        return list_cases();
    }
    if (argc > 2 && strcmp(argv[1], "--serve") == 0) {
        a.serve = true;
        a.only = argv[2];
        a.backend = argc > 3 ? argv[3] : a.backend;
        return run(&a);
    }
    a.backend = argc > 1 ? argv[1] : a.backend;
    a.seconds = argc > 2 ? atof(argv[2]) : a.seconds;
    a.threads = argc > 3 ? atoi(argv[3]) : a.threads;
    return run(&a);
}
