/* Winograd convolutions: gradients of the weights.  The adjoint of the forward transform: dg = G^T [sum over tiles (A dy A^T) *
 * (B^T d B)] G.
 *
 * Sums are cut into parts by the shape alone and added in a fixed order, so that they do not depend on the number of threads. */
#include <string.h>
#include "net/onednn/wino.h"
#include "net/onednn/wino_strip.h"
#include "src/core/threads.h"

enum {
    TILE = 4,
    FREQUENCIES = (TILE + 2) * (TILE + 2),
    MOST_PARTS = 16,
    PART_ROWS = 192 /* at least, of a part: clearing and adding its sums should cost little beside making them */
};

typedef struct {
    const fnr_dn_wino *w;
    const fnr_dn_parts *src;
    fnr_dn_tensor dy;
    int parts;
    float *sums, *scratch; /* parts * filter floats; spectra */
    float *dweights;
} grad_job;

typedef struct {
    const grad_job *job;
    fnr_dn_strip strip;
    fnr_dn_spectrum v, g; /* of the input and of the output's gradient */
    float *sums;
    bool fresh; /* the first strip: sums hold nothing yet */
} work;

static int parts_of(const fnr_dn_wino *w)
{
    if (w->shared) {
        return 1;
    }
    const int most = fnr_dn_at_most(w->tiles * w->d / PART_ROWS, MOST_PARTS);
    return fnr_dn_at_most(fnr_dn_strip_count(w), most);
}

static size_t scratch_per_strip(const fnr_dn_wino *w)
{
    return fnr_dn_spectrum_floats(w, false) + fnr_dn_spectrum_floats(w, true);
}

static size_t sums_floats(const fnr_dn_wino *w)
{
    return (fnr_dn_wino_filter_floats(w) + 31) / 32 * 32;
}

size_t fnr_dn_wino_grad_scratch_floats(const fnr_dn_wino *w)
{
    return scratch_per_strip(w) * (size_t)(w->shared ? 1 : w->workers) + sums_floats(w) * (size_t)parts_of(w);
}

static work begin(const grad_job *j, int strip, float *scratch, float *sums, bool fresh)
{
    return (work){.job = j,
                  .strip = fnr_dn_strip_at(j->w, strip),
                  .v = fnr_dn_spectrum_of(j->w, false, scratch),
                  .g = fnr_dn_spectrum_of(j->w, true, scratch + fnr_dn_spectrum_floats(j->w, false)),
                  .sums = sums,
                  .fresh = fresh};
}

static void load_gradients(const work *k, int first, int rows)
{
    const fnr_dn_wino *w = k->job->w;
    const int block = w->kernels->block;
    const fnr_dn_extent e = {.pixels = (size_t)w->d * (size_t)w->h * (size_t)w->w};
    fnr_dn_tile_window at[FNR_DN_ROWS_PER_TASK];
    for (int r = 0; r < rows; r++) {
        at[r] = fnr_dn_tile_outputs(w, &k->strip, first + r);
    }
    for (int b = 0; b < w->out_blocks; b++) {
        for (int r = 0; r < rows; r++) {
            const float *dy = fnr_dn_block_at(k->job->dy, &e, block, at[r].n, b) + at[r].pixel * (size_t)block;
            w->kernels->gradient(dy, (size_t)w->w * (size_t)block, at[r].h, at[r].w,
                                 fnr_dn_spectrum_at(w, &k->g, 0, b, first + r), k->g.step);
        }
    }
}

/* Rows of the input and, as far as there are, of the gradient. */
static void load_rows(void *ctx, size_t task)
{
    const work *k = ctx;
    const int first = (int)task * FNR_DN_ROWS_PER_TASK, in = fnr_dn_strip_in_rows(k->job->w, &k->strip),
              out = fnr_dn_strip_out_rows(&k->strip);
    fnr_dn_strip_load(k->job->w, &k->strip, k->job->src, &k->v, first, fnr_dn_at_most(in - first, FNR_DN_ROWS_PER_TASK));
    load_gradients(k, first, fnr_dn_at_most(out - first, FNR_DN_ROWS_PER_TASK));
}

