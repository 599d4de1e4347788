/* From a state's parameters: what an activation's unit stands for, and weights as words. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "net/onednn/int8.h"
#include "net/onednn/wino_strip.h"
#include "src/core/mem.h"

static const float *param(const fnr_i8_program *p, int id)
{
    return id < 0 ? NULL : p->state->values + p->graph->params[id].offset;
}

/* 16-output vectors of all products: the outputs, rounded up; nine taps for each output of LAST. */
static size_t outputs_of(const fnr_i8_program *p, const fnr_i8_step *s)
{
    const fnr_i8_value *out = &p->values[s->out];
    return s->kind == FNR_I8_LAST ? 16 * (size_t)out->shape.c : (size_t)out->channels;
}

static size_t word_count(const fnr_i8_program *p, const fnr_i8_step *s)
{
    return s->kind == FNR_I8_FIRST ? 0 : outputs_of(p, s) * (size_t)s->products * (size_t)s->depth;
}

static size_t alpha_count(const fnr_i8_program *p, const fnr_i8_step *s)
{
    return outputs_of(p, s) * (size_t)(s->kind == FNR_I8_WINOGRAD ? s->products : 1);
}

static size_t scale_count(const fnr_i8_program *p, const fnr_i8_step *s)
{
    return alpha_count(p, s) + 2 * outputs_of(p, s);
}

static size_t edge_floats(const fnr_i8_step *s)
{
    return s->kind == FNR_I8_FIRST ? fnr_dn_edge_floats(&s->edge) : 0;
}

size_t fnr_i8_weights_size(const fnr_i8_program *p, fnr_i8_step *s)
{
    const fnr_i8_value *out = &p->values[s->out];
    s->rows_in = 0;
    for (int k = 0; k < 2 && s->in[k] >= 0; k++) {
        s->rows_in += p->values[s->in[k]].channels;
    }
    s->products = s->kind == FNR_I8_WINOGRAD ? FNR_I8_FREQUENCIES : s->kind == FNR_I8_UP ? 4 : 1;
    s->depth = s->kind == FNR_I8_DIRECT ? fnr_i8_taps(s->conv) * s->rows_in : s->rows_in;
    if (s->kind == FNR_I8_FIRST) {
        s->edge = (fnr_dn_edge){.kernels = p->floats,
                                .extent = {.n = 1, .channels = out->shape.c, .blocks = out->channels / p->floats->block},
                                .plain = p->values[s->in[0]].shape};
    }
    return word_count(p, s) * sizeof *s->weights + (scale_count(p, s) + edge_floats(s)) * sizeof(float);
}

static void *zeroed(size_t count, size_t size, fnr_error *err)
{
    void *data = fnr_alloc_aligned(count, size, "int8 weights", err);
    if (data) {
        memset(data, 0, count * size);
    }
    return data;
}

bool fnr_i8_weights_new(const fnr_i8_program *p, fnr_i8_step *s, fnr_error *err)
{
    if (!(s->alpha = zeroed(scale_count(p, s), sizeof *s->alpha, err))) {
        return false;
    }
    s->beta = s->alpha + alpha_count(p, s);
    s->zeros = s->beta + outputs_of(p, s);
    if (s->kind == FNR_I8_FIRST) {
        return (s->edge.expand = s->edge_weights = zeroed(edge_floats(s), sizeof *s->edge_weights, err)) != NULL;
    }
    return (s->weights = zeroed(word_count(p, s), sizeof *s->weights, err)) != NULL;
}

/* A channel that never rises above zero still needs a step; the smallest is a thousandth of the largest. */
static void find_steps(const fnr_i8_program *p, const fnr_i8_step *s)
{
    const fnr_i8_value *v = &p->values[s->out];
    const float *gamma = param(p, s->norm->weight), *beta = param(p, s->norm->bias);
    double most = 0;
    for (int c = 0; c < v->shape.c; c++) {
        most = fmax(most, (double)beta[c] + FNR_I8_RANGE * fabs((double)gamma[c]));
    }
    for (int c = 0; c < v->shape.c; c++) {
        const double range = fmax((double)beta[c] + FNR_I8_RANGE * fabs((double)gamma[c]), 1e-3 * most);
        v->step[c] = (float)((range > 0 ? range : 1) / 255);
    }
}

/* Byte = factor * x + beta, where x is output o of the convolution without its bias; returns the factor. */
static double fold_norm(const fnr_i8_program *p, fnr_i8_step *s, int o)
{
    const float *gamma = param(p, s->norm->weight), *beta = param(p, s->norm->bias), *bias = param(p, s->conv->bias);
    const double mean = (double)param(p, s->norm->running_mean)[o], var = (double)param(p, s->norm->running_var)[o];
    const double factor = (double)gamma[o] / sqrt(var + (double)FNR_BN_EPS), step = (double)p->values[s->out].step[o];
    s->beta[o] = (float)((factor * ((bias ? (double)bias[o] : 0) - mean) + (double)beta[o]) / step);
    return factor / step;
}

