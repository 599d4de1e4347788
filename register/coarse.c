/* Every rotation, scale and place, by FFT-based normalised cross-correlation at the target's coarsest level.
 *
 * The montage is cut into overlapping square blocks, so memory does not grow with it and time grows with its area.  Four rotations a
 * quarter turn apart share the transform of one drawn tile, because turning the block by -90 degrees instead costs nothing per tile.
 *
 * The normalisation is exact at the montage's borders: there the tile's own sums are taken over the part that lies inside, from
 * summed-area tables.  Pixels missing inside the montage count as background here; the refinement leaves them out exactly. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "register/match.h"
#include "src/core/mem.h"
#include "src/core/threads.h"
#include "src/cv/cv.h"

enum { TURNS = 4, PEAKS = 12, SCALES_MAX = 64 };

static const double min_energy = 0.4; /* of the drawn tile's variance that must lie on the montage */

/* One block: window starts (x0 .. x0 + starts - 1, y0 ...) [level px]; all arrays are side x side. */
typedef struct {
    int x0, y0;
    float *image[TURNS]; /* spectra of the block turned by -90 degrees k times */
    float *square[2];    /* spectra of its squares, turned by 0 and -90 */
    float *buffer;       /* owned */
} block;

typedef struct {
    float score;
    float x, y; /* centre [level px] */
    float rotation_deg, scale;
} peak;

/* Peaks of one pose in one block, best first. */
typedef struct {
    peak p[PEAKS];
    int n;
} peak_list;

typedef struct {
    const fnr_match *m;
    int level, foot, side, starts; /* footprint (odd), transform side, window starts per axis */
    int n_rotations;               /* in the first quarter turn */
    double rotation0, rotation_step;
    int n_scales;
    double scale[SCALES_MAX];
    const block *b;
    peak_list *lists; /* [n_scales][n_rotations][TURNS] */
    fnr_error *errors; /* one per item */
} search;

/* Everything one item (rotation in the first quarter, scale) needs. */
typedef struct {
    fnr_grid drawn, weight;        /* foot x foot */
    double *table[3];              /* summed-area tables of weight, weight * t, weight * t^2: (foot + 1)^2 */
    /* side^2 each, from one allocation; maps are indexed by the window's start in the turned block.  Even and odd quarter turns have
     * sums of their own; two turns differ by reading backwards. */
    float *spectrum, *map;
    float *sum[2], *square[2];     /* of the montage and its squares under the tile's outline */
    float *inverse[2];             /* 1 / the montage's deviation there, for windows inside the montage */
    double n;                      /* sum of weights */
} item_work;

static size_t side2(const search *s)
{
    return (size_t)s->side * (size_t)s->side;
}

/* Pixel (x, y) of a side x side image turned by -90 degrees `turns` times comes from this pixel of the original. */
static void turn(int turns, int last, int x, int y, int *ox, int *oy)
{
    switch (turns & 3) {
    case 0:
        *ox = x, *oy = y;
        break;
    case 1:
        *ox = last - y, *oy = x;
        break;
    case 2:
        *ox = last - x, *oy = last - y;
        break;
    default:
        *ox = y, *oy = last - x;
        break;
    }
}

/* ---- blocks ---- */

static void block_free(block *b)
{
    free(b->buffer);
    *b = (block){0};
}

