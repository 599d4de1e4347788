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
    void (*piece)(const fnr_i8_program *p, const fnr_i8_step *s, int index, void *scratch, float *y);
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

enum {
    GAP = 64,           /* bytes between the words of two frequencies: else they would often fall into the same few lines of the cache */
    MANY_CHANNELS = 256 /* weights from here on do not stay in the second-level cache: more tiles share them */
};

/* Tiles of a piece: their sums are read back from the second-level cache, their weights are used that often. */
static int tiles_of_piece(const fnr_i8_step *s)
{
    return s->rows_in < MANY_CHANNELS ? FNR_I8_ROWS / 2 : FNR_I8_ROWS;
}

/* Words from one frequency to the next. */
static size_t patches_step(const fnr_i8_step *s)
{
    return (size_t)(tiles_of_piece(s) * s->rows_in) + GAP / sizeof(int16_t);
}

static size_t sums_step(const fnr_i8_step *s, int vectors)
{
    return (size_t)(tiles_of_piece(s) * vectors * 16) + GAP / sizeof(int32_t);
}

typedef struct {
    int across, count; /* tiles in a row, in all */
    int first, end;    /* of the piece */
} tiles;

static tiles tiles_at(const fnr_i8_program *p, const fnr_i8_step *s, int index)
{
    const fnr_shape *out = &p->values[s->out].shape;
    tiles t = {.across = (out->w + FNR_I8_TILE - 1) / FNR_I8_TILE};
    t.count = t.across * ((out->h + FNR_I8_TILE - 1) / FNR_I8_TILE);
    t.first = index * tiles_of_piece(s);
    t.end = at_most(t.first + tiles_of_piece(s), t.count);
    return t;
}

static uint8_t *pixel_at(const fnr_i8_value *v, int y, int x)
{
    return v->data + (ptrdiff_t)y * (ptrdiff_t)v->row + (ptrdiff_t)x * v->channels;
}

static void transform_in(const fnr_i8_program *p, const fnr_i8_step *s, const tiles *t, int16_t *v)
{
    for (int i = t->first, n; i < t->end; i += n) {
        const int y = i / t->across, x = i % t->across;
        n = at_most(t->across - x, t->end - i);
        int16_t *to = v + (size_t)(i - t->first) * (size_t)s->rows_in;
        for (int k = 0; k < 2 && s->in[k] >= 0; k++) {
            const fnr_i8_value *in = &p->values[s->in[k]];
            const uint8_t *corner = pixel_at(in, FNR_I8_TILE * y - 1, FNR_I8_TILE * x - 1);
            p->kernels->transform_in(corner, in->row, (size_t)in->channels, n, in->channels, to, (size_t)s->rows_in, patches_step(s));
            to += in->channels;
        }
    }
}

static void transform_out(const fnr_i8_program *p, const fnr_i8_step *s, const tiles *t, const int32_t *m, int vector, int vectors)
{
    const fnr_i8_value *out = &p->values[s->out];
    const fnr_i8_requant q = {.alpha = s->alpha + 16 * vector * s->products, .beta = s->beta + 16 * vector};
    const size_t per_tile = (size_t)(16 * vectors);
    for (int i = t->first, n; i < t->end; i += n) {
        const int y = i / t->across, x = i % t->across;
        n = at_most(t->across - x, t->end - i);
        p->kernels->transform_out(m + (size_t)(i - t->first) * per_tile, per_tile, sums_step(s, vectors), n, vectors, &q,
                                  pixel_at(out, FNR_I8_TILE * y, FNR_I8_TILE * x) + 16 * vector, out->row, (size_t)out->channels);
    }
}

