#include "tests/support/int8_reference.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Winograd F(6x6, 3x3) with points 0, +-1/2, +-1, +-2, infinity; the rows of +-2 doubled. */
static const int four_bt[8][8] = {{-4, 0, 21, 0, -21, 0, 4, 0},  {0, 8, 16, -10, -20, 2, 4, 0}, {0, -8, 16, 10, -20, -2, 4, 0},
                                  {0, 4, 4, -17, -17, 4, 4, 0},  {0, -4, 4, 17, -17, -4, 4, 0}, {0, 4, 2, -20, -10, 16, 8, 0},
                                  {0, -4, 2, 20, -10, -16, 8, 0}, {0, -4, 0, 21, 0, -21, 0, 4}};
static const double g_matrix[8][3] = {{-1, 0, 0},
                                      {1 / 1.40625, 0.5 / 1.40625, 0.25 / 1.40625},
                                      {1 / 1.40625, -0.5 / 1.40625, 0.25 / 1.40625},
                                      {1 / -4.5, 1 / -4.5, 1 / -4.5},
                                      {1 / -4.5, -1 / -4.5, 1 / -4.5},
                                      {1 / 180.0, 2 / 180.0, 4 / 180.0},
                                      {1 / 180.0, -2 / 180.0, 4 / 180.0},
                                      {0, 0, 1}};

typedef struct {
    fnr_shape s;
    int *bytes;   /* (c, h, w) */
    float *steps; /* (c) */
    int joined;   /* channels of the first of two tensors that it is made of; 0: of one */
} tensor;

static int clamp(long v, int low, int high)
{
    return v < low ? low : v > high ? high : (int)v;
}

/* x * numerator / 2^15 to the nearest, halves up. */
static int scaled(int x, int numerator)
{
    return (int)floor((double)x * numerator / 32768.0 + 0.5);
}

/* Along an axis of numbers that are four times too large. */
static void round_axis(const int t[8], int v[8])
{
    const int even[3] = {t[2] - t[4] - scaled(t[4] - t[6], 8192), scaled(t[2] + t[6] - scaled(t[4], 8192), 8192) - t[4],
                         scaled(t[6] - t[4] + scaled(t[2] - t[4], 8192), 16384)};
    const int odd[3] = {scaled(t[1] - t[3] - scaled(t[3] - t[5], 8192), 16384), scaled(t[1] + t[5] - scaled(t[3], 8192), 8192) - t[3],
                        t[5] - t[3] + scaled(t[1] - t[3], 8192)};
    v[0] = t[2] - t[4] + scaled(t[2] - t[4], 10240) + scaled(t[6] - t[0], 8192);
    for (int i = 0; i < 3; i++) {
        v[1 + 2 * i] = even[i] + odd[i];
        v[2 + 2 * i] = even[i] - odd[i];
    }
    v[7] = t[3] - t[5] + scaled(t[3] - t[5], 10240) + scaled(t[7] - t[1], 8192);
}

void fnr_int8_reference_patch(const int d[64], int v[64])
{
    for (int i = 0; i < 8; i++) {
        int t[8] = {0};
        for (int x = 0; x < 8; x++) {
            for (int y = 0; y < 8; y++) {
                t[x] += four_bt[i][y] * d[8 * y + x];
            }
        }
        round_axis(t, v + 8 * i);
    }
}

/* A^T m along an axis, in the order that int8_kernels.h promises. */
static void inverse_axis(const float *m, int step, float *y, int y_step)
{
    const float s1 = m[step] + m[2 * step], d1 = m[step] - m[2 * step];
    const float s2 = m[3 * step] + m[4 * step], d2 = m[3 * step] - m[4 * step];
    const float s3 = m[5 * step] + m[6 * step], d3 = m[5 * step] - m[6 * step];
    y[0] = m[0] + (s1 + (s2 + s3));
    for (int i = 1; i < 6; i++) {
        const float half = ldexpf(1, -i), two = ldexpf(1, i);
        y[i * y_step] = i % 2 ? fmaf(half, d1, fmaf(two, d3, d2)) : fmaf(half, s1, fmaf(two, s3, s2));
    }
    y[5 * y_step] += m[7 * step];
}