/* Spectra of the block whose first window start is (x0, y0). */
static bool block_new(const search *s, int x0, int y0, block *out, bool *empty, fnr_error *err)
{
    const size_t n = side2(s);
    block b = {.x0 = x0, .y0 = y0, .buffer = fnr_alloc_aligned(n * 8, sizeof *b.buffer, "a montage block", err)};
    if (!b.buffer) {
        return false;
    }
    float *value = b.buffer, *work = b.buffer + n;
    fnr_target_window(s->m->target, s->level, x0, y0, s->side, s->side, value, work);
    *empty = true;
    for (size_t i = 0; *empty && i < n; i++) {
        *empty = !(value[i] > 0);
    }
    bool ok = true;
    for (int k = 0; ok && !*empty && k < TURNS + 2; k++) {
        float *spectrum = b.buffer + (size_t)(2 + k) * n;
        for (int y = 0; y < s->side; y++) {
            for (int x = 0; x < s->side; x++) {
                int ox, oy;
                turn(k < TURNS ? k : k - TURNS, s->side - 1, x, y, &ox, &oy);
                const float v = value[(size_t)oy * (size_t)s->side + (size_t)ox];
                work[(size_t)y * (size_t)s->side + (size_t)x] = k < TURNS ? v : v * v;
            }
        }
        ok = fnr_cv_dft(work, s->side, s->side, s->side, spectrum, err);
        *(k < TURNS ? &b.image[k] : &b.square[k - TURNS]) = spectrum;
    }
    if (!ok) {
        block_free(&b);
        return false;
    }
    *out = b;
    return true;
}

/* ---- the drawn tile ---- */

static void item_free(item_work *w)
{
    fnr_grid_free(&w->drawn);
    fnr_grid_free(&w->weight);
    for (int i = 0; i < 3; i++) {
        free(w->table[i]);
    }
    free(w->spectrum);
    *w = (item_work){0};
}

static bool item_new(const search *s, item_work *out, fnr_error *err)
{
    const size_t n = side2(s), cells = (size_t)(s->foot + 1) * (size_t)(s->foot + 1);
    item_work w = {.spectrum = fnr_alloc_aligned(n * 8, sizeof *w.spectrum, "a correlation map", err)};
    bool ok = w.spectrum && fnr_grid_new(&w.drawn, s->foot, s->foot, "a drawn tile", err) &&
              fnr_grid_new(&w.weight, s->foot, s->foot, "a drawn tile", err);
    for (int i = 0; ok && i < 3; i++) {
        w.table[i] = fnr_calloc(cells, sizeof *w.table[i], "a summed-area table", err);
        ok = w.table[i] != NULL;
    }
    if (!ok) {
        item_free(&w);
        return false;
    }
    w.map = w.spectrum + n;
    for (size_t k = 0; k < 2; k++) {
        w.sum[k] = w.spectrum + (2 + k) * n;
        w.square[k] = w.spectrum + (4 + k) * n;
        w.inverse[k] = w.spectrum + (6 + k) * n;
    }
    *out = w;
    return true;
}

/* Draws the tile around the middle of the footprint with weighted mean 0 and energy 1; false when it is flat there. */
static bool draw_tile(const search *s, double scale, double rotation, item_work *w)
{
    const double px = (double)(1 << s->level);
    const fnr_tile_size *size = &s->m->tpl->size;
    const fnr_window win = {.level = s->level, .w = s->foot, .h = s->foot};
    const fnr_pose pose = fnr_pose_similarity(size, (s->foot / 2 + 0.5) * px - 0.5, (s->foot / 2 + 0.5) * px - 0.5, scale, rotation);
    float *t = w->drawn.px, *weight = w->weight.px;
    fnr_template_draw(s->m->tpl, &pose, &win, t, weight);
    const size_t n = (size_t)s->foot * (size_t)s->foot;
    double mean = 0, energy = 0;
    w->n = 0;
    for (size_t i = 0; i < n; i++) {
        w->n += weight[i];
        mean += (double)weight[i] * (double)t[i];
    }
    mean /= w->n;
    for (size_t i = 0; i < n; i++) {
        energy += (double)weight[i] * ((double)t[i] - mean) * ((double)t[i] - mean);
    }
    if (!(energy > 1e-9 * w->n)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        t[i] = (float)(((double)t[i] - mean) / sqrt(energy));
    }
    return true;
}

