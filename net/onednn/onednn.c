/* The oneDNN backend's table: devices, programs, loss and optimiser. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "net/onednn/int8.h"
#include "net/onednn/program.h"
#include "src/core/mem.h"
#include "src/core/threads.h"

enum { CHUNK = 16384 }; /* elements of one piece of elementwise work */

static void dn_close(fnr_backend *b)
{
    if (b) {
        dnnl_stream_destroy(b->dev.stream);
        dnnl_engine_destroy(b->dev.engine);
        free(b);
    }
}

/* oneDNN's choice of instruction set counts (ONEDNN_MAX_CPU_ISA limits it): the block size must be the one it prefers. */
static const fnr_dn_kernels *choose_kernels(void)
{
    const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    if ((isa & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core) {
        return &fnr_dn_kernels_avx512;
    }
    return (isa & dnnl_cpu_isa_avx2) == dnnl_cpu_isa_avx2 ? &fnr_dn_kernels_avx2 : NULL;
}

static bool dn_open(const fnr_backend_options *opt, fnr_backend **out, fnr_error *err)
{
    const fnr_dn_kernels *kernels = choose_kernels();
    if (!kernels) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "onednn: this processor has no AVX2; use the backend ref");
    }
    fnr_backend *b = fnr_calloc(1, sizeof *b, "backend", err);
    if (!b) {
        return false;
    }
    fnr_threads_set(opt->threads);
    b->kernels = kernels;
    b->wino = kernels == &fnr_dn_kernels_avx512 ? &fnr_dn_wino_avx512 : &fnr_dn_wino_avx2;
    b->wino6 = kernels == &fnr_dn_kernels_avx512 ? &fnr_dn_wino6_avx512 : &fnr_dn_wino6_avx2;
    b->dev.block = kernels->block;
    b->winograd = opt->winograd;
    b->precision = opt->precision;
    b->max_bytes = opt->max_bytes;
    if (dnnl_engine_create(&b->dev.engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&b->dev.stream, b->dev.engine, dnnl_stream_default_flags) != dnnl_success) {
        dn_close(b);
        return fnr_fail(err, FNR_E_INTERNAL, "oneDNN does not open its CPU engine");
    }
    *out = b;
    return true;
}

static void dn_program_free(fnr_program *p)
{
    if (!p) {
        return;
    }
    fnr_i8_program_free(p->int8);
    for (int i = 0; p->steps && i < p->n_steps; i++) {
        fnr_dn_conv_free(&p->steps[i].conv);
    }
    fnr_dn_plan_free(&p->plan);
    free(p->steps);
    free(p->values);
    free(p);
}

static bool dn_program_new(fnr_backend *b, fnr_state *s, const fnr_shape *shape, fnr_mode mode, fnr_program **out, fnr_error *err)
{
    const fnr_graph *g = s->graph;
    if (mode == FNR_MODE_TRAIN && !s->grads) {
        return fnr_fail(err, FNR_E_INTERNAL, "a training program needs a state made for training");
    }
    if (mode == FNR_MODE_TRAIN && b->precision == FNR_PRECISION_INT8) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "int8 is for prediction: train with net.precision = float32");
    }
    if (!fnr_graph_check(g, shape, mode == FNR_MODE_TRAIN, err)) {
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
    p->winograd = b->winograd;
    p->input = *shape;
    if (b->precision == FNR_PRECISION_INT8) {
        if (!fnr_i8_program_new(s, shape, !p->winograd, b->max_bytes, &p->int8, err)) {
            dn_program_free(p);
            return false;
        }
        *out = p;
        return true;
    }
    p->samples = mode == FNR_MODE_TRAIN ? shape->n : 1;
    p->passes = mode == FNR_MODE_TRAIN ? 1 : shape->n;
    p->n_steps = g->n_ops;
    p->values = fnr_calloc((size_t)g->n_values, sizeof *p->values, "values of a program", err);
    p->steps = p->values ? fnr_calloc((size_t)g->n_ops, sizeof *p->steps, "steps of a program", err) : NULL;
    if (!p->steps || !fnr_dn_compile(p, err)) {
        dn_program_free(p);
        return false;
    }
    *out = p;
    return true;
}

