/* The forward pass in int8: every step is cut into pieces of at most FNR_I8_ROWS Winograd tiles, pixels or so; workers take the next
 * piece until none is left, each with scratch memory of its own that stays in its caches. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include "net/onednn/int8.h"
#include "src/core/threads.h"

enum { BAND = 16 /* rows of a piece of the first and the last convolution */ };

typedef struct {
    fnr_i8_program *program;
    const fnr_i8_step *step;
    float *y; /* LAST */
    int pieces;
    atomic_int next;
    void (*piece)(const fnr_i8_program *p, const fnr_i8_step *s, int index, uint8_t *scratch, float *y);
} work;

static int at_most(int a, int b)
{
    return a < b ? a : b;
}

static void worker(void *ctx, size_t index)
{
    work *w = ctx;
    uint8_t *scratch = (uint8_t *)fnr_dn_plan_data(&w->program->plan, w->program->scratch_buffer) + index * w->program->scratch_bytes;
    for (int i; (i = atomic_fetch_add(&w->next, 1)) < w->pieces;) {
        w->piece(w->program, w->step, i, scratch, w->y);
    }
}

/* ---- 3x3 ------------------------------------------------------------------------------------------------------------------ */

/* Tiles of a piece: as many as keep their sums in the first-level cache, but for deep layers, whose weights want more reuse. */
static int tiles_of(const fnr_i8_step *s)
{
    return s->rows_in >= 128 ? FNR_I8_ROWS : FNR_I8_ROWS / 2;
}

static size_t patches_bytes(const fnr_i8_step *s)
{
    return (size_t)FNR_I8_POSITIONS * (size_t)tiles_of(s) * (size_t)s->rows_in;
}

typedef struct {
    int across, count; /* tiles in a row, in all */
    int first, end;    /* of the piece */
} tiles;

static tiles tiles_at(const fnr_i8_step *s, const fnr_i8_value *out, int index)
{
    tiles t = {.across = (out->shape.w + 1) / 2};
    t.count = t.across * ((out->shape.h + 1) / 2);
    t.first = index * tiles_of(s);
    t.end = at_most(t.first + tiles_of(s), t.count);
    return t;
}

static void transform_in(const fnr_i8_program *p, const fnr_i8_step *s, const tiles *t, uint8_t *v)
{
    const size_t per_position = (size_t)tiles_of(s) * (size_t)s->rows_in;
    for (int i = t->first, n; i < t->end; i += n) {
        const int y = i / t->across, x = i % t->across;
        n = at_most(t->across - x, t->end - i);
        uint8_t *to = v + (size_t)(i - t->first) * (size_t)s->rows_in;
        for (int k = 0; k < 2 && s->in[k] >= 0; k++) {
            const fnr_i8_value *in = &p->values[s->in[k]];
            const uint8_t *corner = in->data + (size_t)(2 * y) * in->row - in->row + (size_t)(2 * x) * (size_t)in->channels - in->channels;
            p->kernels->transform_in(corner, in->row, (size_t)in->channels, n, in->channels, to, (size_t)s->rows_in, per_position);
            to += in->channels;
        }
    }
}

static void transform_out(const fnr_i8_program *p, const fnr_i8_step *s, const tiles *t, const int32_t *m, int vector, int vectors)
{
    const fnr_i8_value *out = &p->values[s->out];
    const fnr_i8_requant q = {.alpha = s->alpha + 16 * vector, .beta = s->beta + 16 * vector};
    const size_t per_tile = (size_t)(16 * vectors);
    for (int i = t->first, n; i < t->end; i += n) {
        const int y = i / t->across, x = i % t->across;
        n = at_most(t->across - x, t->end - i);
        uint8_t *to = out->data + (size_t)(2 * y) * out->row + (size_t)(2 * x) * (size_t)out->channels + 16 * vector;
        p->kernels->transform_out(m + (size_t)(i - t->first) * per_tile, per_tile, (size_t)tiles_of(s) * per_tile, n, vectors, &q, to, out->row,
                                  (size_t)out->channels);
    }
}