/* Sums lie as [frequency][kernel slice][input block][output block][input channel][output channel]. */
static void sum_frequency(void *ctx, size_t frequency)
{
    const work *k = ctx;
    const fnr_dn_wino *w = k->job->w;
    const int f = (int)frequency, block = w->kernels->block;
    const size_t square = (size_t)(block * block);
    float *sums = k->sums + frequency * fnr_dn_filter_step(w);
    fnr_dn_outer o = {
        .rows = (size_t)fnr_dn_strip_out_rows(&k->strip), .v_step = (size_t)block, .w_step = (size_t)block, .fresh = k->fresh};
    for (int t = 0; t < w->terms * w->in_blocks; t++) {
        o.v = fnr_dn_spectrum_at(w, &k->v, f, t % w->in_blocks, t / w->in_blocks * k->strip.tiles);
        for (int b = 0; b < w->out_blocks; b += 2) {
            o.columns = w->out_blocks - b > 1 ? 2 : 1;
            for (int j = 0; j < o.columns; j++, sums += square) {
                o.w[j] = fnr_dn_spectrum_at(w, &k->g, f, b + j, 0);
                o.sums[j] = sums;
            }
            w->kernels->outer(&o);
        }
    }
}

static void run_strip(const grad_job *j, int strip, float *scratch, float *sums, bool fresh)
{
    work k = begin(j, strip, scratch, sums, fresh);
    for (int t = 0; t * FNR_DN_ROWS_PER_TASK < fnr_dn_strip_in_rows(j->w, &k.strip); t++) {
        load_rows(&k, (size_t)t);
    }
    for (size_t f = 0; f < FREQUENCIES; f++) {
        sum_frequency(&k, f);
    }
}

static void run_part(void *ctx, int worker, int part)
{
    const grad_job *j = ctx;
    const long strips = fnr_dn_strip_count(j->w);
    float *sums = j->sums + (size_t)part * sums_floats(j->w);
    const long first = strips * part / j->parts;
    for (long i = first; i < strips * (part + 1) / j->parts; i++) {
        run_strip(j, (int)i, j->scratch + (size_t)worker * scratch_per_strip(j->w), sums, i == first);
    }
}

static void run_shared(const grad_job *j)
{
    for (int i = 0; i < fnr_dn_strip_count(j->w); i++) {
        work k = begin(j, i, j->scratch, j->sums, i == 0);
        fnr_parallel_for((size_t)((fnr_dn_strip_in_rows(j->w, &k.strip) + FNR_DN_ROWS_PER_TASK - 1) / FNR_DN_ROWS_PER_TASK),
                         load_rows, &k);
        fnr_parallel_for(FREQUENCIES, sum_frequency, &k);
    }
}

/* Adds the parts of one row of sums: all frequencies of one input channel and one block of output channels. */
static void add_parts(const grad_job *j, size_t row, float *u)
{
    const int block = j->w->kernels->block;
    const size_t frequency_step = fnr_dn_filter_step(j->w), part_step = sums_floats(j->w);
    for (int f = 0; f < FREQUENCIES; f++, u += block) {
        const float *from = j->sums + (size_t)f * frequency_step + row * (size_t)block;
        memcpy(u, from, (size_t)block * sizeof *u);
        for (int p = 1; p < j->parts; p++) {
            from += part_step;
            for (int k = 0; k < block; k++) {
                u[k] += from[k];
            }
        }
    }
}

/* Takes one (kernel slice, input block, output block) back to filters. */
static void finish_square(void *ctx, size_t index)
{
    const grad_job *j = ctx;
    const fnr_dn_wino *w = j->w;
    const int block = w->kernels->block, out_block = (int)index % w->out_blocks,
              in_block = (int)index / w->out_blocks % w->in_blocks;
    const int slice = (int)index / (w->out_blocks * w->in_blocks);
    _Alignas(64) float u[FREQUENCIES * FNR_DN_MAX_BLOCK], g[9 * FNR_DN_MAX_BLOCK];
    for (int c = 0; c < block && in_block * block + c < w->in_channels; c++) {
        add_parts(j, index * (size_t)block + (size_t)c, u);
        w->kernels->filter_adjoint(u, (size_t)block, g);
        for (int k = 0; k < block && out_block * block + k < w->out_channels; k++) {
            const size_t filter = (size_t)(out_block * block + k) * (size_t)w->in_channels + (size_t)(in_block * block + c);
            float *to = j->dweights + (filter * (size_t)w->terms + (size_t)slice) * 9;
            for (int t = 0; t < 9; t++) {
                to[t] = g[t * block + k];
            }
        }
    }
}

void fnr_dn_wino_grad(const fnr_dn_wino *w, const fnr_dn_parts *src, fnr_dn_tensor dy, float *dweights, float *scratch)
{
    const int parts = parts_of(w);
    grad_job job = {.w = w, .src = src, .dy = dy, .parts = parts, .sums = scratch, .dweights = dweights};
    job.scratch = scratch + sums_floats(w) * (size_t)parts;
    if (w->shared) {
        run_shared(&job);
    } else {
        fnr_dn_for_workers(w->workers, parts, run_part, &job);
    }
    fnr_parallel_for((size_t)w->terms * (size_t)w->in_blocks * (size_t)w->out_blocks, finish_square, &job);
}