static size_t dn_program_bytes(const fnr_program *p)
{
    return p->int8 ? fnr_i8_program_bytes(p->int8) : p->plan.floats * sizeof(float);
}

static bool dn_forward(fnr_program *p, const float *x, float *y, fnr_error *err)
{
    p->grad_given = false;
    if (p->int8) {
        return fnr_i8_forward(p->int8, x, y, err);
    }
    return p->forward_done = fnr_dn_forward(p, x, y, err);
}

typedef struct {
    fnr_program *program;
    const float *target;
    size_t count;
    double *sums; /* one per chunk */
} mse_job;

static void mse_chunk(void *ctx, size_t index)
{
    const mse_job *j = ctx;
    const size_t first = index * CHUNK, end = first + CHUNK < j->count ? first + CHUNK : j->count;
    const float *y = j->program->output;
    const float factor = (float)(2.0 / (double)j->count);
    double sum = 0;
    for (size_t i = first; i < end; i++) {
        const float d = y[i] - j->target[i];
        sum += (double)d * (double)d;
        j->program->output_grad[i] = factor * d;
    }
    j->sums[index] = sum;
}

static bool dn_mse(fnr_program *p, const float *target, double *loss, fnr_error *err)
{
    if (p->mode != FNR_MODE_TRAIN || !p->forward_done) {
        return fnr_fail(err, FNR_E_INTERNAL, "mse is asked for without a training forward pass");
    }
    mse_job job = {.program = p, .target = target, .count = fnr_shape_count(&p->values[p->graph->output].shape)};
    const size_t chunks = (job.count + CHUNK - 1) / CHUNK;
    job.sums = fnr_calloc(chunks, sizeof *job.sums, "partial sums of the loss", err);
    if (!job.sums) {
        return false;
    }
    fnr_parallel_for(chunks, mse_chunk, &job);
    double sum = 0;
    for (size_t i = 0; i < chunks; i++) {
        sum += job.sums[i];
    }
    free(job.sums);
    if (!isfinite(sum)) {
        return fnr_fail(err, FNR_E_NUMERIC, "the loss is not a finite number");
    }
    *loss = sum / (double)job.count;
    p->grad_given = true;
    return true;
}

static bool dn_set_output_grad(fnr_program *p, const float *dy, fnr_error *err)
{
    if (p->mode != FNR_MODE_TRAIN || !p->forward_done) {
        return fnr_fail(err, FNR_E_INTERNAL, "an output gradient is given without a training forward pass");
    }
    memcpy(p->output_grad, dy, fnr_shape_count(&p->values[p->graph->output].shape) * sizeof *dy);
    p->grad_given = true;
    return true;
}

/* Consumes what the forward pass left behind. */
static bool dn_backward(fnr_program *p, float *dx, fnr_error *err)
{
    if (!p->grad_given) {
        return fnr_fail(err, FNR_E_INTERNAL, "backward needs a forward pass and the gradient of its output");
    }
    p->grad_given = p->forward_done = false;
    return fnr_dn_backward(p, dx, err);
}

typedef struct {
    fnr_state *state;
    const fnr_dn_kernels *kernels;
    fnr_dn_adam numbers;
    size_t first, count;
} adam_job;

static void adam_chunk(void *ctx, size_t index)
{
    const adam_job *j = ctx;
    const fnr_state *s = j->state;
    const size_t from = j->first + index * CHUNK, left = j->count - index * CHUNK;
    j->kernels->adam(left < CHUNK ? left : CHUNK, &j->numbers, s->grads + from, s->moment1 + from, s->moment2 + from, s->values + from);
}

