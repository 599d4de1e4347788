/* Training steps and predictions on the GPU, as in the paper's recipes: bench_cuda [precision [seconds per case [GPUs [tiny]]]].
 * Training is fed as `train` feeds it: images on the GPU, patches cut there, steps queued.  FLOP are counted as in bench_net; the
 * peak that they are compared with is measured here.  "tiny": everything small, to see that it runs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/backend.h"
#include "net/predict.h"
#include "net/sampler.h"
#include "net/step_queue.h"
#include "src/core/rng.h"
#include "src/core/threads.h"
#include "src/core/timer.h"

enum { IMAGES = 20, WARM_UP = 20, MEASURED_PREDICTIONS = 50, RECIPE_STEPS = 50000 };

/* How large everything is. */
typedef struct {
    int side, volume_side, volume_depth;   /* px, of images */
    int base, depth;                       /* of the networks */
    int patch2, patch3, patch3_d, batch2, batch3;
    int product_side, product_channels;    /* of the matrix products that tell the peak */
    int predictions, streamed;
} sizes;

static const sizes paper = {1504, 256, 32, 32, 4, 256, 64, 32, 32, 24, 128, 1024, MEASURED_PREDICTIONS, 64};
static const sizes tiny = {64, 32, 8, 2, 1, 16, 8, 4, 4, 4, 16, 8, 3, 8};