static void fill_tables(const search *s, item_work *w)
{
    const int stride = s->foot + 1;
    for (int k = 0; k < 3; k++) {
        for (int y = 0; y < s->foot; y++) {
            double row = 0;
            for (int x = 0; x < s->foot; x++) {
                const size_t i = (size_t)y * (size_t)s->foot + (size_t)x;
                const double t = w->drawn.px[i];
                row += (double)w->weight.px[i] * (k == 0 ? 1 : k == 1 ? t : t * t);
                w->table[k][(y + 1) * stride + x + 1] = w->table[k][y * stride + x + 1] + row;
            }
        }
    }
}

static double table_sum(const double *t, int stride, int xa, int ya, int xb, int yb)
{
    return t[yb * stride + xb] - t[ya * stride + xb] - t[yb * stride + xa] + t[ya * stride + xa];
}

/* Sums of weight, weight t, weight t^2 over the part of the footprint that lies on the montage when it starts at (x, y) and the tile is
 * turned by a further `turns` quarters. */
static void inside_sums(const search *s, const item_work *w, int turns, int x, int y, fnr_sums *sums)
{
    const fnr_target_level *l = &s->m->target->level[s->level];
    const int last = s->foot - 1;
    int xa = x < 0 ? -x : 0, ya = y < 0 ? -y : 0, xb = l->w - x - 1, yb = l->h - y - 1; /* inclusive */
    xb = xb > last ? last : xb;
    yb = yb > last ? last : yb;
    int ax, ay, bx, by;
    turn(4 - turns, last, xa, ya, &ax, &ay);
    turn(4 - turns, last, xb, yb, &bx, &by);
    const int x0 = ax < bx ? ax : bx, x1 = (ax < bx ? bx : ax) + 1, y0 = ay < by ? ay : by, y1 = (ay < by ? by : ay) + 1;
    sums->n = table_sum(w->table[0], s->foot + 1, x0, y0, x1, y1);
    sums->t = table_sum(w->table[1], s->foot + 1, x0, y0, x1, y1);
    sums->tt = table_sum(w->table[2], s->foot + 1, x0, y0, x1, y1);
}

static bool touches_border(const search *s, int x, int y)
{
    const fnr_target_level *l = &s->m->target->level[s->level];
    return x < 0 || y < 0 || x + s->foot > l->w || y + s->foot > l->h;
}

static bool centre_outside(const search *s, int x, int y)
{
    const fnr_target_level *l = &s->m->target->level[s->level];
    const int h = s->foot / 2;
    return x + h < 0 || y + h < 0 || x + h >= l->w || y + h >= l->h;
}

/* ---- correlation ---- */

/* kernel (foot x foot, zero-padded) -> its spectrum in w->spectrum. */
static bool kernel_spectrum(const search *s, const float *a, const float *b, item_work *w, fnr_error *err)
{
    memset(w->spectrum, 0, side2(s) * sizeof *w->spectrum);
    for (int y = 0; y < s->foot; y++) {
        for (int x = 0; x < s->foot; x++) {
            const size_t i = (size_t)y * (size_t)s->foot + (size_t)x;
            w->spectrum[(size_t)y * (size_t)s->side + (size_t)x] = b ? a[i] * b[i] : a[i];
        }
    }
    return fnr_cv_dft(w->spectrum, s->side, s->side, s->foot, w->spectrum, err);
}

static bool correlate(const search *s, const float *image, const float *kernel, float *out, fnr_error *err)
{
    return fnr_cv_mul_conj(image, kernel, s->side, s->side, out, err) && fnr_cv_idft(out, s->side, s->side, out, err);
}


/* The maps of the odd quarter turns of a square tile are those of the even ones, turned. */
static void turn_map(const search *s, const float *even, float *odd)
{
    const int last = s->starts - 1;
    for (int y = 0; y < s->starts; y++) {
        for (int x = 0; x < s->starts; x++) {
            int ox, oy;
            turn(1, last, x, y, &ox, &oy);
            odd[(size_t)y * (size_t)s->side + (size_t)x] = even[(size_t)oy * (size_t)s->side + (size_t)ox];
        }
    }
}