/* ---- words --------------------------------------------------------------------------------------------------------------- */

/* What one unit of `count` weights stands for: as little as words allow, and sums of their products with words up to `limit`. */
static double unit_of(const double *w, size_t count, double limit)
{
    double most = 0, sum = 0;
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, fabs(w[i]));
        sum += fabs(w[i]);
    }
    const double room = (double)INT32_MAX / limit - 0.5 * (double)count; /* rounding may add a half to each */
    return most > 0 ? fmax(most / INT16_MAX, sum / room) : 1;
}

/* G g along one axis; Lavin and Gray's matrix for the points 0, +-1/2, +-1, +-2, infinity. */
static void transform_axis(double a, double b, double c, double *u, int step)
{
    u[0] = -a;
    u[step] = (a + b / 2 + c / 4) / 1.40625;
    u[2 * step] = (a - b / 2 + c / 4) / 1.40625;
    u[3 * step] = (a + b + c) / -4.5;
    u[4 * step] = (a - b + c) / -4.5;
    u[5 * step] = (a + 2 * b + 4 * c) / 180; /* 90, but B's row is doubled */
    u[6 * step] = (a - 2 * b + 4 * c) / 180;
    u[7 * step] = c;
}

/* G w G^T. */
static void transform_weights(const double w[9], double u[FNR_I8_FREQUENCIES])
{
    double t[FNR_I8_REACH * 3];
    for (int x = 0; x < 3; x++) {
        transform_axis(w[x], w[3 + x], w[6 + x], t + x, 3);
    }
    for (int y = 0; y < FNR_I8_REACH; y++) {
        transform_axis(t[3 * y], t[3 * y + 1], t[3 * y + 2], u + FNR_I8_REACH * y, 1);
    }
}

/* The largest magnitude of B^T d B at a frequency for bytes d, and some for its roundings. */
static double largest_at(int frequency)
{
    /* Sums of the positive and of the negative numbers in a row of B^T. */
    static const double plus[FNR_I8_REACH] = {6.25, 7.5, 7.5, 4, 6.25, 7.5, 7.5, 6.25};
    static const double minus[FNR_I8_REACH] = {6.25, 7.5, 7.5, 8.5, 6.25, 7.5, 7.5, 6.25};
    const int y = frequency / FNR_I8_REACH, x = frequency % FNR_I8_REACH;
    return 255 * fmax(plus[y] * plus[x] + minus[y] * minus[x], plus[y] * minus[x] + minus[y] * plus[x]) + 4;
}

/* All weights of output o, times their input's step, as the products read them: out[product * depth + place in the row]. */
static void gather(const fnr_i8_program *p, const fnr_i8_step *s, int o, double *out)
{
    const float *weights = param(p, s->conv->weight);
    const int taps = fnr_i8_taps(s->conv), n_out = p->values[s->out].shape.c;
    int channel = 0, first = 0, n_in = 0;
    memset(out, 0, (size_t)s->products * (size_t)s->depth * sizeof *out);
    for (int k = 0; k < 2 && s->in[k] >= 0; k++) {
        n_in += p->values[s->in[k]].shape.c;
    }
    for (int k = 0; k < 2 && s->in[k] >= 0; first += p->values[s->in[k++]].channels) {
        for (int c = 0; c < p->values[s->in[k]].shape.c; c++, channel++) {
            double w[9], u[FNR_I8_FREQUENCIES];
            for (int t = 0; t < taps; t++) {
                const int at = s->kind == FNR_I8_UP ? channel * n_out + o : o * n_in + channel;
                w[t] = (double)weights[(size_t)at * (size_t)taps + (size_t)t] * (double)p->values[s->in[k]].step[c];
            }
            if (s->kind == FNR_I8_WINOGRAD) {
                transform_weights(w, u);
            }
            const double *from = s->kind == FNR_I8_WINOGRAD ? u : w;
            for (int q = 0; q < (s->kind == FNR_I8_WINOGRAD ? FNR_I8_FREQUENCIES : taps); q++) {
                out[(size_t)q * (size_t)s->rows_in + (size_t)(first + c)] = from[q]; /* DIRECT: pixel after pixel in one row */
            }
        }
    }
}

typedef struct {
    const fnr_i8_program *program;
    fnr_i8_step *step;
    double *rows; /* products * depth per worker */
} pack_job;

/* The group of vectors whose products make an output. */
typedef struct {
    int first, vectors;
} group;

