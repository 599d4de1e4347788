/* From a state's parameters: what an activation's unit stands for, and weights as bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "net/onednn/int8.h"
#include "src/core/mem.h"
#include "src/core/threads.h"

static const float *param(const fnr_i8_program *p, int id)
{
    return id < 0 ? NULL : p->state->values + p->graph->params[id].offset;
}

static bool first_new(fnr_i8_program *p, fnr_i8_step *s, fnr_error *err)
{
    const fnr_i8_value *out = &p->values[s->out];
    s->edge = (fnr_dn_edge){.kernels = p->floats,
                            .extent = {.n = 1, .channels = out->shape.c, .blocks = out->channels / p->floats->block},
                            .plain = p->values[s->in[0]].shape};
    const size_t floats = fnr_dn_edge_floats(&s->edge);
    s->edge_weights = fnr_alloc_aligned(floats, sizeof *s->edge_weights, "weights", err);
    if (!s->edge_weights) {
        return false;
    }
    memset(s->edge_weights, 0, floats * sizeof *s->edge_weights);
    s->edge.expand = s->edge_weights;
    p->weight_bytes += floats * sizeof *s->edge_weights;
    return true;
}

static bool bytes_new(fnr_i8_program *p, fnr_i8_step *s, size_t outputs, fnr_error *err)
{
    const size_t sums = outputs * (size_t)s->products, bytes = sums * (size_t)s->depth;
    s->weights = fnr_alloc_aligned(bytes, 1, "int8 weights", err);
    s->init = s->weights ? fnr_alloc_aligned(sums, sizeof *s->init, "int8 weights", err) : NULL;
    if (!s->init) {
        return false;
    }
    memset(s->weights, 0, bytes);
    memset(s->init, 0, sums * sizeof *s->init);
    p->weight_bytes += bytes + sums * sizeof *s->init;
    return true;
}

bool fnr_i8_weights_new(fnr_i8_program *p, fnr_i8_step *s, fnr_error *err)
{
    const size_t outputs = (size_t)p->values[s->out].channels;
    for (int k = 0; k < 2 && s->in[k] >= 0; k++) {
        s->rows_in += p->values[s->in[k]].channels;
    }
    s->products = s->kind == FNR_I8_WINOGRAD ? FNR_I8_POSITIONS : s->kind == FNR_I8_UP ? 4 : 1;
    s->depth = s->kind == FNR_I8_DIRECT ? fnr_i8_taps(s->conv) * s->rows_in : s->rows_in;
    s->alpha = fnr_alloc_aligned(3 * outputs, sizeof *s->alpha, "int8 scales", err);
    if (!s->alpha) {
        return false;
    }
    memset(s->alpha, 0, 3 * outputs * sizeof *s->alpha);
    s->beta = s->alpha + outputs;
    s->zeros = s->beta + outputs;
    return s->kind == FNR_I8_FIRST ? first_new(p, s, err) : bytes_new(p, s, s->kind == FNR_I8_LAST ? 32 * (size_t)p->values[s->out].shape.c : outputs, err);
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

/* alpha and beta so that byte = alpha * sum + beta, where the sum counts `unit[o]`s of the convolution without bias. */
static void fold_norm(const fnr_i8_program *p, fnr_i8_step *s, int o, double unit)
{
    const float *gamma = param(p, s->norm->weight), *beta = param(p, s->norm->bias), *bias = param(p, s->conv->bias);
    const double mean = (double)param(p, s->norm->running_mean)[o], var = (double)param(p, s->norm->running_var)[o];
    const double factor = (double)gamma[o] / sqrt(var + (double)FNR_BN_EPS), step = (double)p->values[s->out].step[o];
    s->alpha[o] = (float)(unit * factor / step);
    s->beta[o] = (float)((factor * ((bias ? (double)bias[o] : 0) - mean) + (double)beta[o]) / step);
}

/* ---- bytes --------------------------------------------------------------------------------------------------------------- */

/* G w G^T. */
static void transform_weights(const double w[9], double out[FNR_I8_POSITIONS])
{
    double rows[4][3];
    for (int x = 0; x < 3; x++) {
        const double a = w[x], b = w[3 + x], c = w[6 + x];
        rows[0][x] = a;
        rows[1][x] = (a + b + c) / 2;
        rows[2][x] = (a - b + c) / 2;
        rows[3][x] = c;
    }
    for (int i = 0; i < 4; i++) {
        const double a = rows[i][0], b = rows[i][1], c = rows[i][2];
        out[4 * i] = a;
        out[4 * i + 1] = (a + b + c) / 2;
        out[4 * i + 2] = (a - b + c) / 2;
        out[4 * i + 3] = c;
    }
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
            double w[9], u[FNR_I8_POSITIONS];
            for (int t = 0; t < taps; t++) {
                const int at = s->kind == FNR_I8_UP ? channel * n_out + o : o * n_in + channel;
                w[t] = (double)weights[(size_t)at * (size_t)taps + (size_t)t] * (double)p->values[s->in[k]].step[c];
            }
            if (s->kind == FNR_I8_WINOGRAD) {
                transform_weights(w, u);
            }
            const double *from = s->kind == FNR_I8_WINOGRAD ? u : w;
            for (int q = 0; q < (s->kind == FNR_I8_WINOGRAD ? FNR_I8_POSITIONS : taps); q++) {
                out[(size_t)q * (size_t)s->rows_in + (size_t)(first + c)] = from[q]; /* DIRECT: pixel after pixel in one row */
            }
        }
    }
}

