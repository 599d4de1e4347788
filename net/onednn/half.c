#include "net/onednn/half.h"

#include <string.h>
#include "src/core/threads.h"

enum {
    MOST_TERMS = 1024,
    TASK_PIXELS = 128,     /* narrow pixels of one piece of work, about */
    MOST_PARTS = 16,       /* of a sum over pixels */
    PARTS_BYTES = 16 << 20 /* at most, of all partial sums together */
};

static int taps_of(const fnr_dn_half *c)
{
    return 4 * c->depth;
}

bool fnr_dn_half_init(fnr_dn_half *c, const fnr_dn_wino_kernels *k, const fnr_shape *wide, const fnr_shape *narrow)
{
    *c =
        (fnr_dn_half){.kernels = k, .n = narrow->n, .d = narrow->d, .h = narrow->h, .w = narrow->w, .depth = narrow->spatial - 1};
    c->wide_channels = wide->c;
    c->narrow_channels = narrow->c;
    c->wide_blocks = (wide->c + k->block - 1) / k->block;
    c->narrow_blocks = (narrow->c + k->block - 1) / k->block;
    c->workers = fnr_threads_get();
    return wide->d == narrow->d * c->depth && wide->h == 2 * narrow->h && wide->w == 2 * narrow->w &&
           c->wide_blocks * taps_of(c) <= MOST_TERMS && c->narrow_blocks <= MOST_TERMS;
}

/* ---- weights --------------------------------------------------------------------------------------------------------------- */

size_t fnr_dn_half_weight_floats(const fnr_dn_half *c)
{
    const size_t block = (size_t)c->kernels->block;
    return (size_t)taps_of(c) * (size_t)c->wide_blocks * (size_t)c->narrow_blocks * block * block;
}

static float weight_at(const fnr_dn_half *c, const float *weights, int wide, int narrow, int tap)
{
    const bool real = wide < c->wide_channels && narrow < c->narrow_channels;
    return real ? weights[((size_t)narrow * (size_t)c->wide_channels + (size_t)wide) * (size_t)taps_of(c) + (size_t)tap] : 0.0f;
}

typedef struct {
    const fnr_dn_half *c;
    const float *weights;
    float *packed;
} pack_job;

/* [panel of two narrow blocks][wide block][tap][channel][narrow block][channel]; one narrow block. */
static void pack_shrink(void *ctx, size_t index)
{
    const pack_job *j = ctx;
    const fnr_dn_half *c = j->c;
    const int block = c->kernels->block, narrow = (int)index, first = narrow / 2 * 2,
              columns = c->narrow_blocks - first > 1 ? 2 : 1;
    const int rows = c->wide_blocks * taps_of(c) * block;
    float *to = j->packed + (size_t)first * (size_t)rows * (size_t)block + (size_t)((narrow - first) * block);
    for (int r = 0; r < rows; r++, to += columns * block) {
        const int wide = r / block / taps_of(c) * block + r % block, tap = r / block % taps_of(c);
        for (int k = 0; k < block; k++) {
            to[k] = weight_at(c, j->weights, wide, narrow * block + k, tap);
        }
    }
}

/* [tap][panel of two wide blocks][narrow block][channel][wide block][channel]; one tap and wide block. */
static void pack_grow(void *ctx, size_t index)
{
    const pack_job *j = ctx;
    const fnr_dn_half *c = j->c;
    const int block = c->kernels->block, wide = (int)index % c->wide_blocks, tap = (int)index / c->wide_blocks;
    const int first = wide / 2 * 2, columns = c->wide_blocks - first > 1 ? 2 : 1, rows = c->narrow_blocks * block;
    float *to =
        j->packed + (size_t)(tap * c->wide_blocks + first) * (size_t)rows * (size_t)block + (size_t)((wide - first) * block);
    for (int r = 0; r < rows; r++, to += columns * block) {
        for (int k = 0; k < block; k++) {
            to[k] = weight_at(c, j->weights, wide * block + k, r, tap);
        }
    }
}

void fnr_dn_half_pack_shrink(const fnr_dn_half *c, const float *weights, float *packed)
{
    pack_job job = {.c = c, .weights = weights, .packed = packed};
    fnr_parallel_for((size_t)c->narrow_blocks, pack_shrink, &job);
}

void fnr_dn_half_pack_grow(const fnr_dn_half *c, const float *weights, float *packed)
{
    pack_job job = {.c = c, .weights = weights, .packed = packed};
    fnr_parallel_for((size_t)(c->wide_blocks * taps_of(c)), pack_grow, &job);
}

/* ---- rows of pixels -------------------------------------------------------------------------------------------------------- */

static int narrow_rows(const fnr_dn_half *c)
{
    return c->n * c->d * c->h;
}

static int rows_per_task(const fnr_dn_half *c)
{
    return c->w >= TASK_PIXELS ? 1 : TASK_PIXELS / c->w;
}