void fnr_int8_reference_inverse(const float m[64], float y[36])
{
    float t[48];
    for (int x = 0; x < 8; x++) {
        inverse_axis(m + x, 8, t + x, 8);
    }
    for (int r = 0; r < 6; r++) {
        inverse_axis(t + 8 * r, 1, y + 6 * r, 1);
    }
}

static int byte_at(const tensor *t, int c, int y, int x)
{
    const bool inside = y >= 0 && y < t->s.h && x >= 0 && x < t->s.w;
    return inside ? t->bytes[(c * t->s.h + y) * t->s.w + x] : 0;
}

static void make_tensor(tensor *t, const fnr_shape *s)
{
    t->s = *s;
    t->bytes = calloc(fnr_shape_count(s), sizeof *t->bytes);
    t->steps = calloc((size_t)s->c, sizeof *t->steps);
    if (!t->bytes || !t->steps) {
        abort();
    }
}

/* A convolution and its norm. */
typedef struct {
    const fnr_graph *g;
    const float *flat;
    const fnr_op *conv, *norm;
    const tensor *in;
    tensor *out;
    bool each;
} layer;

static const float *param(const layer *l, int id)
{
    return l->flat + l->g->params[id].offset;
}

static void find_steps(const layer *l)
{
    double most = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int c = 0; c < l->out->s.c; c++) {
            const double range = (double)param(l, l->norm->bias)[c] + 12.0 * fabs((double)param(l, l->norm->weight)[c]);
            most = fmax(most, range);
            l->out->steps[c] = (float)(fmax(range, 1e-3 * most) / 255);
        }
    }
}

/* Byte = factor * convolution + beta; returns the factor. */
static double affine_of(const layer *l, int o, float *beta)
{
    const double k = (double)param(l, l->norm->weight)[o] / sqrt((double)param(l, l->norm->running_var)[o] + (double)FNR_BN_EPS);
    const double centre = (double)param(l, l->conv->bias)[o] - (double)param(l, l->norm->running_mean)[o], step = (double)l->out->steps[o];
    *beta = (float)((k * centre + (double)param(l, l->norm->bias)[o]) / step);
    return k / step;
}

static int requant(float y)
{
    return clamp(lrintf(fminf(fmaxf(y, -1.0f), 300.0f)), 0, 255);
}

static double weight(const layer *l, int o, int c, int tap, int taps)
{
    const int row = l->conv->kind == FNR_OP_CONVT ? c * l->out->s.c + o : o * l->in->s.c + c; /* the last layer has no `out` */
    const int index = row * taps + tap;
    return (double)param(l, l->conv->weight)[index] * (double)l->in->steps[c];
}

/* Weights of one product as integers, and what their unit is: sums with numbers up to `limit` stay within 31 bits. */
static double rounded(const double *w, int count, double limit, int *out)
{
    double most = 0, sum = 0;
    for (int i = 0; i < count; i++) {
        most = fmax(most, fabs(w[i]));
        sum += fabs(w[i]);
    }
    const double unit = most > 0 ? fmax(most / 32767, sum / (2147483647.0 / limit - 0.5 * count)) : 1;
    for (int i = 0; i < count; i++) {
        out[i] = (int)lrint(w[i] / unit);
    }
    return unit;
}

/* Channels of a tensor lie in rows of whole chunks of 16; a joined one has two of them. */
static int row_length(const tensor *t)
{
    return t->joined > 0 ? (t->joined + 15) / 16 * 16 + (t->s.c - t->joined + 15) / 16 * 16 : (t->s.c + 15) / 16 * 16;
}

/* Winograd's weights of output o, [frequency][channel], and their units. */
static void winograd_weights(const layer *l, int o, int *u, double *units)
{
    const int n = l->in->s.c;
    double *w = calloc((size_t)row_length(l->in), sizeof *w);
    for (int f = 0; w && f < 64; f++) {
        double plus = 0, minus = 0;
        for (int i = 0; i < 64; i++) {
            const double b = (double)four_bt[f / 8][i / 8] * (double)four_bt[f % 8][i % 8] / 16;
            *(b > 0 ? &plus : &minus) += fabs(b);
        }
        for (int c = 0; c < n; c++) {
            w[c] = 0;
            for (int t = 0; t < 9; t++) {
                w[c] += g_matrix[f / 8][t / 3] * weight(l, o, c, t, 9) * g_matrix[f % 8][t % 3];
            }
        }
        units[f] = rounded(w, row_length(l->in), 255 * fmax(plus, minus) + 4, u + f * row_length(l->in));
    }
    free(w);
}

