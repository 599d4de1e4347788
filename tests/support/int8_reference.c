#include "tests/support/int8_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Winograd F(2x2, 3x3). */
static const int bt[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
static const int at[2][4] = {{1, 1, 1, 0}, {0, 1, -1, -1}};
static const double g_matrix[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};

typedef struct {
    fnr_shape s;
    int *bytes;   /* (c, h, w) */
    float *steps; /* (c) */
    bool joined;  /* from two tensors */
} tensor;

static int clamp(long v, int low, int high)
{
    return v < low ? low : v > high ? high : (int)v;
}

void fnr_int8_reference_patch(const int d[16], int v[16])
{
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) {
            int sum = 0;
            for (int a = 0; a < 4; a++) {
                for (int b = 0; b < 4; b++) {
                    sum += bt[i][a] * d[4 * a + b] * bt[j][b];
                }
            }
            const int offset = i == 1 && j == 1 ? 0 : 128;
            v[4 * i + j] = clamp((long)floor((sum + 2) / 4.0) + offset, 0, 255);
        }
    }
}

void fnr_int8_reference_inverse(const int m[16], int y[4])
{
    for (int i = 0; i < 4; i++) {
        y[i] = 0;
        for (int a = 0; a < 4; a++) {
            for (int b = 0; b < 4; b++) {
                y[i] += at[i / 2][a] * m[4 * a + b] * at[i % 2][b];
            }
        }
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

static void affine_of(const layer *l, int o, double unit, float *alpha, float *beta)
{
    const double k = (double)param(l, l->norm->weight)[o] / sqrt((double)param(l, l->norm->running_var)[o] + (double)FNR_BN_EPS);
    const double centre = (double)param(l, l->conv->bias)[o] - (double)param(l, l->norm->running_mean)[o];
    *alpha = (float)(unit * k / (double)l->out->steps[o]);
    *beta = (float)((k * centre + (double)param(l, l->norm->bias)[o]) / (double)l->out->steps[o]);
}

static int requant(float sum, float alpha, float beta)
{
    return clamp(lrintf(fminf(fmaxf(fmaf(sum, alpha, beta), -1.0f), 300.0f)), 0, 255);
}

static double weight(const layer *l, int o, int c, int tap, int taps)
{
    const int row = l->conv->kind == FNR_OP_CONVT ? c * l->out->s.c + o : o * l->in->s.c + c; /* the last layer has no `out` */
    const int index = row * taps + tap;
    return (double)param(l, l->conv->weight)[index] * (double)l->in->steps[c];
}

/* The weights of output o in the form of the products, [channel][16], and their largest magnitude / 127. */
static double spread_weights(const layer *l, int o, bool winograd, double *u)
{
    const int taps = l->conv->kernel * l->conv->kernel;
    double most = 0;
    for (int c = 0; c < l->in->s.c; c++) {
        double w[9], half[4][3];
        for (int t = 0; t < taps; t++) {
            w[t] = weight(l, o, c, t, taps);
        }
        for (int i = 0; i < 16; i++) {
            if (!winograd) {
                u[16 * c + i] = i < taps ? w[i] : 0;
                continue;
            }
            for (int x = 0; x < 3; x++) {
                half[i / 4][x] = g_matrix[i / 4][0] * w[x] + g_matrix[i / 4][1] * w[3 + x] + g_matrix[i / 4][2] * w[6 + x];
            }
            u[16 * c + i] = half[i / 4][0] * g_matrix[i % 4][0] + half[i / 4][1] * g_matrix[i % 4][1] + half[i / 4][2] * g_matrix[i % 4][2];
        }
        for (int i = 0; i < 16; i++) {
            most = fmax(most, fabs(u[16 * c + i]));
        }
    }
    return most > 0 ? most / 127 : 1;
}

static void put(const layer *l, int o, int y, int x, int value)
{
    if (y < l->out->s.h && x < l->out->s.w) {
        l->out->bytes[(o * l->out->s.h + y) * l->out->s.w + x] = value;
    }
}

static void winograd_tile(const layer *l, int o, int y, int x, const double *u, double unit)
{
    int m[16] = {0}, sums[4];
    float alpha, beta;
    for (int c = 0; c < l->in->s.c; c++) {
        int d[16], v[16];
        for (int i = 0; i < 16; i++) {
            d[i] = byte_at(l->in, c, y - 1 + i / 4, x - 1 + i % 4);
        }
        fnr_int8_reference_patch(d, v);
        for (int i = 0; i < 16; i++) {
            m[i] += (v[i] - (i == 5 ? 0 : 128)) * (int)lrint(u[16 * c + i] / unit);
        }
    }
    fnr_int8_reference_inverse(m, sums);
    affine_of(l, o, 4 * unit, &alpha, &beta);
    for (int i = 0; i < 4; i++) {
        put(l, o, y + i / 2, x + i % 2, requant((float)sums[i], alpha, beta));
    }
}

/* Pixel (y, x) of the coarse side. */
static void square(const layer *l, int o, int y, int x, const double *u, double unit)
{
    const int k = l->conv->kernel, stride = l->conv->stride, pad = l->conv->pad;
    int sums[4] = {0};
    float alpha, beta;
    const bool up = l->conv->kind == FNR_OP_CONVT;
    for (int c = 0; c < l->in->s.c; c++) {
        for (int t = 0; t < k * k; t++) {
            const int byte = up ? byte_at(l->in, c, y, x) : byte_at(l->in, c, stride * y - pad + t / k, stride * x - pad + t % k);
            sums[up ? t : 0] += byte * (int)lrint(u[16 * c + t] / unit);
        }
    }
    affine_of(l, o, unit, &alpha, &beta);
    for (int t = 0; t < (up ? 4 : 1); t++) {
        put(l, o, up ? 2 * y + t / 2 : y, up ? 2 * x + t % 2 : x, requant((float)sums[t], alpha, beta));
    }
}

static void run_layer(const layer *l)
{
    const bool winograd = l->conv->kernel == 3 && (l->in->joined || l->in->s.c > 32), up = l->conv->kind == FNR_OP_CONVT;
    const fnr_shape *s = up ? &l->in->s : &l->out->s;
    double *u = calloc((size_t)l->in->s.c * 16, sizeof *u);
    find_steps(l);
    for (int o = 0; u && o < l->out->s.c; o++) {
        const double unit = spread_weights(l, o, winograd, u);
        for (int y = 0; y < s->h; y += winograd ? 2 : 1) {
            for (int x = 0; x < s->w; x += winograd ? 2 : 1) {
                winograd ? winograd_tile(l, o, y, x, u, unit) : square(l, o, y, x, u, unit);
            }
        }
    }
    free(u);
}

/* The first convolution: float32, one fused multiply-add per tap, then a byte. */
static void run_first(const layer *l, const fnr_shape *s, const float *x)
{
    find_steps(l);
    for (int i = 0; i < (int)fnr_shape_count(&l->out->s); i++) {
        const int o = i / (s->h * s->w), r = i / s->w % s->h, q = i % s->w;
        float sum = 0, alpha, beta;
        for (int k = 0; k < s->c * 9; k++) {
            const int y = r + k / 3 % 3 - 1, z = q + k % 3 - 1;
            const bool inside = y >= 0 && y < s->h && z >= 0 && z < s->w;
            sum = fmaf(inside ? x[(k / 9 * s->h + y) * s->w + z] : 0, param(l, l->conv->weight)[o * s->c * 9 + k], sum);
        }
        affine_of(l, o, 1, &alpha, &beta);
        l->out->bytes[i] = requant(sum, alpha, beta);
    }
}

/* Weights rounded to 15 bits. */
static void run_last(const layer *l, const fnr_shape *s, float *out)
{
    const int per_output = l->in->s.c * 9;
    double unit[4] = {0};
    for (int i = 0; i < s->c * per_output; i++) {
        unit[i / per_output] = fmax(unit[i / per_output], fabs(weight(l, i / per_output, i % per_output / 9, i % 9, 9)) / (127 * 128));
    }
    for (int i = 0; i < (int)fnr_shape_count(s); i++) {
        const int o = i / (s->h * s->w), r = i / s->w % s->h, q = i % s->w;
        double sum = (double)param(l, l->conv->bias)[o];
        for (int k = 0; k < per_output; k++) {
            sum += byte_at(l->in, k / 9, r + k / 3 % 3 - 1, q + k % 3 - 1) * nearbyint(weight(l, o, k / 9, k % 9, 9) / unit[o]) * unit[o];
        }
        out[i] = (float)sum;
    }
}

static void join(const tensor *a, const tensor *b, tensor *out)
{
    const size_t n = fnr_shape_count(&a->s);
    out->joined = true;
    memcpy(out->bytes, a->bytes, n * sizeof *out->bytes);
    memcpy(out->bytes + n, b->bytes, fnr_shape_count(&b->s) * sizeof *out->bytes);
    memcpy(out->steps, a->steps, (size_t)a->s.c * sizeof *out->steps);
    memcpy(out->steps + a->s.c, b->steps, (size_t)b->s.c * sizeof *out->steps);
}

void fnr_int8_reference(const fnr_graph *g, const float *flat, const fnr_shape *input, const float *x, float *y)
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
        layer l = {.g = g, .flat = flat, .conv = op, .norm = i + 1 < g->n_ops ? &g->ops[i + 1] : NULL, .in = &t[op->in[0]]};
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