static size_t tasks_of(const fnr_dn_half *c)
{
    return (size_t)((narrow_rows(c) + rows_per_task(c) - 1) / rows_per_task(c));
}

static float *narrow_row(const fnr_dn_half *c, fnr_dn_tensor t, int b, int row)
{
    const int sample = row / (c->d * c->h), in_sample = row % (c->d * c->h);
    const fnr_dn_extent e = {.pixels = (size_t)c->d * (size_t)c->h * (size_t)c->w};
    return fnr_dn_block_at(t, &e, c->kernels->block, sample, b) + (size_t)in_sample * (size_t)c->w * (size_t)c->kernels->block;
}

/* The wide pixels under a tap of the kernel at a narrow row; they lie two apart. */
static float *wide_row(const fnr_dn_half *c, fnr_dn_tensor t, int b, int row, int tap)
{
    const int sample = row / (c->d * c->h), in_sample = row % (c->d * c->h);
    const size_t z = (size_t)(in_sample / c->h * c->depth + tap / 4), y = (size_t)(in_sample % c->h * 2 + tap / 2 % 2);
    const size_t h = 2 * (size_t)c->h, w = 2 * (size_t)c->w;
    const fnr_dn_extent e = {.pixels = (size_t)(c->d * c->depth) * h * w};
    return fnr_dn_block_at(t, &e, c->kernels->block, sample, b) +
           ((z * h + y) * w + (size_t)(tap % 2)) * (size_t)c->kernels->block;
}

typedef struct {
    const fnr_dn_half *c;
    fnr_dn_tensor wide, narrow;
    const float *packed;
    const fnr_dn_norm *norm;
    int parts;
    float *sums, *dweights;
} half_job;

/* The affines of two column blocks from b on, where there is a norm. */
static void set_affine(const half_job *j, int b, fnr_dn_affine f[2], fnr_dn_product *p)
{
    for (int i = 0; i < p->columns; i++) {
        if (j->norm) {
            f[i] = fnr_dn_norm_affine(j->norm, b + i);
        }
        p->affine[i] = j->norm ? &f[i] : NULL;
    }
}

static void shrink_row(const half_job *j, int b, const float *u, int columns, int row)
{
    const fnr_dn_half *c = j->c;
    const float *terms[MOST_TERMS];
    fnr_dn_affine f[2];
    fnr_dn_product p = {.rows = (size_t)c->w,
                        .n_terms = (size_t)(c->wide_blocks * taps_of(c)),
                        .terms = terms,
                        .row_blocks = 2,
                        .columns = columns,
                        .u = u,
                        .out_step = (size_t)c->kernels->block};
    for (int t = 0; t < (int)p.n_terms; t++) {
        terms[t] = wide_row(c, j->wide, t / taps_of(c), row, t % taps_of(c));
    }
    set_affine(j, b, f, &p);
    for (int i = 0; i < columns; i++) {
        p.out[i] = narrow_row(c, j->narrow, b + i, row);
    }
    c->kernels->multiply(&p);
}

static void shrink_task(void *ctx, size_t task)
{
    const half_job *j = ctx;
    const fnr_dn_half *c = j->c;
    const int first = (int)task * rows_per_task(c), block = c->kernels->block;
    const float *u = j->packed;
    for (int b = 0; b < c->narrow_blocks; b += 2) {
        const int columns = c->narrow_blocks - b > 1 ? 2 : 1;
        for (int r = first; r < first + rows_per_task(c) && r < narrow_rows(c); r++) {
            shrink_row(j, b, u, columns, r);
        }
        u += (size_t)(c->wide_blocks * taps_of(c)) * (size_t)(block * columns * block);
    }
}

void fnr_dn_half_shrink(const fnr_dn_half *c, fnr_dn_tensor wide, const float *packed, const fnr_dn_norm *norm,
                        fnr_dn_tensor narrow)
{
    half_job job = {.c = c, .wide = wide, .narrow = narrow, .packed = packed, .norm = norm};
    fnr_parallel_for(tasks_of(c), shrink_task, &job);
}

static void grow_row(const half_job *j, int tap, int b, const float *u, int columns, int row)
{
    const fnr_dn_half *c = j->c;
    const float *terms[MOST_TERMS];
    fnr_dn_affine f[2];
    fnr_dn_product p = {.rows = (size_t)c->w,
                        .n_terms = (size_t)c->narrow_blocks,
                        .terms = terms,
                        .row_blocks = 1,
                        .columns = columns,
                        .u = u,
                        .out_step = 2 * (size_t)c->kernels->block};
    for (int t = 0; t < c->narrow_blocks; t++) {
        terms[t] = narrow_row(c, j->narrow, t, row);
    }
    set_affine(j, b, f, &p);
    for (int i = 0; i < columns; i++) {
        p.out[i] = wide_row(c, j->wide, b + i, row, tap);
    }
    c->kernels->multiply(&p);
}