static void put(const layer *l, int o, int y, int x, int value)
{
    if (y < l->out->s.h && x < l->out->s.w) {
        l->out->bytes[(o * l->out->s.h + y) * l->out->s.w + x] = value;
    }
}

/* The corner of a tile of outputs. */
typedef struct {
    int y, x;
} corner;

static int tile_count(const layer *l)
{
    return (l->out->s.w + 5) / 6 * ((l->out->s.h + 5) / 6);
}

static corner tile_at(const layer *l, int tile)
{
    const int across = (l->out->s.w + 5) / 6;
    return (corner){tile / across * 6, tile % across * 6};
}

/* The transformed inputs of all tiles, [tile][channel][64]. */
static int *all_patches(const layer *l)
{
    const int n = l->in->s.c;
    int *v = calloc((size_t)tile_count(l) * (size_t)n * 64, sizeof *v);
    for (int i = 0; v && i < tile_count(l) * n; i++) {
        const corner at = tile_at(l, i / n);
        int d[64];
        for (int k = 0; k < 64; k++) {
            d[k] = byte_at(l->in, i % n, at.y - 1 + k / 8, at.x - 1 + k % 8);
        }
        fnr_int8_reference_patch(d, v + (size_t)i * 64);
    }
    return v;
}

static void winograd_tile(const layer *l, int o, corner at, const int *v, const int *u, const double *units)
{
    float m[64], out[36], beta;
    int64_t sums[64] = {0};
    const double factor = affine_of(l, o, &beta);
    const int row = row_length(l->in);
    for (int c = 0; c < l->in->s.c; c++, v += 64) {
        for (int i = 0; i < 64; i++) {
            sums[i] += (int64_t)v[i] * u[i * row + c];
            if (llabs(sums[i]) > INT32_MAX) {
                abort(); /* as defined, they fit */
            }
        }
    }
    for (int i = 0; i < 64; i++) {
        m[i] = (float)sums[i] * (float)(units[i] * factor);
    }
    fnr_int8_reference_inverse(m, out);
    for (int i = 0; i < 36; i++) {
        put(l, o, at.y + i / 6, at.x + i % 6, requant(out[i] + beta));
    }
}

/* Pixel (y, x) of the coarse side; w[channel][tap]. */
static void square(const layer *l, int o, int y, int x, const int *w, double unit)
{
    const int k = l->conv->kernel, stride = l->conv->stride, pad = l->conv->pad;
    int sums[4] = {0};
    const bool up = l->conv->kind == FNR_OP_CONVT;
    for (int c = 0; c < l->in->s.c; c++) {
        for (int t = 0; t < k * k; t++) {
            const int byte = up ? byte_at(l->in, c, y, x) : byte_at(l->in, c, stride * y - pad + t / k, stride * x - pad + t % k);
            sums[up ? t : 0] += byte * w[c * k * k + t];
        }
    }
    float beta;
    const float alpha = (float)(unit * affine_of(l, o, &beta));
    for (int t = 0; t < (up ? 4 : 1); t++) {
        put(l, o, up ? 2 * y + t / 2 : y, up ? 2 * x + t % 2 : x, requant(fmaf((float)sums[t], alpha, beta)));
    }
}

static void winograd_output(const layer *l, int o, const int *patches, int *u)
{
    double units[64];
    winograd_weights(l, o, u, units);
    for (int i = 0; i < tile_count(l); i++) {
        winograd_tile(l, o, tile_at(l, i), patches + (size_t)(i * l->in->s.c) * 64, u, units);
    }
}

static void direct_output(const layer *l, int o, double *w, int *u)
{
    const int taps = l->conv->kernel * l->conv->kernel, all = row_length(l->in) * taps;
    const fnr_shape *coarse = l->conv->kind == FNR_OP_CONVT ? &l->in->s : &l->out->s;
    memset(w, 0, (size_t)all * sizeof *w);
    for (int i = 0; i < l->in->s.c * taps; i++) {
        w[i] = weight(l, o, i / taps, i % taps, taps);
    }
    const double unit = rounded(w, all, 255, u);
    for (int i = 0; i < coarse->h * coarse->w; i++) {
        square(l, o, i / coarse->w, i % coarse->w, u, unit);
    }
}