typedef struct {
    const fnr_i8_program *program;
    fnr_i8_step *step;
    double *rows; /* products * depth per output; NULL where there is no memory */
} pack_job;

static void pack_output(void *ctx, size_t index)
{
    const pack_job *j = ctx;
    fnr_i8_step *s = j->step;
    const int o = (int)index, vector = o / 16, all = j->program->values[s->out].channels / 16;
    int group = 0, vectors = fnr_i8_vectors(all); /* first vector of the group of products that makes this output, and its size */
    for (; vector >= group + vectors; vectors = fnr_i8_vectors(all - group)) {
        group += vectors;
    }
    const size_t count = (size_t)s->products * (size_t)s->depth;
    double *row = j->rows + index * count, most = 0;
    const bool real = o < j->program->values[s->out].shape.c;
    if (real) {
        gather(j->program, s, o, row);
    }
    for (size_t i = 0; real && i < count; i++) {
        most = fmax(most, fabs(row[i]));
    }
    const double unit = most > 0 ? most / 127 : 1;
    int8_t *weights = s->weights + (size_t)(16 * group) * count;
    int32_t *init = s->init + (size_t)(16 * group * s->products);
    for (int q = 0; q < s->products; q++) {
        int sum = 0;
        for (int k = 0; k < s->depth; k++) {
            const int w = real ? (int)lrint(row[(size_t)q * (size_t)s->depth + (size_t)k] / unit) : 0;
            weights[(((size_t)q * (size_t)s->depth + (size_t)k) / 4 * (size_t)vectors + (size_t)(vector - group)) * 64 + (size_t)(o % 16 * 4 + k % 4)] =
                (int8_t)w;
            sum += w;
        }
        const bool offset = s->kind == FNR_I8_WINOGRAD && q != FNR_I8_CENTRE;
        init[(q * vectors + vector - group) * 16 + o % 16] = offset ? -FNR_I8_OFFSET * sum : 0;
    }
    if (real) {
        fold_norm(j->program, s, o, s->kind == FNR_I8_WINOGRAD ? 4 * unit : unit);
    }
}

static bool pack_bytes(fnr_i8_program *p, fnr_i8_step *s, fnr_error *err)
{
    const size_t outputs = (size_t)p->values[s->out].channels;
    pack_job job = {.program = p, .step = s};
    job.rows = fnr_calloc(outputs * (size_t)s->products, (size_t)s->depth * sizeof *job.rows, "weights to be rounded", err);
    if (!job.rows) {
        return false;
    }
    fnr_parallel_for(outputs, pack_output, &job);
    free(job.rows);
    return true;
}

/* ---- both ends ----------------------------------------------------------------------------------------------------------- */

static void pack_first(const fnr_i8_program *p, fnr_i8_step *s)
{
    fnr_dn_edge_pack(&s->edge, param(p, s->conv->weight));
    for (int o = 0; o < p->values[s->out].shape.c; o++) {
        fold_norm(p, s, o, 1);
    }
}

static void pack_last_channel(const fnr_i8_program *p, fnr_i8_step *s, int o)
{
    const fnr_i8_value *in = &p->values[s->in[0]];
    const float *w = param(p, s->conv->weight) + (size_t)(o * in->shape.c * 9), *bias = param(p, s->conv->bias);
    int8_t *to = s->weights + (size_t)(o * 32 * s->depth);
    double most = 0;
    for (int i = 0; i < in->shape.c * 9; i++) {
        most = fmax(most, fabs((double)w[i] * (double)in->step[i / 9]));
    }
    const double unit = most > 0 ? most / (127 * FNR_I8_HIGH) : 1;
    for (int i = 0; i < in->shape.c * 9; i++) {
        const int c = i / 9, tap = i % 9, number = (int)lrint((double)w[i] * (double)in->step[c] / unit);
        const int high = (int)floor((number + FNR_I8_HIGH / 2) / (double)FNR_I8_HIGH);
        int8_t *at = to + c / 4 * 128 + tap * 4 + c % 4;
        at[0] = (int8_t)high;
        at[64] = (int8_t)(number - FNR_I8_HIGH * high);
    }
    s->alpha[o] = (float)unit;
    s->beta[o] = bias ? bias[o] : 0;
}

bool fnr_i8_refresh(fnr_i8_program *p, fnr_error *err)
{
    for (int i = 0; p->version != p->state->version && i < p->n_steps; i++) {
        fnr_i8_step *s = &p->steps[i];
        if (s->norm) {
            find_steps(p, s);
        }
        if (s->kind == FNR_I8_FIRST) {
            pack_first(p, s);
        } else if (s->kind != FNR_I8_LAST && !pack_bytes(p, s, err)) {
            return false;
        }
        for (int o = 0; s->kind == FNR_I8_LAST && o < p->values[s->out].shape.c; o++) {
            pack_last_channel(p, s, o);
        }
    }
    p->version = p->state->version;
    return true;
}
