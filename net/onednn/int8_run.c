/* The forward pass in int8: every step is cut into pieces of at most FNR_I8_ROWS Winograd tiles, pixels or so; workers take the next
 * piece until none is left, each with scratch memory of its own that stays in its caches. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include "net/onednn/int8.h"
#include "src/core/threads.h"

enum {
    BAND = 16,  /* rows of a piece of the first and the last convolution */
    SHARES = 16 /* of the work, per worker */
};

typedef struct {
    fnr_i8_program *program;
    const fnr_i8_step *step;
    float *y; /* LAST */
    int pieces, share; /* neighbours that one worker takes at a time: it reads rows that it has just read */
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
    for (int first; (first = atomic_fetch_add(&w->next, w->share)) < w->pieces;) {
        for (int i = first; i < at_most(first + w->share, w->pieces); i++) {
            w->piece(w->program, w->step, i, scratch, w->y);
        }
    }
}

/* ---- Winograd ------------------------------------------------------------------------------------------------------------- */

/* Tiles of a piece: their sums are read back from the second-level cache, their weights are used that often. */
enum {
    TILES = FNR_I8_ROWS / 2,
    GAP = 64 /* bytes between the numbers of two positions: else they would often fall into the same few lines of the cache */
};

/* Bytes from one position to the next. */
static size_t patches_step(const fnr_i8_step *s)
{
    return (size_t)TILES * (size_t)s->rows_in + GAP;
}

static size_t sums_step(int vectors)
{
    return (size_t)(TILES * vectors) * 16 * sizeof(int32_t) + GAP;
}

typedef struct {
    int across, count; /* tiles in a row, in all */
    int first, end;    /* of the piece */
} tiles;

static tiles tiles_at(const fnr_i8_value *out, int index)
{
    tiles t = {.across = (out->shape.w + 1) / 2};
    t.count = t.across * ((out->shape.h + 1) / 2);
    t.first = index * TILES;
    t.end = at_most(t.first + TILES, t.count);
    return t;
}