/* Sums of the montage under the tile's outline, whose spectrum is in w->spectrum. */
static bool local_sums(const search *s, item_work *w, fnr_error *err)
{
    const bool is_square = s->m->tpl->size.w == s->m->tpl->size.h;
    for (int k = 0; k < 2; k++) {
        if (k == 1 && is_square) {
            turn_map(s, w->sum[0], w->sum[1]);
            turn_map(s, w->square[0], w->square[1]);
        } else if (!correlate(s, s->b->image[k], w->spectrum, w->sum[k], err) ||
                   !correlate(s, s->b->square[k], w->spectrum, w->square[k], err)) {
            return false;
        }
        const double floor2 = w->n * FNR_NOISE_FLOOR * FNR_NOISE_FLOOR;
        for (int y = 0; y < s->starts; y++) {
            for (size_t i = (size_t)y * (size_t)s->side, end = i + (size_t)s->starts; i < end; i++) {
                const double v = (double)w->square[k][i] - (double)w->sum[k][i] * (double)w->sum[k][i] / w->n;
                w->inverse[k][i] = (float)(1.0 / sqrt((v > 0 ? v : 0) + floor2));
            }
        }
    }
    return true;
}

/* Score of a window that is partly outside the montage; -1 when too little of the tile is on it. */
static float border_score(const search *s, const item_work *w, int turns, int x, int y, float sum, float square, float product)
{
    fnr_sums sums;
    inside_sums(s, w, turns, x, y, &sums);
    if (sums.n < s->m->opt->min_overlap * w->n || sums.tt - sums.t * sums.t / sums.n < min_energy) {
        return -1;
    }
    sums.i = sum;
    sums.ii = square;
    sums.ti = product;
    return (float)fnr_sums_score(&sums);
}

/* Turns w->map from correlations into scores. */
static void score_map(const search *s, item_work *w, int turns)
{
    const int back = s->starts - 1, half = s->foot / 2, parity = turns & 1;
    for (int y = 0; y < s->starts; y++) {
        for (int x = 0; x < s->starts; x++) {
            const size_t i = (size_t)y * (size_t)s->side + (size_t)x;
            const size_t k = turns < 2 ? i : (size_t)(back - y) * (size_t)s->side + (size_t)(back - x);
            int ox, oy;
            turn(turns, s->side - 1, x + half, y + half, &ox, &oy);
            ox += s->b->x0 - half;
            oy += s->b->y0 - half;
            if (!touches_border(s, ox, oy)) {
                w->map[i] *= w->inverse[parity][k];
            } else if (centre_outside(s, ox, oy)) {
                w->map[i] = -1;
            } else {
                w->map[i] = border_score(s, w, turns, ox, oy, w->sum[parity][k], w->square[parity][k], w->map[i]);
            }
        }
    }
}

static void keep_peak(peak_list *l, const peak *p)
{
    int i = l->n < PEAKS ? l->n++ : PEAKS - 1;
    for (; i > 0 && l->p[i - 1].score < p->score; i--) {
        l->p[i] = l->p[i - 1];
    }
    l->p[i] = *p;
}

static bool is_peak(const search *s, const float *map, int x, int y)
{
    const float v = map[(size_t)y * (size_t)s->side + (size_t)x];
    for (int dy = -1; dy <= 1; dy++) {
        for (int dx = -1; dx <= 1; dx++) {
            const int nx = x + dx, ny = y + dy;
            if (nx >= 0 && ny >= 0 && nx < s->starts && ny < s->starts && map[(size_t)ny * (size_t)s->side + (size_t)nx] > v) {
                return false;
            }
        }
    }
    return true;
}

static void find_peaks(const search *s, const item_work *w, int turns, double rotation, double scale, peak_list *l)
{
    const int half = s->foot / 2;
    l->n = 0;
    for (int y = 0; y < s->starts; y++) {
        for (int x = 0; x < s->starts; x++) {
            const float v = w->map[(size_t)y * (size_t)s->side + (size_t)x];
            if (!(v > 0) || (l->n == PEAKS && v <= l->p[PEAKS - 1].score) || !is_peak(s, w->map, x, y)) {
                continue;
            }
            int ox, oy;
            turn(turns, s->side - 1, x + half, y + half, &ox, &oy);
            const peak p = {.score = v,
                            .x = (float)(s->b->x0 + ox),
                            .y = (float)(s->b->y0 + oy),
                            .rotation_deg = (float)(rotation + 90.0 * turns),
                            .scale = (float)scale};
            keep_peak(l, &p);
        }
    }
}