static bool dn_adam(fnr_state *s, const fnr_adam *hyper, long step, fnr_error *err)
{
    if (!s->grads || step < 1) {
        return fnr_fail(err, FNR_E_INTERNAL, "an Adam step needs a state made for training and a step number from 1");
    }
    adam_job job = {.state = s, .kernels = choose_kernels()};
    job.numbers = (fnr_dn_adam){
        .beta1 = (float)hyper->beta1,
        .beta2 = (float)hyper->beta2,
        .one_minus_beta1 = (float)(1 - hyper->beta1),
        .one_minus_beta2 = (float)(1 - hyper->beta2),
        .step_size = (float)(hyper->lr / (1 - pow(hyper->beta1, (double)step))),
        .inverse_root = (float)(1 / sqrt(1 - pow(hyper->beta2, (double)step))),
        .eps = (float)hyper->eps,
    };
    for (int i = 0; i < s->graph->n_params; i++) {
        const fnr_param *param = &s->graph->params[i];
        if (fnr_role_is_trained(param->role)) {
            job.first = param->offset;
            job.count = param->count;
            fnr_parallel_for((job.count + CHUNK - 1) / CHUNK, adam_chunk, &job);
        }
    }
    s->version++;
    return true;
}

/* Channels of the first level, as they are kept. */
static double first_channels(const fnr_netdesc *desc)
{
    return (desc->base_channels + 15) / 16 * 16;
}

/* Pairs of channels of all 3x3 convolutions: two on the way down and at the bottom, two on the way up, one from twice the channels. */
static double count_filters(const fnr_netdesc *desc)
{
    double count = 0, before = desc->in_channels, c = first_channels(desc);
    for (int level = 0; level <= desc->depth; level++) {
        count += before * c + c * c + (level < desc->depth ? 2 * c * c + c * c : 0);
        before = c;
        c *= 2;
    }
    return count;
}

/* Winograd's weights, 64 for each filter and slice, are made when they are needed, those of a convolution at a time, of which
 * the bottom's has most; int8 keeps them all.  Activations take 12 to 13 bytes per pixel and channel of the first level, int8's 3
 * to 4; input and output are held up to three times. */
static fnr_blocks dn_blocks(const fnr_backend *b, const fnr_netdesc *desc)
{
    const double channels = first_channels(desc), bottom = ldexp(channels, desc->depth);
    const double ends = 3.0 * sizeof(float) * (desc->in_channels + desc->out_channels);
    if (!b->winograd) {
        return (fnr_blocks){.px = 1, .slices = 1};
    }
    if (b->precision == FNR_PRECISION_INT8) {
        return (fnr_blocks){.px = FNR_I8_TILE,
                            .slices = 1,
                            .bytes = 64.0 * sizeof(int16_t) * count_filters(desc),
                            .bytes_per_px = 4 * channels + ends};
    }
    return (fnr_blocks){.px = b->wino6->tile,
                        .slices = 2,
                        .bytes = 64.0 * sizeof(float) * (desc->spatial == 3 ? 3 : 1) * bottom * bottom,
                        .bytes_per_px = 13 * channels + ends};
}

const fnr_backend_ops fnr_backend_onednn = {
    .name = "onednn",
    .description = "processor, oneDNN (AVX2 or AVX-512)",
    .precisions = 1u << FNR_PRECISION_FLOAT32 | 1u << FNR_PRECISION_INT8,
    .open = dn_open,
    .close = dn_close,
    .state_new = fnr_host_state_new,
    .state_free = fnr_host_state_free,
    .state_write = fnr_host_state_write,
    .state_read = fnr_host_state_read,
    .program_new = dn_program_new,
    .program_free = dn_program_free,
    .program_bytes = dn_program_bytes,
    .forward = dn_forward,
    .mse = dn_mse,
    .set_output_grad = dn_set_output_grad,
    .backward = dn_backward,
    .adam = dn_adam,
    .blocks = dn_blocks,
};