static void grow_task(void *ctx, size_t task)
{
    const half_job *j = ctx;
    const fnr_dn_half *c = j->c;
    const int first = (int)task * rows_per_task(c), block = c->kernels->block;
    const float *u = j->packed;
    for (int tap = 0; tap < taps_of(c); tap++) {
        for (int b = 0; b < c->wide_blocks; b += 2) {
            const int columns = c->wide_blocks - b > 1 ? 2 : 1;
            for (int r = first; r < first + rows_per_task(c) && r < narrow_rows(c); r++) {
                grow_row(j, tap, b, u, columns, r);
            }
            u += (size_t)c->narrow_blocks * (size_t)(block * columns * block);
        }
    }
}

void fnr_dn_half_grow(const fnr_dn_half *c, fnr_dn_tensor narrow, const float *packed, const fnr_dn_norm *norm,
                      fnr_dn_tensor wide)
{
    half_job job = {.c = c, .wide = wide, .narrow = narrow, .packed = packed, .norm = norm};
    fnr_parallel_for(tasks_of(c), grow_task, &job);
}

/* ---- gradient of the weights ----------------------------------------------------------------------------------------------- */

/* By the shape alone, so that sums do not depend on the number of threads. */
static int parts_of(const fnr_dn_half *c)
{
    const size_t fit = PARTS_BYTES / (fnr_dn_half_weight_floats(c) * sizeof(float)) + 1;
    const int most = fit < MOST_PARTS ? (int)fit : MOST_PARTS, tasks = (int)tasks_of(c);
    return tasks < most ? tasks : most;
}

size_t fnr_dn_half_grad_scratch_floats(const fnr_dn_half *c)
{
    return fnr_dn_half_weight_floats(c) * (size_t)parts_of(c);
}

/* Sums lie as [tap][wide block][narrow block][wide channel][narrow channel]. */
static void sum_row(const half_job *j, int row, float *sums)
{
    const fnr_dn_half *c = j->c;
    const size_t block = (size_t)c->kernels->block;
    fnr_dn_outer o = {.rows = (size_t)c->w, .v_step = 2 * block, .w_step = block};
    for (int t = 0; t < taps_of(c) * c->wide_blocks; t++) {
        o.v = wide_row(c, j->wide, t % c->wide_blocks, row, t / c->wide_blocks);
        for (int b = 0; b < c->narrow_blocks; b += 2) {
            o.columns = c->narrow_blocks - b > 1 ? 2 : 1;
            for (int i = 0; i < o.columns; i++, sums += block * block) {
                o.w[i] = narrow_row(c, j->narrow, b + i, row);
                o.sums[i] = sums;
            }
            c->kernels->outer(&o);
        }
    }
}

static void sum_part(void *ctx, size_t part)
{
    const half_job *j = ctx;
    const size_t floats = fnr_dn_half_weight_floats(j->c), rows = (size_t)narrow_rows(j->c), parts = (size_t)j->parts;
    float *sums = j->sums + part * floats;
    memset(sums, 0, floats * sizeof *sums);
    for (size_t r = rows * part / parts; r < rows * (part + 1) / parts; r++) {
        sum_row(j, (int)r, sums);
    }
}

static void finish_block(void *ctx, size_t index)
{
    const half_job *j = ctx;
    const fnr_dn_half *c = j->c;
    const int block = c->kernels->block, narrow = (int)index % c->narrow_blocks * block;
    const int wide = (int)index / c->narrow_blocks % c->wide_blocks * block,
              tap = (int)index / (c->narrow_blocks * c->wide_blocks);
    const size_t floats = fnr_dn_half_weight_floats(c);
    for (int i = 0; i < block && wide + i < c->wide_channels; i++) {
        const float *from = j->sums + (index * (size_t)block + (size_t)i) * (size_t)block;
        for (int k = 0; k < block && narrow + k < c->narrow_channels; k++) {
            float sum = from[k];
            for (int p = 1; p < j->parts; p++) {
                sum += from[(size_t)p * floats + (size_t)k];
            }
            const size_t filter = (size_t)(narrow + k) * (size_t)c->wide_channels + (size_t)(wide + i);
            j->dweights[filter * (size_t)taps_of(c) + (size_t)tap] = sum;
        }
    }
}

void fnr_dn_half_grad(const fnr_dn_half *c, fnr_dn_tensor wide, fnr_dn_tensor narrow, float *dweights, float *scratch)
{
    half_job job = {.c = c, .wide = wide, .narrow = narrow, .parts = parts_of(c), .sums = scratch, .dweights = dweights};
    fnr_parallel_for((size_t)job.parts, sum_part, &job);
    fnr_parallel_for((size_t)(taps_of(c) * c->wide_blocks * c->narrow_blocks), finish_block, &job);
}