static bool rotation_wanted(const search *s, double rotation)
{
    const fnr_register_options *o = s->m->opt;
    const double from = fmod(rotation - o->rotation_min_deg + s->rotation_step + 3600.0, 360.0);
    return from <= o->rotation_max_deg - o->rotation_min_deg + 2 * s->rotation_step;
}

/* All four quarter turns of one rotation and scale over the current block. */
static bool search_item(const search *s, size_t item, item_work *w, fnr_error *err)
{
    const double rotation = s->rotation_step * (double)(item % (size_t)s->n_rotations);
    const double scale = s->scale[item / (size_t)s->n_rotations];
    peak_list *lists = s->lists + item * TURNS;
    memset(lists, 0, TURNS * sizeof *lists);
    if (!draw_tile(s, scale, rotation, w)) {
        return true;
    }
    fill_tables(s, w);
    if (!kernel_spectrum(s, w->weight.px, NULL, w, err) || !local_sums(s, w, err) ||
        !kernel_spectrum(s, w->weight.px, w->drawn.px, w, err)) {
        return false;
    }
    for (int k = 0; k < TURNS; k++) {
        if (rotation_wanted(s, rotation + 90.0 * k)) {
            if (!correlate(s, s->b->image[k], w->spectrum, w->map, err)) {
                return false;
            }
            score_map(s, w, k);
            find_peaks(s, w, k, rotation, scale, &lists[k]);
        }
    }
    return true;
}

static void run_item(void *ctx, size_t item)
{
    const search *s = ctx;
    item_work w = {0};
    s->errors[item].code = FNR_OK;
    if (fnr_cancelled(s->m->cancel)) {
        fnr_fail(&s->errors[item], FNR_E_CANCELLED, "stopped");
        return;
    }
    if (item_new(s, &w, &s->errors[item])) {
        search_item(s, item, &w, &s->errors[item]);
    }
    item_free(&w);
}

/* ---- all blocks ---- */

static int compare_peaks(const void *a, const void *b)
{
    const peak *p = a, *q = b;
    if (p->score != q->score) {
        return p->score < q->score ? 1 : -1;
    }
    return memcmp(p, q, sizeof *p);
}

static bool same_place(const search *s, const peak *a, const peak *b)
{
    const double reach = 0.15 * s->foot, dx = a->x - b->x, dy = a->y - b->y;
    const double turned = fabs(remainder((double)a->rotation_deg - (double)b->rotation_deg, 360.0));
    return dx * dx + dy * dy <= reach * reach && turned <= 2.5 * s->rotation_step;
}

/* Sorts and keeps the best of every group that means the same place and rotation. */
static size_t suppress(const search *s, peak *p, size_t n, size_t keep)
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

static bool search_block(search *s, int x0, int y0, size_t items, size_t keep, peak *peaks, size_t *n, fnr_error *err)
{
    block b = {0};
    bool empty;
    if (!block_new(s, x0, y0, &b, &empty, err)) {
        return false;
    }
    bool ok = true;
    if (!empty) {
        s->b = &b;
        fnr_parallel_for(items, run_item, s);
        for (size_t i = 0; i < items; i++) {
            if (s->errors[i].code != FNR_OK) {
                ok = false;
                if (err) {
                    *err = s->errors[i];
                }
                break;
            }
            for (int k = 0; k < TURNS; k++) {
                const peak_list *l = &s->lists[i * TURNS + (size_t)k];
                memcpy(peaks + *n, l->p, (size_t)l->n * sizeof *peaks);
                *n += (size_t)l->n;
            }
        }
        *n = suppress(s, peaks, *n, keep);
    }
    block_free(&b);
    return ok;
}