static void conv3_piece(const fnr_i8_program *p, const fnr_i8_step *s, int index, uint8_t *scratch, float *y)
{
    (void)y;
    const fnr_i8_value *out = &p->values[s->out];
    const tiles t = tiles_at(s, out, index);
    int32_t *m = (int32_t *)(void *)(scratch + patches_bytes(s));
    transform_in(p, s, &t, scratch);
    for (int v = 0, vectors; v < out->channels / 16; v += vectors) {
        vectors = fnr_i8_vectors(out->channels / 16 - v);
        for (int q = 0; q < FNR_I8_POSITIONS; q++) {
            const fnr_i8_product product = {
                .a = scratch + (size_t)(q * tiles_of(s)) * (size_t)s->rows_in,
                .a_row = (size_t)s->rows_in,
                .segments = 1,
                .segment_bytes = s->rows_in,
                .b = s->weights + ((size_t)v * FNR_I8_POSITIONS + (size_t)(q * vectors)) * 16 * (size_t)s->rows_in,
                .vectors = vectors,
                .init = s->init + (v * FNR_I8_POSITIONS + q * vectors) * 16,
                .c = m + (size_t)(q * tiles_of(s) * vectors) * 16,
                .c_row = (size_t)(16 * vectors),
            };
            p->kernels->product(&product, t.end - t.first);
        }
        transform_out(p, s, &t, m, v, vectors);
    }
}

/* ---- 2x2 ------------------------------------------------------------------------------------------------------------------ */

/* Pieces are parts of rows of the coarser side. */
typedef struct {
    int y, x, count;
} run;

static int runs_across(int w)
{
    return (w + FNR_I8_ROWS - 1) / FNR_I8_ROWS;
}

static run run_at(const fnr_i8_value *coarse, int index)
{
    const int across = runs_across(coarse->shape.w);
    run r = {.y = index / across, .x = index % across * FNR_I8_ROWS};
    r.count = at_most(FNR_I8_ROWS, coarse->shape.w - r.x);
    return r;
}

static uint8_t *pixel_at(const fnr_i8_value *v, int y, int x)
{
    return v->data + (size_t)y * v->row + (size_t)x * (size_t)v->channels;
}

static void down_piece(const fnr_i8_program *p, const fnr_i8_step *s, int index, uint8_t *scratch, float *y)
{
    (void)y;
    const fnr_i8_value *in = &p->values[s->in[0]], *out = &p->values[s->out];
    const run r = run_at(out, index);
    for (int v = 0, vectors; v < out->channels / 16; v += vectors) {
        vectors = fnr_i8_vectors(out->channels / 16 - v);
        const fnr_i8_product product = {
            .a = pixel_at(in, 2 * r.y, 2 * r.x),
            .a_row = (size_t)(2 * in->channels),
            .segments = 2,
            .segment_bytes = 2 * in->channels,
            .a_segment = in->row,
            .b = s->weights + (size_t)(16 * v) * (size_t)s->depth,
            .vectors = vectors,
            .init = s->init + 16 * v,
            .c = (int32_t *)(void *)scratch,
            .c_row = (size_t)(16 * vectors),
        };
        const fnr_i8_requant q = {.alpha = s->alpha + 16 * v, .beta = s->beta + 16 * v};
        p->kernels->product(&product, r.count);
        p->kernels->requant(product.c, product.c_row, r.count, vectors, &q, pixel_at(out, r.y, r.x) + 16 * v, (size_t)out->channels);
    }
}