static void transform_in(const fnr_i8_program *p, const fnr_i8_step *s, const tiles *t, uint8_t *v)
{
    for (int i = t->first, n; i < t->end; i += n) {
        const int y = i / t->across, x = i % t->across;
        n = at_most(t->across - x, t->end - i);
        uint8_t *to = v + (size_t)(i - t->first) * (size_t)s->rows_in;
        for (int k = 0; k < 2 && s->in[k] >= 0; k++) {
            const fnr_i8_value *in = &p->values[s->in[k]];
            const uint8_t *corner = in->data + (size_t)(2 * y) * in->row - in->row + (size_t)(2 * x) * (size_t)in->channels - in->channels;
            p->kernels->transform_in(corner, in->row, (size_t)in->channels, n, in->channels, to, (size_t)s->rows_in,
                                     patches_step(s));
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
        p->kernels->transform_out(m + (size_t)(i - t->first) * per_tile, per_tile, sums_step(vectors) / sizeof *m, n, vectors, &q, to, out->row,
                                  (size_t)out->channels);
    }
}

static void winograd_piece(const fnr_i8_program *p, const fnr_i8_step *s, int index, uint8_t *scratch, float *y)
{
    (void)y;
    const fnr_i8_value *out = &p->values[s->out];
    const tiles t = tiles_at(out, index);
    int32_t *m = (int32_t *)(void *)(scratch + FNR_I8_POSITIONS * patches_step(s));
    transform_in(p, s, &t, scratch);
    for (int v = 0, vectors; v < out->channels / 16; v += vectors) {
        vectors = fnr_i8_vectors(out->channels / 16 - v);
        for (int q = 0; q < FNR_I8_POSITIONS; q++) {
            const fnr_i8_product product = {
                .a = scratch + (size_t)q * patches_step(s),
                .a_row = (size_t)s->rows_in,
                .segments = 1,
                .segment_bytes = s->rows_in,
                .b = s->weights + ((size_t)v * FNR_I8_POSITIONS + (size_t)(q * vectors)) * 16 * (size_t)s->rows_in,
                .vectors = vectors,
                .init = s->init + (v * FNR_I8_POSITIONS + q * vectors) * 16,
                .c = m + (size_t)q * sums_step(vectors) / sizeof *m,
                .c_row = (size_t)(16 * vectors),
            };
            p->kernels->product(&product, t.end - t.first);
        }
        transform_out(p, s, &t, m, v, vectors);
    }
}

/* ---- direct --------------------------------------------------------------------------------------------------------------- */

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

/* The pixels under the kernel are a few rows of neighbours: one long product. */
static void direct_piece(const fnr_i8_program *p, const fnr_i8_step *s, int index, uint8_t *scratch, float *y)
{
    (void)y;
    const fnr_i8_value *in = &p->values[s->in[0]], *out = &p->values[s->out];
    const fnr_op *conv = s->conv;
    const run r = run_at(out, index);
    for (int v = 0, vectors; v < out->channels / 16; v += vectors) {
        vectors = fnr_i8_vectors(out->channels / 16 - v);
        const fnr_i8_product product = {
            .a = pixel_at(in, conv->stride * r.y, conv->stride * r.x) - (size_t)conv->pad * (in->row + (size_t)in->channels),
            .a_row = (size_t)(conv->stride * in->channels),
            .segments = conv->kernel,
            .segment_bytes = conv->kernel * in->channels,
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
    const int block = p->floats->block, n_rows = 3 * s->edge.plain.c, w = out->shape.w;
    const float *rows[3 * FNR_DN_EDGE_PLAIN];
    float *floats = (float *)(void *)scratch;
    const int first = index * BAND, end = at_most(first + BAND, out->shape.h);
    for (int i = first * runs_across(w); i < end * runs_across(w); i++) {
        const run r = run_at(out, i);
        for (int k = 0; k < n_rows; k++) {
            rows[k] = fnr_dn_planes_row(&p->planes, 0, k / 3, 0, r.y + k % 3) + r.x;
        }
        for (int b = 0; b < s->edge.extent.blocks; b++) {
            const fnr_dn_affine f = {.mean = s->zeros, .scale = s->alpha + b * block, .shift = s->beta + b * block, .relu = true};
            p->floats->expand_row((size_t)r.count, n_rows, rows, s->edge.expand + (size_t)(b * n_rows * 3 * block), &f, floats);
            p->kernels->from_floats(floats, (size_t)r.count, pixel_at(out, r.y, r.x) + b * block, (size_t)out->channels);
        }
    }
}

/* Every input pixel is multiplied with the weights of all nine taps at once, high and low halves apart; an output pixel sums its
 * neighbours' products. */
enum { TAP_SUMS = 32, ACROSS = FNR_I8_ROWS - 2 /* output pixels of a piece: it needs one more on each side */ };

typedef int32_t tap_row[FNR_I8_ROWS * TAP_SUMS];

/* Products of the pixels x - 1 .. x + ACROSS of row y. */
static const int32_t *tap_products(const fnr_i8_program *p, const fnr_i8_step *s, int channel, int y, int x, tap_row *ring)
{
    const fnr_i8_value *in = &p->values[s->in[0]];
    const fnr_i8_product product = {
        .a = pixel_at(in, y, 0) + (x - 1) * in->channels,
        .a_row = (size_t)in->channels,
        .segments = 1,
        .segment_bytes = in->channels,
        .b = s->weights + (size_t)channel * TAP_SUMS * (size_t)s->depth,
        .vectors = TAP_SUMS / 16,
        .init = s->init,
        .c = ring[(y + 3) % 3],
        .c_row = TAP_SUMS,
    };
    p->kernels->product(&product, FNR_I8_ROWS);
    return product.c;
}

static void sum_taps(const int32_t *const rows[3], int count, float alpha, float beta, float *out)
{
    for (int x = 0; x < count; x++) {
        int32_t high = 0, low = 0;
#pragma GCC unroll 9
        for (int t = 0; t < 9; t++) {
            const int32_t *at = rows[t / 3] + (x + t % 3) * TAP_SUMS + t;
            high += at[0];
            low += at[TAP_SUMS / 2];
        }
        out[x] = alpha * ((float)FNR_I8_HIGH * (float)high + (float)low) + beta;
    }
}

static void last_piece(const fnr_i8_program *p, const fnr_i8_step *s, int index, uint8_t *scratch, float *y)
{
    const fnr_shape *out = &p->values[s->out].shape;
    const int first = index * BAND, end = at_most(first + BAND, out->h);
    tap_row *ring = (tap_row *)(void *)scratch;
    for (int i = 0; i < out->c * ((out->w + ACROSS - 1) / ACROSS); i++) {
        const int c = i % out->c, x = i / out->c * ACROSS;
        float *to = y + ((size_t)c * (size_t)out->h + (size_t)first) * (size_t)out->w + x;
        const int32_t *rows[3] = {NULL, tap_products(p, s, c, first - 1, x, ring), tap_products(p, s, c, first, x, ring)};
        for (int r = first; r < end; r++, to += out->w) {
            rows[0] = rows[1];
            rows[1] = rows[2];
            rows[2] = tap_products(p, s, c, r + 1, x, ring);
            sum_taps(rows, at_most(ACROSS, out->w - x), s->alpha[c], s->beta[c], to);
        }
    }
}

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

size_t fnr_i8_scratch_bytes(const fnr_i8_step *s)
{
    const size_t sums = (size_t)FNR_I8_ROWS * 64 * sizeof(int32_t);
    switch (s->kind) {
    case FNR_I8_WINOGRAD:
        return FNR_I8_POSITIONS * (patches_step(s) + sums_step(4));
    case FNR_I8_DIRECT:
    case FNR_I8_UP:
        return sums;
    case FNR_I8_FIRST:
        return (size_t)FNR_I8_ROWS * FNR_I8_CHUNK * sizeof(float);
    case FNR_I8_LAST:
        return 3 * sizeof(tap_row);
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
    case FNR_I8_WINOGRAD:
        w.piece = winograd_piece;
        w.pieces = (tiles_at(out, 0).count + TILES - 1) / TILES;
        break;
    case FNR_I8_DIRECT:
        w.piece = direct_piece;
        w.pieces = out->shape.h * runs_across(out->shape.w);
        break;
    case FNR_I8_UP:
        w.piece = up_piece;
        w.pieces = in->shape.h * runs_across(in->shape.w);
        break;
    }
    w.share = w.pieces / (SHARES * p->workers) + 1;
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
