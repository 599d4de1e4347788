/* Strips, weights and transformed inputs of Winograd convolutions. */
#include "net/onednn/wino.h"

#include <stdatomic.h>
#include <string.h>
#include "net/onednn/wino_strip.h"
#include "src/core/threads.h"

/* Sizes that decide how work is cut: what a core's second-level cache and the shared third level hold beside other things. */
enum {
    STRIP_BYTES = 384 << 10,       /* transformed tensors of a thread's own strip */
    SHARED_STRIP_BYTES = 12 << 20, /* of a strip that all threads work on */
    OWN_FILTER_BYTES = 9 << 20,    /* transformed weights above this want shared strips */
    OWN_SUMS_BYTES = 3 << 19,      /* the same of sums that become their gradient */
    OWN_SUMS_ROWS = 768,           /* rows below this are too few for partial sums */
    PAIR_FILTERS = 160 << 10,      /* with more filters than this (512 x 512 channels, few slices) the weights of pairs, a third
                                      larger, take longer to make and to read than the products that they save */
    STREAM_BYTES = 32 << 20,       /* outputs larger than this will not be found in a cache by their reader */
    FEW_STRIPS = 8,                /* fewer do not keep threads busy */
    MOST_SLICES = 8,               /* of a thread's own strip */
    LEAST_ROWS = 16,               /* of a product */
    MOST_ROWS = 96
};

_Static_assert(MOST_SLICES % 2 == 0, "strips, like tiles of a prediction, begin with whole pairs");

static int ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}