static void up_piece(const fnr_i8_program *p, const fnr_i8_step *s, int index, uint8_t *scratch, float *y)
{
    (void)y;
    const fnr_i8_value *in = &p->values[s->in[0]], *out = &p->values[s->out];
    const run r = run_at(in, index);
    for (int v = 0, vectors; v < out->channels / 16; v += vectors) {
        vectors = fnr_i8_vectors(out->channels / 16 - v);
        const fnr_i8_requant q = {.alpha = s->alpha + 16 * v, .beta = s->beta + 16 * v};
        for (int tap = 0; tap < 4; tap++) {
            const fnr_i8_product product = {
                .a = pixel_at(in, r.y, r.x),
                .a_row = (size_t)in->channels,
                .segments = 1,
                .segment_bytes = in->channels,
                .b = s->weights + (size_t)(4 * v + tap * vectors) * 16 * (size_t)s->depth,
                .vectors = vectors,
                .init = s->init + (4 * v + tap * vectors) * 16,
                .c = (int32_t *)(void *)scratch,
                .c_row = (size_t)(16 * vectors),
            };
            p->kernels->product(&product, r.count);
            p->kernels->requant(product.c, product.c_row, r.count, vectors, &q, pixel_at(out, 2 * r.y + tap / 2, 2 * r.x + tap % 2) + 16 * v,
                                (size_t)(2 * out->channels));
        }
    }
}

/* ---- both ends ------------------------------------------------------------------------------------------------------------- */

static void first_piece(const fnr_i8_program *p, const fnr_i8_step *s, int index, uint8_t *scratch, float *unused)
{
    (void)unused;
    const fnr_i8_value *out = &p->values[s->out];
    const int block = p->floats->block, n_rows = 3 * s->edge.plain.c;
    const float *rows[3 * FNR_DN_EDGE_PLAIN];
    float *floats = (float *)(void *)scratch;
    for (int y = index * BAND; y < at_most((index + 1) * BAND, out->shape.h); y++) {
        for (int i = 0; i < n_rows; i++) {
            rows[i] = fnr_dn_planes_row(&p->planes, 0, i / 3, 0, y + i % 3);
        }
        for (int b = 0; b < s->edge.extent.blocks; b++) {
            const fnr_dn_affine f = {.mean = s->zeros, .scale = s->alpha + b * block, .shift = s->beta + b * block, .relu = true};
            p->floats->expand_row((size_t)out->shape.w, n_rows, rows, s->edge.expand + (size_t)(b * n_rows * 3 * block), &f, floats);
            p->kernels->from_floats(floats, (size_t)out->shape.w, pixel_at(out, y, 0) + b * block, (size_t)out->channels);
        }
    }
}

/* Row y of the last convolution's input as blocks of floats. */
static float *float_row(const fnr_i8_program *p, const fnr_i8_step *s, float *ring, int y)
{
    const fnr_i8_value *in = &p->values[s->in[0]];
    return ring + (size_t)((y + 3) % 3) * (size_t)in->shape.w * (size_t)in->channels;
}

static void load_row(const fnr_i8_program *p, const fnr_i8_step *s, float *ring, int y)
{
    const fnr_i8_value *in = &p->values[s->in[0]];
    const size_t w = (size_t)in->shape.w, block = (size_t)p->floats->block;
    for (size_t b = 0; b < (size_t)s->edge.extent.blocks && y >= 0 && y < in->shape.h; b++) {
        p->kernels->to_floats(pixel_at(in, y, 0) + b * block, (size_t)in->channels, w, float_row(p, s, ring, y) + b * w * block);
    }
}

static void last_piece(const fnr_i8_program *p, const fnr_i8_step *s, int index, uint8_t *scratch, float *out)
{
    const fnr_i8_value *in = &p->values[s->in[0]];
    const size_t w = (size_t)in->shape.w, block = (size_t)p->floats->block;
    const int n_rows = 3 * s->edge.extent.blocks, first = index * BAND;
    const float *bias = s->conv->bias < 0 ? NULL : p->state->values + p->graph->params[s->conv->bias].offset;
    const float *rows[3 * FNR_DN_EDGE_BLOCKED / 8];
    float *ring = (float *)(void *)scratch;
    load_row(p, s, ring, first - 1);
    load_row(p, s, ring, first);
    for (int y = first; y < at_most(first + BAND, in->shape.h); y++) {
        load_row(p, s, ring, y + 1);
        for (int i = 0; i < n_rows; i++) {
            const int from = y + i % 3 - 1;
            rows[i] = from < 0 || from >= in->shape.h ? NULL : float_row(p, s, ring, from) + (size_t)(i / 3) * w * block;
        }
        for (int c = 0; c < s->edge.plain.c; c++) {
            p->floats->shrink_row(w, n_rows, rows, s->edge.shrink + (size_t)(c * n_rows * 3) * block, bias ? bias[c] : 0,
                                  out + ((size_t)c * (size_t)in->shape.h + (size_t)y) * w);
        }
    }
}

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

