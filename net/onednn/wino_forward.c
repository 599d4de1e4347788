/* Winograd convolutions: outputs (and, with reversed weights, gradients of inputs). */
#include <xmmintrin.h>
#include "net/onednn/wino.h"
#include "net/onednn/wino_strip.h"
#include "src/core/threads.h"

typedef struct {
    const fnr_dn_wino *w;
    const fnr_dn_parts *src;
    const float *u;
    const fnr_dn_norm *norm;
    fnr_dn_tensor dst;
    float *scratch;
} run_job;

/* A strip in work. */
typedef struct {
    const run_job *job;
    fnr_dn_strip strip;
    fnr_dn_spectrum v, m; /* of the input and of the output */
    float *pairs;         /* scratch of fnr_dn_pairs_multiply, for one worker after the other */
} work;

/* From the start of the input's spectrum to that of the output's; both in one place if overlaid. */
static size_t output_offset(const fnr_dn_wino *w)
{
    return fnr_dn_overlaid(w) ? 0 : fnr_dn_spectrum_floats(w, false);
}

static size_t scratch_per_strip(const fnr_dn_wino *w)
{
    return output_offset(w) + fnr_dn_spectrum_floats(w, true);
}

static size_t scratch_of_strips(const fnr_dn_wino *w)
{
    return scratch_per_strip(w) * (size_t)(w->shared ? 1 : w->workers);
}

size_t fnr_dn_wino_scratch_floats(const fnr_dn_wino *w)
{
    return scratch_of_strips(w) + fnr_dn_pairs_scratch_floats(w) * (size_t)w->workers;
}

static work begin(const run_job *j, int strip, float *scratch)
{
    return (work){.job = j,
                  .strip = fnr_dn_strip_at(j->w, strip),
                  .v = fnr_dn_spectrum_of(j->w, false, scratch),
                  .m = fnr_dn_spectrum_of(j->w, true, scratch + output_offset(j->w)),
                  .pairs = j->scratch + scratch_of_strips(j->w)};
}

static void load_rows(void *ctx, size_t task)
{
    const work *k = ctx;
    const int first = (int)task * FNR_DN_ROWS_PER_TASK, rows = fnr_dn_strip_in_rows(k->job->w, &k->strip);
    fnr_dn_strip_load(k->job->w, &k->strip, k->job->src, &k->v, first, fnr_dn_at_most(rows - first, FNR_DN_ROWS_PER_TASK));
}

/* Input channels to output channels at one frequency, summed over the kernel's slices. */
static void multiply_slices(const work *k, int f, const float *u)
{
    const fnr_dn_wino *w = k->job->w;
    const int block = w->kernels->block, rows = fnr_dn_strip_out_rows(&k->strip);
    const float *terms[FNR_DN_MOST_TERMS];
    for (int t = 0; t < w->terms * w->in_blocks; t++) {
        terms[t] = fnr_dn_spectrum_at(w, &k->v, f, t % w->in_blocks, t / w->in_blocks * k->strip.tiles);
    }
    fnr_dn_product p = {.rows = (size_t)((rows + FNR_DN_ROW_UNIT - 1) / FNR_DN_ROW_UNIT * FNR_DN_ROW_UNIT),
                        .n_terms = (size_t)(w->terms * w->in_blocks),
                        .terms = terms,
                        .row_blocks = 1,
                        .u = u,
                        .out_step = (size_t)block};
    for (int b = 0; b < w->out_blocks; b += 2) {
        p.columns = w->out_blocks - b > 1 ? 2 : 1;
        p.out[0] = fnr_dn_spectrum_at(w, &k->m, f, b, 0);
        p.out[1] = p.columns == 2 ? fnr_dn_spectrum_at(w, &k->m, f, b + 1, 0) : NULL;
        w->kernels->multiply(&p);
        p.u += p.n_terms * (size_t)(block * p.columns * block);
    }
}