/* Transform side: one block when the montage is small, else the cheapest of a few. */
static int choose_side(const fnr_target_level *l, int foot)
{
    const int whole = fnr_cv_good_dft_size((l->w > l->h ? l->w : l->h) + foot - 1);
    int best = whole;
    double best_cost = (double)whole * whole * log(whole);
    for (int side = 128; side <= 1024; side *= 2) {
        const int starts = side - foot + 1;
        if (starts < side / 4) {
            continue;
        }
        const double blocks = ceil((double)l->w / starts) * ceil((double)l->h / starts);
        const double cost = blocks * side * side * log(side);
        if (cost < 0.95 * best_cost || best > 1024) {
            best = side;
            best_cost = cost;
        }
    }
    return best;
}

static void plan(search *s)
{
    const fnr_register_options *o = s->m->opt;
    const fnr_tile_size *size = &s->m->tpl->size;
    const double px = (double)(1 << s->level), longest = (size->w > size->h ? size->w : size->h) * size->nominal / px;
    const double radius = 0.5 * longest, diagonal = hypot(size->w, size->h) * size->nominal * o->scale_max / px;
    /* Half a step may move the tile's edge by about half a pixel through rotation and a third through scale. */
    s->n_rotations = (int)ceil(0.5 * 3.14159265358979 * radius / 1.1);
    s->rotation_step = 90.0 / s->n_rotations;
    s->n_scales = (int)ceil((o->scale_max - o->scale_min) * radius / 0.6);
    s->n_scales = s->n_scales < 1 ? 1 : s->n_scales > SCALES_MAX ? SCALES_MAX : s->n_scales;
    for (int i = 0; i < s->n_scales; i++) {
        s->scale[i] = o->scale_min + (o->scale_max - o->scale_min) * (i + 0.5) / s->n_scales;
    }
    s->foot = 2 * (int)ceil(0.5 * diagonal + 0.5) + 1;
    s->side = choose_side(&s->m->target->level[s->level], s->foot);
    s->starts = s->side - s->foot + 1;
}

static bool to_hits(const search *s, const peak *p, size_t n, fnr_hit **hits, fnr_error *err)
{
    fnr_hit *out = fnr_calloc(n ? n : 1, sizeof *out, "candidates", err);
    if (!out) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        out[i].pose = fnr_pose_similarity(&s->m->tpl->size, fnr_level_to_full((double)p[i].x, s->level),
                                          fnr_level_to_full((double)p[i].y, s->level), (double)p[i].scale, (double)p[i].rotation_deg);
        out[i].score = (double)p[i].score;
    }
    *hits = out;
    return true;
}

bool fnr_coarse_search(const fnr_match *m, int keep, fnr_hit **hits, size_t *count, fnr_error *err)
{
    search s = {.m = m, .level = m->target->n_levels - 1};
    plan(&s);
    const size_t items = (size_t)s.n_rotations * (size_t)s.n_scales;
    const fnr_target_level *l = &m->target->level[s.level];
    s.lists = fnr_calloc(items * TURNS, sizeof *s.lists, "candidates", err);
    s.errors = fnr_calloc(items, sizeof *s.errors, "candidates", err);
    peak *peaks = fnr_calloc(items * TURNS * PEAKS + (size_t)keep, sizeof *peaks, "candidates", err);
    bool ok = s.lists && s.errors && peaks;
    size_t n = 0;
    for (int y = -(s.foot / 2); ok && y < l->h - s.foot / 2; y += s.starts) {
        for (int x = -(s.foot / 2); ok && x < l->w - s.foot / 2; x += s.starts) {
            ok = search_block(&s, x, y, items, (size_t)keep, peaks, &n, err);
        }
    }
    ok = ok && to_hits(&s, peaks, n, hits, err);
    if (ok) {
        *count = n;
    }
    free(peaks);
    free(s.errors);
    free(s.lists);
    return ok;
}
