/* Batch norm (Ioffe & Szegedy 2015) with the ReLU behind it. */
#include "net/ref/ref.h"

#include <math.h>

#include "src/core/threads.h"

/* The pixels of one channel: n blocks of `plane` floats, `step` apart. */
typedef struct {
    size_t first, plane, step;
    int n;
} channel_span;

static channel_span span_of(const fnr_shape *s, size_t channel)
{
    const size_t plane = (size_t)s->d * (size_t)s->h * (size_t)s->w;
    return (channel_span){.first = channel * plane, .plane = plane, .step = plane * (size_t)s->c, .n = s->n};
}

static void normalise(const fnr_ref_call *c, size_t channel, double mean, double inv_sd)
{
    const channel_span span = span_of(&c->out->shape, channel);
    const double gamma = (double)c->weight[channel], beta = (double)c->bias[channel];
    for (int n = 0; n < span.n; n++) {
        const size_t begin = span.first + (size_t)n * span.step;
        for (size_t i = begin; i < begin + span.plane; i++) {
            const double y = gamma * ((double)c->in[0]->data[i] - mean) * inv_sd + beta;
            c->out->data[i] = c->op->relu && y <= 0 ? 0.0f : (float)y; /* NaN passes */
        }
    }
}

static void train_channel(void *ctx, size_t channel)
{
    const fnr_ref_call *c = ctx;
    const float *x = c->in[0]->data;
    const channel_span span = span_of(&c->out->shape, channel);
    const double count = (double)span.plane * span.n;
    double sum = 0, squares = 0;
    for (int n = 0; n < span.n; n++) {
        const size_t begin = span.first + (size_t)n * span.step;
        for (size_t i = begin; i < begin + span.plane; i++) {
            sum += (double)x[i];
        }
    }
    const double mean = sum / count;
    for (int n = 0; n < span.n; n++) {
        const size_t begin = span.first + (size_t)n * span.step;
        for (size_t i = begin; i < begin + span.plane; i++) {
            squares += ((double)x[i] - mean) * ((double)x[i] - mean);
        }
    }
    /* Biased variance to normalise, unbiased for the running value, as PyTorch. */
    const double momentum = (double)FNR_BN_MOMENTUM;
    c->mean[channel] = mean;
    c->inv_sd[channel] = 1 / sqrt(squares / count + (double)FNR_BN_EPS);
    c->running_mean[channel] = (float)((1 - momentum) * (double)c->running_mean[channel] + momentum * mean);
    c->running_var[channel] = (float)((1 - momentum) * (double)c->running_var[channel] + momentum * squares / (count - 1));
    normalise(c, channel, mean, c->inv_sd[channel]);
}

void fnr_ref_bn_relu_train(const fnr_ref_call *c)
{
    fnr_parallel_for((size_t)c->out->shape.c, train_channel, (void *)c);
}

static void infer_channel(void *ctx, size_t channel)
{
    const fnr_ref_call *c = ctx;
    normalise(c, channel, (double)c->running_mean[channel], 1 / sqrt((double)c->running_var[channel] + (double)FNR_BN_EPS));
}

void fnr_ref_bn_relu_infer(const fnr_ref_call *c)
{
    fnr_parallel_for((size_t)c->out->shape.c, infer_channel, (void *)c);
}

/* The gradient that reaches the norm through the ReLU. */
static double through_relu(const fnr_ref_call *c, size_t i)
{
    return c->op->relu && !(c->out->data[i] > 0) ? 0 : (double)c->out->grad[i];
}

static void backward_channel(void *ctx, size_t channel)
{
    const fnr_ref_call *c = ctx;
    const float *x = c->in[0]->data;
    const channel_span span = span_of(&c->out->shape, channel);
    const double count = (double)span.plane * span.n;
    const double mean = c->mean[channel], inv_sd = c->inv_sd[channel];
    double dgamma = 0, dbeta = 0;
    for (int n = 0; n < span.n; n++) {
        const size_t begin = span.first + (size_t)n * span.step;
        for (size_t i = begin; i < begin + span.plane; i++) {
            const double g = through_relu(c, i);
            dbeta += g;
            dgamma += g * ((double)x[i] - mean) * inv_sd;
        }
    }
    c->dweight[channel] = (float)dgamma;
    c->dbias[channel] = (float)dbeta;
    /* dx = gamma / sd * (g - mean(g) - xhat * mean(g * xhat)): mean and variance depend on x too. */
    const double scale = (double)c->weight[channel] * inv_sd;
    for (int n = 0; n < span.n; n++) {
        const size_t begin = span.first + (size_t)n * span.step;
        for (size_t i = begin; i < begin + span.plane; i++) {
            const double xhat = ((double)x[i] - mean) * inv_sd;
            const double dx = scale * (through_relu(c, i) - dbeta / count - xhat * dgamma / count);
            c->in[0]->grad[i] = (float)((double)c->in[0]->grad[i] + dx);
        }
    }
}

void fnr_ref_bn_relu_backward(const fnr_ref_call *c)
{
    fnr_parallel_for((size_t)c->out->shape.c, backward_channel, (void *)c);
}