size_t fnr_i8_scratch_bytes(const fnr_i8_program *p, const fnr_i8_step *s)
{
    const size_t sums = (size_t)FNR_I8_ROWS * 64 * sizeof(int32_t);
    switch (s->kind) {
    case FNR_I8_CONV3:
        return patches_bytes(s) + FNR_I8_POSITIONS * sums;
    case FNR_I8_DOWN:
    case FNR_I8_UP:
        return sums;
    case FNR_I8_FIRST:
        return (size_t)p->input.w * FNR_I8_CHUNK * sizeof(float);
    case FNR_I8_LAST:
        return (size_t)p->input.w * (size_t)s->rows_in * 3 * sizeof(float);
    }
    return 0;
}

/* The border pixels that readers take for zeros; kernels may have written into them. */
static void clear_border(const fnr_i8_value *v)
{
    const size_t c = (size_t)v->channels, above = v->row + c, inside = (size_t)v->shape.w * c;
    uint8_t *start = v->data - above;
    memset(start, 0, above);
    for (int y = 0; y < v->shape.h; y++) {
        memset(v->data + (size_t)y * v->row + inside, 0, v->row - inside);
    }
    memset(v->data + (size_t)v->shape.h * v->row - c, 0, 2 * v->row);
}

static void run_step(fnr_i8_program *p, const fnr_i8_step *s, float *y)
{
    const fnr_i8_value *in = &p->values[s->in[0]], *out = &p->values[s->out];
    work w = {.program = p, .step = s, .y = y};
    switch (s->kind) {
    case FNR_I8_FIRST:
    case FNR_I8_LAST:
        w.piece = s->kind == FNR_I8_FIRST ? first_piece : last_piece;
        w.pieces = (out->shape.h + BAND - 1) / BAND;
        break;
    case FNR_I8_CONV3:
        w.piece = conv3_piece;
        w.pieces = (tiles_at(s, out, 0).count + tiles_of(s) - 1) / tiles_of(s);
        break;
    case FNR_I8_DOWN:
        w.piece = down_piece;
        w.pieces = out->shape.h * runs_across(out->shape.w);
        break;
    case FNR_I8_UP:
        w.piece = up_piece;
        w.pieces = in->shape.h * runs_across(in->shape.w);
        break;
    }
    atomic_init(&w.next, 0);
    fnr_parallel_for((size_t)at_most(p->workers, w.pieces), worker, &w);
    if (out->buffer >= 0) {
        clear_border(out);
    }
}

static bool all_finite(const float *x, size_t n)
{
    float sum = 0; /* stays 0 as long as all are finite */
    for (size_t i = 0; i < n; i++) {
        sum += x[i] * 0.0f;
    }
    return sum == 0.0f;
}

bool fnr_i8_forward(fnr_i8_program *p, const float *x, float *y, fnr_error *err)
{
    const size_t n_in = fnr_shape_count(&p->input), n_out = fnr_shape_count(&p->values[p->graph->output].shape);
    if (!fnr_i8_refresh(p, err)) {
        return false;
    }
    for (int n = 0; n < p->samples && y; n++) {
        const float *sample = x + (size_t)n * n_in;
        if (!all_finite(sample, n_in)) {
            return fnr_fail(err, FNR_E_NUMERIC, "the network's input holds a value that is not a finite number");
        }
        fnr_dn_planes_from_dense(&p->planes, sample);
        for (int i = 0; i < p->n_steps; i++) {
            run_step(p, &p->steps[i], y + (size_t)n * n_out);
        }
    }
    return true;
}