static void multiply_frequency(void *ctx, int worker, int f)
{
    const work *k = ctx;
    const fnr_dn_wino *w = k->job->w;
    const float *u = k->job->u + (size_t)f * fnr_dn_filter_step(w);
    if (w->pairs) {
        float *scratch = k->pairs + (size_t)worker * fnr_dn_pairs_scratch_floats(w);
        fnr_dn_pairs_multiply(w, &k->strip, &k->v, &k->m, f, u, scratch);
    } else {
        multiply_slices(k, f, u);
    }
}

/* One channel block after the other, for the same reason as in fnr_dn_strip_load. */
static void store_rows(void *ctx, size_t task)
{
    const work *k = ctx;
    const fnr_dn_wino *w = k->job->w;
    const int first = (int)task * FNR_DN_ROWS_PER_TASK, block = w->kernels->block;
    const int rows = fnr_dn_at_most(fnr_dn_strip_out_rows(&k->strip) - first, FNR_DN_ROWS_PER_TASK);
    const fnr_dn_extent e = {.pixels = (size_t)w->d * (size_t)w->h * (size_t)w->w};
    fnr_dn_tile_window at[FNR_DN_ROWS_PER_TASK];
    for (int r = 0; r < rows; r++) {
        at[r] = fnr_dn_tile_outputs(w, &k->strip, first + r);
    }
    for (int b = 0; b < w->out_blocks; b++) {
        const fnr_dn_affine f = k->job->norm ? fnr_dn_norm_affine(k->job->norm, b) : (fnr_dn_affine){0};
        for (int r = 0; r < rows; r++) {
            float *y = fnr_dn_block_at(k->job->dst, &e, block, at[r].n, b) + at[r].pixel * (size_t)block;
            w->kernels->output(fnr_dn_spectrum_at(w, &k->m, 0, b, first + r), k->m.step, k->job->norm ? &f : NULL, w->stream, y,
                               (size_t)w->w * (size_t)block, at[r].h, at[r].w);
        }
    }
    if (w->stream) {
        _mm_sfence(); /* stores past the caches are visible to others only behind this */
    }
}

static size_t tasks_of(int rows)
{
    return (size_t)((rows + FNR_DN_ROWS_PER_TASK - 1) / FNR_DN_ROWS_PER_TASK);
}

/* A thread's own strip. */
static void run_strip(void *ctx, int worker, int strip)
{
    const run_job *j = ctx;
    work k = begin(j, strip, j->scratch + (size_t)worker * scratch_per_strip(j->w));
    for (size_t t = 0; t < tasks_of(fnr_dn_strip_in_rows(j->w, &k.strip)); t++) {
        load_rows(&k, t);
    }
    for (int f = 0; f < fnr_dn_wino_frequencies(j->w->kernels); f++) {
        multiply_frequency(&k, worker, f);
    }
    for (size_t t = 0; t < tasks_of(fnr_dn_strip_out_rows(&k.strip)); t++) {
        store_rows(&k, t);
    }
}

/* Everybody's. */
static void run_shared(const run_job *j, int strip)
{
    work k = begin(j, strip, j->scratch);
    fnr_parallel_for(tasks_of(fnr_dn_strip_in_rows(j->w, &k.strip)), load_rows, &k);
    fnr_dn_for_workers(j->w->workers, fnr_dn_wino_frequencies(j->w->kernels), multiply_frequency, &k);
    fnr_parallel_for(tasks_of(fnr_dn_strip_out_rows(&k.strip)), store_rows, &k);
}

void fnr_dn_wino_run(const fnr_dn_wino *w, const fnr_dn_parts *src, const float *u, const fnr_dn_norm *norm, fnr_dn_tensor dst,
                     float *scratch)
{
    run_job job = {.w = w, .src = src, .u = u, .norm = norm, .dst = dst, .scratch = scratch};
    const int strips = fnr_dn_strip_count(w);
    if (!w->shared) {
        fnr_dn_for_workers(w->workers, strips, run_strip, &job);
        return;
    }
    for (int i = 0; i < strips; i++) {
        run_shared(&job, i);
    }
}
