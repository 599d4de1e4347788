/* Every rotation, scale and place, by FFT-based normalised cross-correlation at the target's coarsest level. */
#include "register/coarse.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/threads.h"

/* Drawn tiles that lie in memory at a time [bytes]; with more, the montage is walked through several times. */
static const size_t most_tile_bytes = (size_t)64 << 20;

/* Blocks between two points where threads wait for each other. */
enum { BATCH = 8 };

/* The state of a search. */
typedef struct {
    fnr_coarse s;
    size_t n_items, keep;
    fnr_coarse_item *items; /* those of this walk */
    size_t first, count;
    fnr_coarse_maps *maps; /* one per thread */
    int n_threads;
    fnr_error *errors; /* one per item of the walk */
    struct {
        int x0, y0;
        fnr_coarse_block block;
        bool empty;
        fnr_error err;
    } batch[BATCH];
    size_t n_batch;
    fnr_peak_list *lists; /* FNR_TURNS per item of the walk and block of the batch */
    atomic_size_t next;   /* item and block that nobody has begun: block * count + item */
    fnr_peak *peaks;
    size_t n_peaks;
} walk;

static int compare_peaks(const void *a, const void *b)
{
    const fnr_peak *p = a, *q = b;
    if (p->score != q->score) {
        return p->score < q->score ? 1 : -1;
    }
    return memcmp(p, q, sizeof *p);
}

static bool same_place(const fnr_coarse *s, const fnr_peak *a, const fnr_peak *b)
{
    const double reach = 0.15 * s->foot, dx = a->x - b->x, dy = a->y - b->y;
    if (dx * dx + dy * dy > reach * reach) {
        return false;
    }
    return fabs(remainder((double)a->rotation_deg - (double)b->rotation_deg, 360.0)) <= 2.5 * s->rotation_step;
}

/* Sorts and keeps the best of every group that means the same place and rotation. */
static size_t suppress(const fnr_coarse *s, fnr_peak *p, size_t n, size_t keep)
{
    size_t kept = 0;
    qsort(p, n, sizeof *p, compare_peaks);
    for (size_t i = 0; i < n && kept < keep; i++) {
        bool fresh = true;
        for (size_t k = 0; fresh && k < kept; k++) {
            fresh = !same_place(s, &p[i], &p[k]);
        }
        if (fresh) {
            p[kept++] = p[i];
        }
    }
    return kept;
}

static void draw_item(void *ctx, size_t i)
{
    walk *k = ctx;
    k->errors[i].code = FNR_OK;
    if (fnr_cancelled(k->s.m->cancel)) {
        fnr_fail(&k->errors[i], FNR_E_CANCELLED, "stopped");
    } else {
        fnr_coarse_item_new(&k->s, k->first + i, &k->items[i], &k->errors[i]);
    }
}

static void cut_block(void *ctx, size_t i)
{
    walk *k = ctx;
    k->batch[i].err.code = FNR_OK;
    fnr_coarse_block_new(&k->s, k->batch[i].x0, k->batch[i].y0, &k->batch[i].block, &k->batch[i].empty, &k->batch[i].err);
}

/* Thread number i: takes items and blocks until none is left. */
static void search_items(void *ctx, size_t i)
{
    walk *k = ctx;
    for (size_t n; !fnr_cancelled(k->s.m->cancel) && (n = atomic_fetch_add(&k->next, 1)) < k->count * k->n_batch;) {
        const size_t b = n / k->count;
        fnr_peak_list *lists = k->lists + n * FNR_TURNS;
        memset(lists, 0, FNR_TURNS * sizeof *lists);
        if (!k->batch[b].empty) {
            fnr_coarse_search_item(&k->s, &k->batch[b].block, &k->items[n % k->count], &k->maps[i], lists);
        }
    }
}