typedef struct {
    const fnr_backend_ops *ops;
    fnr_backend *device;
    const sizes *size;
    double peak; /* TFLOP/s of large matrix products; 0 = not measured */
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
    const sizes *z = g->size;
    const fnr_netdesc desc = {spatial, 1, 1, z->base, z->depth};
    const int patch = spatial == 3 ? z->patch3 : z->patch2;
    const fnr_sampler_options o = {.patch_d = spatial == 3 ? z->patch3_d : 1, .patch_h = patch, .patch_w = patch,
                                   .batch = spatial == 3 ? z->batch3 : z->batch2, .flip = true, .turn = true, .gain_jitter = 0.25, .offset_jitter = 0.25,
                                   .noise_sd = 0.1, .seed = 1};
    const fnr_shape shape = {spatial, o.batch, 1, o.patch_d, o.patch_h, o.patch_w};
    const int side = spatial == 3 ? z->volume_side : z->side, depth = spatial == 3 ? z->volume_depth : 1;
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
        printf("train %dD, batch %d of %d x %d x %d: %8.3f ms/step  %8.2f steps/s  %7.1f TFLOP/s (%.0f%% of the peak)  %d steps in %5.1f min  %7.0f MiB  loss %.4f  "
               "(plans chosen in %.1f s)\n", spatial, o.batch, o.patch_d, o.patch_h, o.patch_w, 1e3 / rate, rate, flop * rate * 1e-12,
               g->peak > 0 ? 100 * flop * rate * 1e-12 / g->peak : 0, RECIPE_STEPS,
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
    const sizes *z = g->size;
    const fnr_netdesc desc = {2, 1, 1, z->base, z->depth};
    const fnr_shape shape = {2, 1, 1, 1, z->side, z->side};
    job j = {0};
    j.signal = noise(fnr_shape_count(&shape), 1);
    j.target = noise(fnr_shape_count(&shape), 2);
    bool ok = j.signal && j.target && open_net(g, &j, &desc, &shape, FNR_MODE_INFER, err);
    for (int back = 0; ok && back < 2; back++) {
        double times[MEASURED_PREDICTIONS];
        for (int i = -3; ok && i < z->predictions; i++) {
            const double start = fnr_now_s();
            ok = g->ops->forward(j.program, j.signal, back ? j.target : NULL, err);
            if (i >= 0) {
                times[i] = fnr_now_s() - start;
            }
        }
        qsort(times, (size_t)z->predictions, sizeof *times, by_value);
        printf("predict %d x %d, %s: %8.3f ms (best %.3f)  %7.1f TFLOP/s  %7.0f MiB\n", z->side, z->side, back ? "host to host" : "host to GPU ",
               times[z->predictions / 2] * 1e3, times[0] * 1e3, 2 * fnr_graph_macs(&j.graph, &shape) / times[z->predictions / 2] * 1e-12,
               (double)g->ops->program_bytes(j.program) / 0x1p20);
    }
    close_net(g, &j);
    return ok;
}

/* ---- from file bytes to result bytes ------------------------------------------------------------------------------------------ */

enum { FILES = 8 }; /* different ones, again and again */

/* Bytes as they lie in uncompressed 8-bit files in the page cache, and as they go into 16-bit ones. */
typedef struct {
    int side;
    uint8_t *files[FILES];
    uint16_t *results; /* of the last image */
    float scored[256]; /* of each grey value of the file that is read */
    float *dst;
    const uint8_t *file;
    const float *rows;
} file_stream;

static void score_row(void *ctx, size_t y)
{
    const file_stream *s = ctx;
    const size_t w = (size_t)s->side;
    for (size_t x = 0; x < w; x++) {
        s->dst[y * w + x] = s->scored[s->file[y * w + x]];
    }
}

/* Mean and sd by counting grey values, then every pixel by table. */
static bool read_file(void *ctx, size_t image, int x, int y, int w, int h, float *dst, fnr_error *err)
{
    file_stream *s = ctx;
    size_t count[256] = {0};
    double sum = 0, squares = 0;
    const size_t n = (size_t)w * (size_t)h;
    if (x || y || w != s->side || h != s->side) {
        return fnr_fail(err, FNR_E_INTERNAL, "the image was cut into tiles: it should fit whole");
    }
    s->file = s->files[image % FILES];
    s->dst = dst;
    for (size_t i = 0; i < n; i++) {
        count[s->file[i]]++;
    }
    for (int v = 0; v < 256; v++) {
        sum += (double)count[v] * v;
        squares += (double)count[v] * v * v;
    }
    const double mean = sum / (double)n, sd = sqrt(squares / (double)n - mean * mean);
    for (int v = 0; v < 256; v++) {
        s->scored[v] = (float)((v - mean) / sd);
    }
    fnr_parallel_for((size_t)h, score_row, s);
    return true;
}

static void result_row(void *ctx, size_t y)
{
    const file_stream *s = ctx;
    const size_t w = (size_t)s->side;
    for (size_t i = y * w; i < (y + 1) * w; i++) {
        const float v = (s->rows[i] + 4) * 2048;
        s->results[i] = (uint16_t)((v < 0 ? 0 : v > 65535 ? 65535 : v) + 0.5f);
    }
}

static bool give_result(void *ctx, size_t image, int y, int count, const float *rows, fnr_error *err)
{
    file_stream *s = ctx;
    (void)image;
    (void)y;
    (void)err;
    s->rows = rows;
    fnr_parallel_for((size_t)count, result_row, s);
    return true;
}

/* The whole way, over and over: bytes, z-score, copy, network, copy, bytes; copies and the host's work beside the network's. */
static bool stream_files(const gpu *g, fnr_error *err)
{
    const sizes *z = g->size;
    const size_t pixels = (size_t)z->side * (size_t)z->side;
    file_stream s = {.side = z->side, .results = malloc(pixels * sizeof(uint16_t))};
    fnr_model m = {0};
    fnr_rng rng = fnr_rng_at(3, 0, 0);
    bool ok = s.results != NULL;
    for (int i = 0; ok && i < FILES; i++) {
        ok = (s.files[i] = malloc(pixels));
        for (size_t k = 0; ok && k < pixels; k++) {
            s.files[i][k] = (uint8_t)(fnr_rng_uniform(&rng) * 256);
        }
    }
    fnr_predictor *p = NULL;
    ok = ok && fnr_model_new(&(fnr_netdesc){2, 1, 1, z->base, z->depth}, 1, &m, err) &&
         (p = fnr_predictor_new(g->ops, g->device, &m, &(fnr_predict_options){.max_bytes = (size_t)16 << 30}, err)) &&
         fnr_predict_series(p, 4, z->side, z->side, read_file, &s, give_result, &s, NULL, err);
    const double start = fnr_now_s();
    ok = ok && fnr_predict_series(p, (size_t)z->streamed, z->side, z->side, read_file, &s, give_result, &s, NULL, err);
    if (ok) {
        const double each = (fnr_now_s() - start) / z->streamed;
        printf("stream of %d x %d, file bytes to result bytes: %8.3f ms an image over %d images, %d GPU%s  (result %u)\n", z->side, z->side, each * 1e3,
               z->streamed, g->ops->lanes(g->device), g->ops->lanes(g->device) > 1 ? "s" : "", s.results[pixels / 2]);
    }
    fnr_predictor_free(p);
    fnr_model_free(&m);
    for (int i = 0; i < FILES; i++) {
        free(s.files[i]);
    }
    free(s.results);
    return ok;
}

/* ---- the peak ----------------------------------------------------------------------------------------------------------------- */

/* `links` matrix products, one after the other: 1x1 convolutions of many channels. */
static bool chain(fnr_graph *g, int channels, int links)
{
    *g = (fnr_graph){.spatial = 2};
    g->input = g->output = fnr_graph_add_value(g, channels, 0);
    for (int i = 0; i < links; i++) {
        char weight[32], bias[32];
        snprintf(weight, sizeof weight, "%d.weight", i);
        snprintf(bias, sizeof bias, "%d.bias", i);
        fnr_op op = {.kind = FNR_OP_CONV, .in = {g->output, -1}, .kernel = 1, .stride = 1, .running_mean = -1, .running_var = -1};
        op.weight = fnr_graph_add_param(g, weight, FNR_PARAM_WEIGHT, 4, (const int[]){channels, channels, 1, 1});
        op.bias = fnr_graph_add_param(g, bias, FNR_PARAM_BIAS, 1, &channels);
        op.out = g->output = fnr_graph_add_value(g, channels, 0);
        if (op.weight < 0 || op.bias < 0 || op.out < 0 || fnr_graph_add_op(g, &op) < 0) {
            return false;
        }
    }
    return true;
}

/* Seconds of a forward pass through so many products, copy of the input included. */
static bool time_chain(const gpu *g, int links, double *seconds, double *flop, fnr_error *err)
{
    const sizes *z = g->size;
    const fnr_shape shape = {2, 1, z->product_channels, 1, z->product_side, z->product_side};
    job j = {0};
    bool ok = chain(&j.graph, z->product_channels, links) && (j.signal = noise(fnr_shape_count(&shape), 1)) &&
              (j.values = noise(j.graph.param_floats, 2)) && g->ops->state_new(g->device, &j.graph, false, &j.state, err);
    for (size_t i = 0; ok && i < j.graph.param_floats; i++) {
        j.values[i] /= (float)sqrt(z->product_channels); /* outputs of the order of the inputs: power depends on the numbers */
    }
    ok = ok && g->ops->state_write(j.state, FNR_STATE_VALUES, j.values, err) &&
         g->ops->program_new(g->device, j.state, &shape, FNR_MODE_INFER, &j.program, err);
    *seconds = 1e30;
    for (int i = 0; ok && i < 8; i++) {
        const double start = fnr_now_s();
        ok = g->ops->forward(j.program, j.signal, NULL, err);
        const double now = fnr_now_s() - start;
        *seconds = i > 2 && now < *seconds ? now : *seconds;
    }
    *flop = ok ? 2 * fnr_graph_macs(&j.graph, &shape) : 0;
    close_net(g, &j);
    return ok;
}

/* What more products cost, so that copies and starts fall out. */
static bool measure_peak(gpu *g, double seconds, fnr_error *err)
{
    (void)seconds;
    enum { FEW = 8, MANY = 40 };
    double few_s, many_s, few_flop, many_flop;
    if (!time_chain(g, FEW, &few_s, &few_flop, err) || !time_chain(g, MANY, &many_s, &many_flop, err)) {
        return false;
    }
    g->peak = many_s > few_s ? (many_flop - few_flop) / (many_s - few_s) * 1e-12 : 0;
    printf("peak: %.1f TFLOP/s in matrix products of %d x %d x %d (1x1 convolutions, one after the other)\n", g->peak,
           g->size->product_side * g->size->product_side, g->size->product_channels, g->size->product_channels);
    return true;
}

static bool measure_train2(gpu *g, double seconds, fnr_error *err)
{
    return train(g, 2, seconds, err);
}

static bool measure_train3(gpu *g, double seconds, fnr_error *err)
{
    return train(g, 3, seconds, err);
}

static bool measure_predictions(gpu *g, double seconds, fnr_error *err)
{
    (void)seconds;
    return predict(g, err) && stream_files(g, err);
}

int main(int argc, char **argv)
{
    const char *precision = argc > 1 ? argv[1] : "bf16";
    const double seconds = argc > 2 ? atof(argv[2]) : 10;
    const fnr_backend_options options = {
        .gpus = argc > 3 ? atoi(argv[3]) : 1,
        .precision = !strcmp(precision, "bf16") ? FNR_PRECISION_BF16 : !strcmp(precision, "tf32") ? FNR_PRECISION_TF32 : FNR_PRECISION_FLOAT32};
    fnr_error err = {0};
    gpu g = {.ops = fnr_backend_find("cuda", &err), .size = argc > 4 && !strcmp(argv[4], "tiny") ? &tiny : &paper};
    if (!g.ops || !g.ops->open(&options, &g.device, &err)) {
        printf("skipped: %s\n", err.message);
        return 0;
    }
    printf("%s\n", g.ops->device_name(g.device));
    fflush(stdout);
    bool (*const measurements[])(gpu *, double, fnr_error *) = {measure_peak, measure_train2, measure_train3, measure_predictions};
    bool ok = true;
    for (size_t i = 0; i < sizeof measurements / sizeof *measurements; i++) {
        if (!measurements[i](&g, seconds, &err)) {
            fprintf(stderr, "bench_cuda: %s\n", err.message);
            ok = false;
        }
        fflush(stdout);
    }
    g.ops->close(g.device);
    return ok ? 0 : 1;
}