static void run_layer(const layer *l)
{
    int *u = calloc((size_t)row_length(l->in) * 64, sizeof *u);
    double *w = calloc((size_t)row_length(l->in) * 9, sizeof *w);
    const bool winograd = l->conv->kernel == 3 && !l->each;
    int *patches = winograd ? all_patches(l) : NULL;
    if (!u || !w || (winograd && !patches)) {
        abort();
    }
    find_steps(l);
    for (int o = 0; o < l->out->s.c; o++) {
        winograd ? winograd_output(l, o, patches, u) : direct_output(l, o, w, u);
    }
    free(patches);
    free(u);
    free(w);
}

/* The first convolution: float32, one fused multiply-add per tap, then a byte. */
static void run_first(const layer *l, const fnr_shape *s, const float *x)
{
    find_steps(l);
    for (int i = 0; i < (int)fnr_shape_count(&l->out->s); i++) {
        const int o = i / (s->h * s->w), r = i / s->w % s->h, q = i % s->w;
        float sum = 0, beta;
        for (int k = 0; k < s->c * 9; k++) {
            const int y = r + k / 3 % 3 - 1, z = q + k % 3 - 1;
            const bool inside = y >= 0 && y < s->h && z >= 0 && z < s->w;
            sum = fmaf(inside ? x[(k / 9 * s->h + y) * s->w + z] : 0, param(l, l->conv->weight)[o * s->c * 9 + k], sum);
        }
        const float alpha = (float)affine_of(l, o, &beta);
        l->out->bytes[i] = requant(fmaf(sum, alpha, beta));
    }
}

static void run_last(const layer *l, const fnr_shape *s, float *out)
{
    const int per_output = l->in->s.c * 9;
    double *w = calloc((size_t)per_output, sizeof *w);
    int *u = calloc((size_t)per_output, sizeof *u);
    for (int o = 0; w && u && o < s->c; o++) {
        for (int k = 0; k < per_output; k++) {
            w[k] = weight(l, o, k / 9, k % 9, 9);
        }
        const double unit = rounded(w, per_output, 255, u);
        for (int i = 0; i < s->h * s->w; i++) {
            int sum = 0;
            for (int k = 0; k < per_output; k++) {
                sum += byte_at(l->in, k / 9, i / s->w + k / 3 % 3 - 1, i % s->w + k % 3 - 1) * u[k];
            }
            out[o * s->h * s->w + i] = (float)(unit * sum + (double)param(l, l->conv->bias)[o]);
        }
    }
    free(w);
    free(u);
}

static void join(const tensor *a, const tensor *b, tensor *out)
{
    const size_t n = fnr_shape_count(&a->s);
    out->joined = a->s.c;
    memcpy(out->bytes, a->bytes, n * sizeof *out->bytes);
    memcpy(out->bytes + n, b->bytes, fnr_shape_count(&b->s) * sizeof *out->bytes);
    memcpy(out->steps, a->steps, (size_t)a->s.c * sizeof *out->steps);
    memcpy(out->steps + a->s.c, b->steps, (size_t)b->s.c * sizeof *out->steps);
}

void fnr_int8_reference(const fnr_graph *g, const float *flat, const fnr_shape *input, bool each, const float *x, float *y)
{
    tensor *t = calloc((size_t)g->n_values, sizeof *t);
    for (int i = 0; t && i < g->n_values; i++) {
        fnr_shape s;
        if (!fnr_graph_value_shape(g, i, input, &s, NULL)) {
            abort();
        }
        make_tensor(&t[i], &s);
    }
    for (int i = 0; t && i < g->n_ops; i++) {
        const fnr_op *op = &g->ops[i];
        layer l = {.g = g, .flat = flat, .conv = op, .norm = i + 1 < g->n_ops ? &g->ops[i + 1] : NULL, .in = &t[op->in[0]], .each = each};
        if (op->kind == FNR_OP_CONCAT) {
            join(&t[op->in[0]], &t[op->in[1]], &t[op->out]);
        } else if (op->out == g->output) {
            run_last(&l, &t[op->out].s, y);
        } else if (op->kind != FNR_OP_BN_RELU) {
            l.out = &t[l.norm->out];
            op->in[0] == g->input ? run_first(&l, input, x) : run_layer(&l);
        }
    }
    for (int i = 0; t && i < g->n_values; i++) {
        free(t[i].bytes);
        free(t[i].steps);
    }
    free(t);
}