static int clamp(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static size_t padded_rows(int rows)
{
    return (size_t)(ceil_div(rows, FNR_DN_ROW_UNIT) * FNR_DN_ROW_UNIT);
}

/* Strips of about `rows` rows, but at least `least` of them if they can be cut so small. */
static void cut(fnr_dn_wino *w, int rows, int most_slices, int least)
{
    w->strip_slices = w->d < most_slices ? w->d : most_slices;
    const int wanted = clamp(rows / w->strip_slices, 1, ceil_div(w->tiles, ceil_div(least, ceil_div(w->d, w->strip_slices))));
    w->strip_tiles = w->terms == 1 ? ceil_div(wanted, FNR_DN_ROW_UNIT) * FNR_DN_ROW_UNIT : wanted;
    w->strip_tiles = w->strip_tiles > w->tiles ? w->tiles : w->strip_tiles;
}

/* Of all frequencies and blocks of a row of a strip. */
static int row_bytes(const fnr_dn_wino *w)
{
    const int blocks = fnr_dn_overlaid(w) ? larger(w->in_blocks, w->out_blocks) : w->in_blocks + w->out_blocks;
    return fnr_dn_wino_frequencies(w->kernels) * blocks * w->kernels->block * (int)sizeof(float);
}

static void choose_strips(fnr_dn_wino *w)
{
    const int slices = w->pairs ? 2 : 1; /* that share a row of a product */
    const bool grad = w->purpose == FNR_DN_WINO_GRAD;
    w->shared = fnr_dn_wino_filter_floats(w) * sizeof(float) > (grad ? OWN_SUMS_BYTES : OWN_FILTER_BYTES) ||
                (grad && w->tiles * w->d < OWN_SUMS_ROWS);
    if (!w->shared) {
        cut(w, clamp(STRIP_BYTES / row_bytes(w), slices * LEAST_ROWS, slices * MOST_ROWS), MOST_SLICES, FEW_STRIPS);
        w->shared = fnr_dn_strip_count(w) < FEW_STRIPS / 2;
    }
    if (w->shared) {
        cut(w, SHARED_STRIP_BYTES / row_bytes(w), w->d, 1);
    }
    const fnr_dn_strip largest = {.tiles = w->strip_tiles, .slices = w->strip_slices};
    w->out_rows = padded_rows(fnr_dn_strip_computed_slices(w, &largest) * largest.tiles);
    /* A product of rows rounded up reads that far behind the last kernel slice's rows. */
    w->in_rows = padded_rows(fnr_dn_strip_in_rows(w, &largest)) + FNR_DN_ROW_UNIT;
}

/* Depends on the channels alone: whatever the part of an image, it is computed in the same way. */
static bool suits_pairs(const fnr_dn_wino *w)
{
    return w->spatial == 3 && w->kernels->pairs && w->in_channels * w->out_channels <= PAIR_FILTERS;
}

bool fnr_dn_wino_init(fnr_dn_wino *w, const fnr_dn_wino_kernels *k, const fnr_shape *in, int out_channels,
                      fnr_dn_wino_purpose purpose)
{
    *w = (fnr_dn_wino){.kernels = k, .spatial = in->spatial, .n = in->n, .d = in->d, .h = in->h, .w = in->w, .purpose = purpose};
    w->in_channels = in->c;
    w->out_channels = out_channels;
    w->in_blocks = ceil_div(in->c, k->block);
    w->out_blocks = ceil_div(out_channels, k->block);
    w->workers = fnr_threads_get();
    w->terms = in->spatial == 3 ? 3 : 1;
    w->pairs = suits_pairs(w);
    w->filter_slices = w->pairs ? FNR_DN_PAIR_TERMS : w->terms;
    w->tiles_y = ceil_div(in->h, k->tile);
    w->tiles_x = ceil_div(in->w, k->tile);
    w->tiles = in->n * w->tiles_y * w->tiles_x;
    if (w->terms * w->in_blocks > FNR_DN_MOST_TERMS) {
        return false;
    }
    const size_t out_pixels = (size_t)in->n * (size_t)in->d * (size_t)in->h * (size_t)in->w;
    w->stream = out_pixels * (size_t)(w->out_blocks * k->block) * sizeof(float) > STREAM_BYTES;
    choose_strips(w);
    return true;
}

int fnr_dn_strip_count(const fnr_dn_wino *w)
{
    return ceil_div(w->tiles, w->strip_tiles) * ceil_div(w->d, w->strip_slices);
}

fnr_dn_strip fnr_dn_strip_at(const fnr_dn_wino *w, int index)
{
    const int per_run = ceil_div(w->d, w->strip_slices);
    fnr_dn_strip s = {.tile = index / per_run * w->strip_tiles, .slice = index % per_run * w->strip_slices};
    s.tiles = w->tiles - s.tile < w->strip_tiles ? w->tiles - s.tile : w->strip_tiles;
    s.slices = w->d - s.slice < w->strip_slices ? w->d - s.slice : w->strip_slices;
    return s;
}

/* ---- transformed tensors --------------------------------------------------------------------------------------------------- */

fnr_dn_spectrum fnr_dn_spectrum_of(const fnr_dn_wino *w, bool output, float *scratch)
{
    const size_t in = (size_t)w->in_blocks * w->in_rows, out = (size_t)w->out_blocks * w->out_rows;
    size_t rows = output ? out : in; /* of all blocks */
    if (fnr_dn_overlaid(w)) {
        rows = in > out ? in : out;
    }
    /* One block more, so that the frequencies of a tile do not all fall into the same set of a cache. */
    const size_t step = (rows + 1) * (size_t)w->kernels->block;
    const bool behind = fnr_dn_overlaid(w) && !w->pairs && !output;
    return (fnr_dn_spectrum){.data = scratch + (behind ? step : 0), .rows = output ? w->out_rows : w->in_rows, .step = step};
}

size_t fnr_dn_spectrum_floats(const fnr_dn_wino *w, bool output)
{
    const size_t frequencies = (size_t)fnr_dn_wino_frequencies(w->kernels) + (fnr_dn_overlaid(w) && !w->pairs);
    return (frequencies * fnr_dn_spectrum_of(w, output, NULL).step + 31) / 32 * 32;
}

/* Where row `row` of a strip's spectrum lies: sample, slice (outside the image: -1), first pixel of its tile of outputs. */
typedef struct {
    int n, z, y, x;
} tile_place;

static tile_place tile_of(const fnr_dn_wino *w, const fnr_dn_strip *s, bool output, int row)
{
    const int tile = s->tile + row % s->tiles, in_plane = tile % (w->tiles_y * w->tiles_x);
    const int z = s->slice + row / s->tiles - (output ? 0 : w->terms / 2);
    return (tile_place){.n = tile / (w->tiles_y * w->tiles_x),
                        .z = z < w->d ? z : -1,
                        .y = in_plane / w->tiles_x * w->kernels->tile,
                        .x = in_plane % w->tiles_x * w->kernels->tile};
}

fnr_dn_tile_window fnr_dn_tile_outputs(const fnr_dn_wino *w, const fnr_dn_strip *s, int row)
{
    const tile_place at = tile_of(w, s, true, row);
    return (fnr_dn_tile_window){.n = at.n,
                                .h = fnr_dn_at_most(w->h - at.y, w->kernels->tile),
                                .w = fnr_dn_at_most(w->w - at.x, w->kernels->tile),
                                .pixel = ((size_t)at.z * (size_t)w->h + (size_t)at.y) * (size_t)w->w + (size_t)at.x};
}

/* One channel block of the inputs, as they lie in memory, and what is done to them on the way. */
typedef struct {
    fnr_dn_tensor x;
    int own; /* which block of x */
    fnr_dn_affine affine;
    bool has_affine;
} block_source;

static block_source source_of(const fnr_dn_parts *src, int b)
{
    const bool first = b < src->part[0].blocks;
    const fnr_dn_part *p = &src->part[!first];
    block_source s = {.x = p->x, .own = first ? b : b - src->part[0].blocks, .has_affine = p->norm != NULL};
    if (s.has_affine) {
        s.affine = fnr_dn_norm_affine(p->norm, s.own);
    }
    return s;
}

static void load_tile(const fnr_dn_wino *w, const block_source *s, const tile_place *at, float *v, size_t v_step)
{
    const size_t block = (size_t)w->kernels->block;
    if (at->z < 0) {
        for (int f = 0; f < fnr_dn_wino_frequencies(w->kernels); f++) {
            memset(v + (size_t)f * v_step, 0, block * sizeof *v);
        }
        return;
    }
    const fnr_dn_window in = {.top = at->y == 0,
                              .left = at->x == 0,
                              .bottom = clamp(w->h + 1 - at->y, 0, w->kernels->tile + 2),
                              .right = clamp(w->w + 1 - at->x, 0, w->kernels->tile + 2)};
    const fnr_dn_extent e = {.pixels = (size_t)w->d * (size_t)w->h * (size_t)w->w};
    const size_t pixel =
        ((size_t)at->z * (size_t)w->h + (size_t)(at->y - 1 + in.top)) * (size_t)w->w + (size_t)(at->x - 1 + in.left);
    const float *x = fnr_dn_block_at(s->x, &e, (int)block, at->n, s->own) + pixel * block;
    w->kernels->input(x, (size_t)w->w * block, &in, s->has_affine ? &s->affine : NULL, v, v_step);
}

void fnr_dn_strip_load(const fnr_dn_wino *w, const fnr_dn_strip *s, const fnr_dn_parts *src, const fnr_dn_spectrum *v, int first,
                       int rows)
{
    tile_place at[FNR_DN_ROWS_PER_TASK];
    for (int r = 0; r < rows; r++) {
        at[r] = tile_of(w, s, false, first + r);
    }
    for (int b = 0; b < w->in_blocks; b++) {
        const block_source from = source_of(src, b);
        for (int r = 0; r < rows; r++) {
            load_tile(w, &from, &at[r], fnr_dn_spectrum_at(w, v, 0, b, first + r), v->step);
        }
    }
}

/* ---- weights --------------------------------------------------------------------------------------------------------------- */

/* [frequency][panel of two column blocks][slice of the filter][input channel][column block][channel]. */
size_t fnr_dn_filter_step(const fnr_dn_wino *w)
{
    const size_t block = (size_t)w->kernels->block;
    return (size_t)w->filter_slices * (size_t)w->in_blocks * block * (size_t)w->out_blocks * block + block;
}

size_t fnr_dn_wino_filter_floats(const fnr_dn_wino *w)
{
    return (size_t)fnr_dn_wino_frequencies(w->kernels) * fnr_dn_filter_step(w);
}

typedef struct {
    const fnr_dn_wino *w;
    const float *weights;
    float *u;
} pack_job;

/* Slices of filters: the kernel's, or those of pairs. */
typedef float filter_slices[FNR_DN_PAIR_TERMS][9 * FNR_DN_MAX_BLOCK];

/* The 3x3 filters from input channel `in` to the `block` outputs from `first` on, side by side; zero beyond the true channels. */
static void gather_filters(const pack_job *j, int in, int first, int slice, float *g)
{
    const fnr_dn_wino *w = j->w;
    const int block = w->kernels->block;
    const bool reversed = w->purpose == FNR_DN_WINO_BACK;
    for (int k = 0; k < block; k++) {
        const int out = first + k;
        if (in >= w->in_channels || out >= w->out_channels) {
            for (int t = 0; t < 9; t++) {
                g[t * block + k] = 0.0f;
            }
            continue;
        }
        const size_t index =
            reversed ? (size_t)in * (size_t)w->out_channels + (size_t)out : (size_t)out * (size_t)w->in_channels + (size_t)in;
        const float *from = j->weights + (index * (size_t)w->terms + (size_t)(reversed ? w->terms - 1 - slice : slice)) * 9;
        float filter[9], *to = g + (reversed ? 8 * block : 0) + k;
        const int step = reversed ? -block : block;
        memcpy(filter, from, sizeof filter);
#pragma GCC unroll 9
        for (int t = 0; t < 9; t++) {
            to[t * step] = filter[t];
        }
    }
}

/* G g along z: the kernel's three slices become the four of pairs (wino_pairs.c). */
static void pair_filters(filter_slices g)
{
    for (int i = 0; i < 9 * FNR_DN_MAX_BLOCK; i++) {
        const float even = 0.5f * (g[0][i] + g[2][i]), odd = 0.5f * g[1][i];
        g[3][i] = g[2][i];
        g[1][i] = even + odd;
        g[2][i] = even - odd;
    }
}

/* All filters to one block of outputs from one block of inputs. */
static void pack_blocks(void *ctx, size_t index)
{
    const pack_job *j = ctx;
    const fnr_dn_wino *w = j->w;
    const int block = w->kernels->block, b = (int)index % w->in_blocks, column = (int)index / w->in_blocks;
    const int panel = column / 2, columns = w->out_blocks - 2 * panel > 1 ? 2 : 1;
    const size_t depth = (size_t)w->filter_slices * (size_t)w->in_blocks * (size_t)block;
    _Alignas(64) filter_slices g = {{0}};
    for (int c = 0; c < block; c++) {
        for (int slice = 0; slice < w->terms; slice++) {
            gather_filters(j, b * block + c, column * block, slice, g[slice]);
        }
        if (w->pairs) {
            pair_filters(g);
        }
        for (int slice = 0; slice < w->filter_slices; slice++) {
            const size_t row = ((size_t)slice * (size_t)w->in_blocks + (size_t)b) * (size_t)block + (size_t)c;
            float *to = j->u + ((size_t)(2 * panel) * depth + row * (size_t)columns + (size_t)(column % 2)) * (size_t)block;
            w->kernels->filter(g[slice], to, fnr_dn_filter_step(w));
        }
    }
}

void fnr_dn_wino_pack(const fnr_dn_wino *w, const float *weights, float *u)
{
    pack_job job = {.w = w, .weights = weights, .u = u};
    fnr_parallel_for((size_t)w->in_blocks * (size_t)w->out_blocks, pack_blocks, &job);
}

/* ---- workers --------------------------------------------------------------------------------------------------------------- */

typedef struct {
    void (*body)(void *ctx, int worker, int item);
    void *ctx;
    int count;
    atomic_int next;
} worker_job;

static void work(void *ctx, size_t worker)
{
    worker_job *j = ctx;
    for (int i; (i = atomic_fetch_add(&j->next, 1)) < j->count;) {
        j->body(j->ctx, (int)worker, i);
    }
}

void fnr_dn_for_workers(int workers, int count, void (*body)(void *ctx, int worker, int item), void *ctx)
{
    worker_job job = {.body = body, .ctx = ctx, .count = count};
    fnr_parallel_for((size_t)workers, work, &job);
}