/* Adds the batch's peaks to those of the montage. */
static void collect(walk *k)
{
    for (size_t i = 0; i < k->count * k->n_batch * FNR_TURNS; i++) {
        memcpy(k->peaks + k->n_peaks, k->lists[i].p, (size_t)k->lists[i].n * sizeof *k->peaks);
        k->n_peaks += (size_t)k->lists[i].n;
    }
    k->n_peaks = suppress(&k->s, k->peaks, k->n_peaks, k->keep);
    k->s.floor = k->n_peaks == k->keep ? k->peaks[k->n_peaks - 1].score : 0;
}

/* All items over the blocks that wait in the batch, which is empty afterwards. */
static bool search_batch(walk *k, fnr_error *err)
{
    fnr_parallel_for(k->n_batch, cut_block, k);
    bool ok = true;
    for (size_t i = 0; ok && i < k->n_batch; i++) {
        ok = k->batch[i].err.code == FNR_OK;
        if (!ok && err) {
            *err = k->batch[i].err;
        }
    }
    if (ok) {
        k->next = 0;
        fnr_parallel_for((size_t)k->n_threads, search_items, k);
        ok = !fnr_cancelled(k->s.m->cancel) || fnr_fail(err, FNR_E_CANCELLED, "stopped");
    }
    if (ok) {
        collect(k);
    }
    for (size_t i = 0; i < k->n_batch; i++) {
        fnr_coarse_block_free(&k->batch[i].block);
    }
    k->n_batch = 0;
    return ok;
}

/* Items first ... first + count - 1 over the whole montage. */
static bool walk_montage(walk *k, fnr_error *err)
{
    const fnr_target_level *l = &k->s.m->target->level[k->s.level];
    bool ok = true;
    fnr_parallel_for(k->count, draw_item, k);
    for (size_t i = 0; ok && i < k->count; i++) {
        ok = k->errors[i].code == FNR_OK;
        if (!ok && err) {
            *err = k->errors[i];
        }
    }
    for (int y = -(k->s.foot / 2); ok && y < l->h - k->s.foot / 2; y += k->s.starts) {
        for (int x = -(k->s.foot / 2); ok && x < l->w - k->s.foot / 2; x += k->s.starts) {
            k->batch[k->n_batch].x0 = x;
            k->batch[k->n_batch++].y0 = y;
            ok = k->n_batch < BATCH || search_batch(k, err);
        }
    }
    ok = ok && search_batch(k, err);
    for (size_t i = 0; i < k->count; i++) {
        fnr_coarse_item_free(&k->items[i]);
    }
    return ok;
}

/* Time of one transform, in arbitrary units: large ones leave the caches (measured with FFTW: 3.0 ns per pixel at a side of 256, 4.0 at
 * 512, 6.7 at 1024). */
static double transform_cost(int side)
{
    return (double)side * side * (1 + side / 400.0);
}

/* Transform side: one block for the whole montage when that is cheap, else the cheapest of a few. */
static int choose_side(const fnr_target_level *l, int foot)
{
    static const int sides[] = {128, 160, 192, 256, 320, 384, 512, 640, 768, 1024};
    const int whole = fnr_fft_good_size((l->w > l->h ? l->w : l->h) + foot - 1);
    int best = whole;
    double best_cost = transform_cost(whole);
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        const int starts = sides[i] - foot + 1;
        if (starts < sides[i] / 4) {
            continue;
        }
        const double cost = ceil((double)l->w / starts) * ceil((double)l->h / starts) * transform_cost(sides[i]);
        if (cost < 0.95 * best_cost || best > 1024) {
            best = sides[i];
            best_cost = cost;
        }
    }
    return best;
}