static group group_of(const fnr_i8_program *p, const fnr_i8_step *s, int o)
{
    const int all = p->values[s->out].channels / 16;
    group g = {.vectors = fnr_i8_vectors(p, all)};
    while (o / 16 >= g.first + g.vectors) {
        g.first += g.vectors;
        g.vectors = fnr_i8_vectors(p, all - g.first);
    }
    return g;
}

/* The words of one product for output o, as fnr_i8_product wants them. */
static void put_words(const fnr_i8_step *s, group g, int o, int q, const double *row, double unit)
{
    int16_t *to = fnr_i8_words_of(s, g.first, g.vectors, q);
    for (int k = 0; k < s->depth; k++) {
        to[((size_t)(k / 2 * g.vectors + o / 16 - g.first) * 16 + (size_t)(o % 16)) * 2 + (size_t)(k % 2)] = (int16_t)lrint(row[k] / unit);
    }
}

static void pack_output(void *ctx, int worker, int o)
{
    const pack_job *j = ctx;
    fnr_i8_step *s = j->step;
    const group g = group_of(j->program, s, o);
    const size_t depth = (size_t)s->depth, count = (size_t)s->products * depth;
    double *row = j->rows + (size_t)worker * count;
    gather(j->program, s, o, row);
    const bool winograd = s->kind == FNR_I8_WINOGRAD;
    const double factor = fold_norm(j->program, s, o);
    double unit = winograd ? 0 : unit_of(row, count, 255); /* of frequencies each its own; taps of UP share an alpha */
    for (int q = 0; q < s->products; q++) {
        if (winograd) {
            unit = unit_of(row + (size_t)q * depth, depth, largest_at(q));
        }
        put_words(s, g, o, q, row + (size_t)q * depth, unit);
        s->alpha[winograd ? (g.first * s->products + q * g.vectors) * 16 + o - 16 * g.first : o] = (float)(unit * factor);
    }
}

static bool pack_words(fnr_i8_program *p, fnr_i8_step *s, fnr_error *err)
{
    pack_job job = {.program = p, .step = s};
    job.rows = fnr_alloc_aligned((size_t)p->workers * (size_t)s->products, (size_t)s->depth * sizeof *job.rows, "weights to be rounded", err);
    if (!job.rows) {
        return false;
    }
    fnr_dn_for_workers(p->workers, p->values[s->out].shape.c, pack_output, &job);
    free(job.rows);
    return true;
}

/* ---- both ends ----------------------------------------------------------------------------------------------------------- */

static void pack_first(const fnr_i8_program *p, fnr_i8_step *s)
{
    fnr_dn_edge_pack(&s->edge, param(p, s->conv->weight));
    for (int o = 0; o < p->values[s->out].shape.c; o++) {
        s->alpha[o] = (float)fold_norm(p, s, o);
    }
}

/* The nine taps of output o are the outputs of one product. */
static bool pack_last(const fnr_i8_program *p, fnr_i8_step *s, int o, fnr_error *err)
{
    const fnr_i8_value *in = &p->values[s->in[0]];
    const size_t count = (size_t)in->shape.c * 9;
    const float *w = param(p, s->conv->weight) + (size_t)o * count, *bias = param(p, s->conv->bias);
    double *row = fnr_alloc_aligned(count, sizeof *row, "weights to be rounded", err);
    if (!row) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        row[i] = (double)w[i] * (double)in->step[i / 9];
    }
    const double unit = unit_of(row, count, 255);
    int16_t *to = fnr_i8_words_of(s, o, 1, 0);
    for (size_t i = 0; i < count; i++) {
        const size_t c = i / 9, tap = i % 9;
        to[(c / 2 * 16 + tap) * 2 + c % 2] = (int16_t)lrint(row[i] / unit);
    }
    s->alpha[o] = (float)unit;
    s->beta[o] = bias ? bias[o] : 0;
    free(row);
    return true;
}

static bool pack(fnr_i8_program *p, fnr_i8_step *s, fnr_error *err)
{
    if (s->norm) {
        find_steps(p, s);
    }
    if (s->kind == FNR_I8_FIRST) {
        pack_first(p, s);
        return true;
    }
    if (s->kind != FNR_I8_LAST) {
        return pack_words(p, s, err);
    }
    for (int o = 0; o < p->values[s->out].shape.c; o++) {
        if (!pack_last(p, s, o, err)) {
            return false;
        }
    }
    return true;
}

bool fnr_i8_refresh(fnr_i8_program *p, fnr_error *err)
{
    for (int i = 0; p->version != p->state->version && i < p->n_steps; i++) {
        if (!pack(p, &p->steps[i], err)) {
            return false;
        }
    }
    p->version = p->state->version;
    return true;
}