static void winograd_piece(const fnr_i8_program *p, const fnr_i8_step *s, int index, void *scratch, float *y)
{
    (void)y;
    const tiles t = tiles_at(p, s, index);
    int16_t *words = scratch;
    int32_t *m = (int32_t *)(void *)(words + FNR_I8_FREQUENCIES * patches_step(s));
    transform_in(p, s, &t, words);
    for (int v = 0, vectors, all = p->values[s->out].channels / 16; v < all; v += vectors) {
        vectors = fnr_i8_vectors(p, all - v);
        for (int f = 0; f < FNR_I8_FREQUENCIES; f++) {
            const fnr_i8_product product = {
                .a = words + (size_t)f * patches_step(s),
                .a_row = (size_t)s->rows_in,
                .depth = s->depth,
                .b = fnr_i8_words_of(s, v, vectors, f),
                .vectors = vectors,
                .c = m + (size_t)f * sums_step(s, vectors),
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

/* What lies under the kernel at each pixel of a run, in one row each: taps, and the channels of both inputs in each. */
static void gather_run(const fnr_i8_program *p, const fnr_i8_step *s, const run *r, int16_t *rows)
{
    const fnr_op *conv = s->conv;
    for (int i = 0; i < r->count * fnr_i8_taps(conv); i++) {
        const int tap = i % fnr_i8_taps(conv), x = r->x + i / fnr_i8_taps(conv);
        const int py = conv->stride * r->y - conv->pad + tap / conv->kernel, px = conv->stride * x - conv->pad + tap % conv->kernel;
        for (int k = 0; k < 2 && s->in[k] >= 0; k++) {
            const fnr_i8_value *in = &p->values[s->in[k]];
            p->kernels->widen(pixel_at(in, py, px), (size_t)in->channels, rows);
            rows += in->channels;
        }
    }
}

/* Words of a run's rows; its sums lie behind them. */
static size_t run_words(const fnr_i8_step *s)
{
    return (size_t)FNR_I8_ROWS * (size_t)s->depth;
}

/* One product of the run's rows and its bytes: written `apart` pixels from each other. */
static void multiply_run(const fnr_i8_program *p, const fnr_i8_step *s, int16_t *rows, const run *r, int vector, int q, uint8_t *to, int apart)
{
    const fnr_i8_value *out = &p->values[s->out];
    const int vectors = fnr_i8_vectors(p, out->channels / 16 - vector);
    const fnr_i8_product product = {
        .a = rows,
        .a_row = (size_t)s->depth,
        .depth = s->depth,
        .b = fnr_i8_words_of(s, vector, vectors, q),
        .vectors = vectors,
        .c = (int32_t *)(void *)(rows + run_words(s)),
        .c_row = (size_t)(16 * vectors),
    };
    const fnr_i8_requant requant = {.alpha = s->alpha + 16 * vector, .beta = s->beta + 16 * vector};
    p->kernels->product(&product, r->count);
    p->kernels->requant(product.c, product.c_row, r->count, vectors, &requant, to + 16 * vector, (size_t)(apart * out->channels));
}

static void direct_piece(const fnr_i8_program *p, const fnr_i8_step *s, int index, void *scratch, float *y)
{
    (void)y;
    const fnr_i8_value *out = &p->values[s->out];
    const run r = run_at(out, index);
    gather_run(p, s, &r, scratch);
    for (int v = 0; v < out->channels / 16; v += fnr_i8_vectors(p, out->channels / 16 - v)) {
        multiply_run(p, s, scratch, &r, v, 0, pixel_at(out, r.y, r.x), 1);
    }
}

static void up_piece(const fnr_i8_program *p, const fnr_i8_step *s, int index, void *scratch, float *y)
{
    (void)y;
    const fnr_i8_value *in = &p->values[s->in[0]], *out = &p->values[s->out];
    const run r = run_at(in, index);
    p->kernels->widen(pixel_at(in, r.y, r.x), (size_t)(r.count * in->channels), scratch);
    for (int v = 0; v < out->channels / 16; v += fnr_i8_vectors(p, out->channels / 16 - v)) {
        for (int tap = 0; tap < 4; tap++) {
            multiply_run(p, s, scratch, &r, v, tap, pixel_at(out, 2 * r.y + tap / 2, 2 * r.x + tap % 2), 2);
        }
    }
}

/* ---- both ends ------------------------------------------------------------------------------------------------------------- */

static void first_piece(const fnr_i8_program *p, const fnr_i8_step *s, int index, void *scratch, float *unused)
{
    (void)unused;
    const fnr_i8_value *out = &p->values[s->out];
    const int block = p->floats->block, n_rows = 3 * s->edge.plain.c, w = out->shape.w;
    const float *rows[3 * FNR_DN_EDGE_PLAIN];
    float *floats = scratch;
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

/* Every input pixel is multiplied with the weights of all nine taps at once; an output pixel sums its neighbours' products. */
enum { ACROSS = FNR_I8_ROWS - 2 /* output pixels of a piece: it needs one more on each side */ };

typedef int32_t tap_row[FNR_I8_ROWS * 16];

/* Products of the pixels x - 1 .. x + ACROSS of row y. */
static const int32_t *tap_products(const fnr_i8_program *p, const fnr_i8_step *s, int channel, int y, int x, tap_row *ring)
{
    const fnr_i8_value *in = &p->values[s->in[0]];
    int16_t *rows = (int16_t *)(void *)(ring + 3);
    const fnr_i8_product product = {
        .a = rows,
        .a_row = (size_t)s->depth,
        .depth = s->depth,
        .b = fnr_i8_words_of(s, channel, 1, 0),
        .vectors = 1,
        .c = ring[(y + 3) % 3],
        .c_row = 16,
    };
    p->kernels->widen(pixel_at(in, y, x - 1), run_words(s), rows);
    p->kernels->product(&product, FNR_I8_ROWS);
    return product.c;
}

static void sum_taps(const int32_t *const rows[3], int count, float alpha, float beta, float *out)
{
    for (int x = 0; x < count; x++) {
        int32_t sum = 0;
#pragma GCC unroll 9
        for (int t = 0; t < 9; t++) {
            sum += rows[t / 3][(x + t % 3) * 16 + t];
        }
        out[x] = alpha * (float)sum + beta;
    }
}

static void last_piece(const fnr_i8_program *p, const fnr_i8_step *s, int index, void *scratch, float *y)
{
    const fnr_shape *out = &p->values[s->out].shape;
    const int first = index * BAND, end = at_most(first + BAND, out->h);
    tap_row *ring = scratch;
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

size_t fnr_i8_scratch_bytes(const fnr_i8_program *p, const fnr_i8_step *s)
{
    const size_t rows = run_words(s) * sizeof(int16_t);
    switch (s->kind) {
    case FNR_I8_WINOGRAD:
        return FNR_I8_FREQUENCIES * (patches_step(s) * sizeof(int16_t) + sums_step(s, p->kernels->vectors) * sizeof(int32_t));
    case FNR_I8_DIRECT:
    case FNR_I8_UP:
        return rows + (size_t)(FNR_I8_ROWS * p->kernels->vectors * 16) * sizeof(int32_t);
    case FNR_I8_FIRST:
        return (size_t)FNR_I8_ROWS * FNR_I8_CHUNK * sizeof(float);
    case FNR_I8_LAST:
        return 3 * sizeof(tap_row) + rows;
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
    memset(v->data + (size_t)v->shape.h * v->row - c, 0, FNR_I8_BEHIND * v->row);
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
        w.pieces = (tiles_at(p, s, 0).count + tiles_of_piece(s) - 1) / tiles_of_piece(s);
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