static void plan(fnr_coarse *s)
{
    const fnr_register_options *o = s->m->opt;
    const fnr_tile_size *size = &s->m->tpl->size;
    const double px = (double)(1 << s->level), longest = (size->w > size->h ? size->w : size->h) * size->nominal / px;
    const double radius = 0.5 * longest, diagonal = hypot(size->w, size->h) * size->nominal * o->scale_max / px;
    /* Half a step may move the tile's edge by about half a pixel through rotation and a third through scale. */
    s->n_rotations = (int)ceil(0.5 * 3.14159265358979 * radius / 1.1);
    s->rotation_step = 90.0 / s->n_rotations;
    s->n_scales = (int)ceil((o->scale_max - o->scale_min) * radius / 0.6);
    s->n_scales = s->n_scales < 1 ? 1 : s->n_scales > FNR_COARSE_SCALES ? FNR_COARSE_SCALES : s->n_scales;
    for (int i = 0; i < s->n_scales; i++) {
        s->scale[i] = o->scale_min + (o->scale_max - o->scale_min) * (i + 0.5) / s->n_scales;
    }
    s->foot = 2 * (int)ceil(0.5 * diagonal + 0.5) + 1;
    s->side = choose_side(&s->m->target->level[s->level], s->foot);
    s->starts = s->side - s->foot + 1;
}

static bool to_hits(const fnr_coarse *s, const fnr_peak *p, size_t n, fnr_hit **hits, fnr_error *err)
{
    fnr_hit *out = fnr_calloc(n ? n : 1, sizeof *out, "candidates", err);
    if (!out) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        out[i].pose =
            fnr_pose_similarity(&s->m->tpl->size, fnr_level_to_full((double)p[i].x, s->level),
                                fnr_level_to_full((double)p[i].y, s->level), (double)p[i].scale, (double)p[i].rotation_deg);
        out[i].score = (double)p[i].score;
    }
    *hits = out;
    return true;
}

static void walk_free(walk *k)
{
    for (int i = 0; k->maps && i < k->n_threads; i++) {
        fnr_coarse_maps_free(&k->maps[i]);
    }
    free(k->maps);
    free(k->items);
    free(k->errors);
    free(k->lists);
    free(k->peaks);
    fnr_fft_free(k->s.fft);
}

/* `most`: items in memory at a time. */
static bool walk_new(walk *k, size_t most, fnr_error *err)
{
    k->items = fnr_calloc(most, sizeof *k->items, "drawn tiles", err);
    k->errors = fnr_calloc(most, sizeof *k->errors, "drawn tiles", err);
    k->lists = fnr_calloc(most * BATCH * FNR_TURNS, sizeof *k->lists, "candidates", err);
    k->peaks = fnr_calloc(most * BATCH * FNR_TURNS * FNR_PEAKS + k->keep, sizeof *k->peaks, "candidates", err);
    k->maps = fnr_calloc((size_t)k->n_threads, sizeof *k->maps, "correlation maps", err);
    bool ok = k->items && k->errors && k->lists && k->peaks && k->maps;
    for (int i = 0; ok && i < k->n_threads; i++) {
        ok = fnr_coarse_maps_new(&k->s, &k->maps[i], err);
    }
    return ok;
}

bool fnr_coarse_search(const fnr_match *m, int keep, fnr_hit **hits, size_t *count, fnr_error *err)
{
    walk k = {.s = {.m = m, .level = m->target->n_levels - 1}, .keep = (size_t)keep, .n_threads = fnr_threads_get()};
    plan(&k.s);
    k.n_items = (size_t)k.s.n_rotations * (size_t)k.s.n_scales;
    k.s.fft = fnr_fft_new(k.s.side, k.s.side, err);
    if (!k.s.fft) {
        return false;
    }
    size_t most = most_tile_bytes / fnr_coarse_item_bytes(&k.s);
    most = most < 8 ? 8 : most > k.n_items ? k.n_items : most;
    bool ok = walk_new(&k, most, err);
    for (; ok && k.first < k.n_items; k.first += most) {
        k.count = k.n_items - k.first < most ? k.n_items - k.first : most;
        ok = walk_montage(&k, err);
    }
    ok = ok && to_hits(&k.s, k.peaks, k.n_peaks, hits, err);
    if (ok) {
        *count = k.n_peaks;
    }
    walk_free(&k);
    return ok;
}
