/* One drawn tile against one block: four correlations, their normalisation, their peaks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "register/coarse.h"
#include "src/core/mem.h"
#include "src/cv/cv.h"

static const double min_energy = 0.4; /* of the drawn tile's variance that must lie on the montage */

/* Everything one item (rotation in the first quarter, scale) needs. */
typedef struct {
    fnr_grid drawn, weight; /* foot x foot */
    double *table[3];       /* summed-area tables of weight, weight * t, weight * t^2: (foot + 1)^2 */
    /* side^2 each, from one allocation; maps are indexed by the window's start in the turned block.  Even and odd quarter turns
     * have sums of their own; two turns differ by reading backwards. */
    float *spectrum, *map;
    float *sum[2], *square[2]; /* of the montage and its squares under the tile's outline */
    float *inverse[2];         /* 1 / the montage's deviation there, for windows inside the montage */
    double n;                  /* sum of weights */
} item_work;

static size_t side2(const fnr_coarse *s)
{
    return (size_t)s->side * (size_t)s->side;
}

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

static bool item_new(const fnr_coarse *s, item_work *out, fnr_error *err)
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
static bool draw_tile(const fnr_coarse *s, double scale, double rotation, item_work *w)
{
    const double px = (double)(1 << s->level);
    const fnr_tile_size *size = &s->m->tpl->size;
    const fnr_window win = {.level = s->level, .w = s->foot, .h = s->foot};
    const fnr_pose pose =
        fnr_pose_similarity(size, (s->foot / 2 + 0.5) * px - 0.5, (s->foot / 2 + 0.5) * px - 0.5, scale, rotation);
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

static void fill_tables(const fnr_coarse *s, item_work *w)
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

/* Sums of weight, weight t, weight t^2 over the part of the footprint that lies on the montage when it starts at (x, y) and the
 * tile is turned by a further `turns` quarters. */
static void inside_sums(const fnr_coarse *s, const item_work *w, int turns, int x, int y, fnr_sums *sums)
{
    const fnr_target_level *l = &s->m->target->level[s->level];
    const int last = s->foot - 1;
    int xa = x < 0 ? -x : 0, ya = y < 0 ? -y : 0, xb = l->w - x - 1, yb = l->h - y - 1; /* inclusive */
    xb = xb > last ? last : xb;
    yb = yb > last ? last : yb;
    int ax, ay, bx, by;
    fnr_coarse_turn(4 - turns, last, xa, ya, &ax, &ay);
    fnr_coarse_turn(4 - turns, last, xb, yb, &bx, &by);
    const int x0 = ax < bx ? ax : bx, x1 = (ax < bx ? bx : ax) + 1, y0 = ay < by ? ay : by, y1 = (ay < by ? by : ay) + 1;
    sums->n = table_sum(w->table[0], s->foot + 1, x0, y0, x1, y1);
    sums->t = table_sum(w->table[1], s->foot + 1, x0, y0, x1, y1);
    sums->tt = table_sum(w->table[2], s->foot + 1, x0, y0, x1, y1);
}

static bool touches_border(const fnr_coarse *s, int x, int y)
{
    const fnr_target_level *l = &s->m->target->level[s->level];
    return x < 0 || y < 0 || x + s->foot > l->w || y + s->foot > l->h;
}

static bool centre_outside(const fnr_coarse *s, int x, int y)
{
    const fnr_target_level *l = &s->m->target->level[s->level];
    const int h = s->foot / 2;
    return x + h < 0 || y + h < 0 || x + h >= l->w || y + h >= l->h;
}

/* ---- correlation ---- */

/* kernel (foot x foot, zero-padded) -> its spectrum in w->spectrum. */
static bool kernel_spectrum(const fnr_coarse *s, const float *a, const float *b, item_work *w, fnr_error *err)
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

static bool correlate(const fnr_coarse *s, const float *image, const float *kernel, float *out, fnr_error *err)
{
    return fnr_cv_mul_conj(image, kernel, s->side, s->side, out, err) && fnr_cv_idft(out, s->side, s->side, out, err);
}

/* The maps of the odd quarter turns of a square tile are those of the even ones, turned. */
static void turn_map(const fnr_coarse *s, const float *even, float *odd)
{
    const int last = s->starts - 1;
    for (int y = 0; y < s->starts; y++) {
        for (int x = 0; x < s->starts; x++) {
            int ox, oy;
            fnr_coarse_turn(1, last, x, y, &ox, &oy);
            odd[(size_t)y * (size_t)s->side + (size_t)x] = even[(size_t)oy * (size_t)s->side + (size_t)ox];
        }
    }
}

/* Sums of the montage under the tile's outline, whose spectrum is in w->spectrum. */
static bool local_sums(const fnr_coarse *s, item_work *w, fnr_error *err)
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
static float border_score(const fnr_coarse *s, const item_work *w, int turns, int x, int y, float sum, float square,
                          float product)
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

/* No window of the block reaches beyond the montage: nearly every block of a large one. */
static bool block_inside(const fnr_coarse *s)
{
    const fnr_target_level *l = &s->m->target->level[s->level];
    return s->b->x0 >= 0 && s->b->y0 >= 0 && s->b->x0 + s->side <= l->w && s->b->y0 + s->side <= l->h;
}

static void score_inside(const fnr_coarse *s, item_work *w, int turns)
{
    const size_t side = (size_t)s->side, n = (size_t)s->starts;
    for (size_t y = 0; y < n; y++) {
        float *map = w->map + y * side;
        const float *inverse = w->inverse[turns & 1] + (turns < 2 ? y : n - 1 - y) * side;
        for (size_t x = 0; x < n; x++) {
            map[x] *= turns < 2 ? inverse[x] : inverse[n - 1 - x];
        }
    }
}

/* Turns w->map from correlations into scores. */
static void score_map(const fnr_coarse *s, item_work *w, int turns)
{
    if (block_inside(s)) {
        score_inside(s, w, turns);
        return;
    }
    const int back = s->starts - 1, half = s->foot / 2, parity = turns & 1;
    for (int y = 0; y < s->starts; y++) {
        for (int x = 0; x < s->starts; x++) {
            const size_t i = (size_t)y * (size_t)s->side + (size_t)x;
            const size_t k = turns < 2 ? i : (size_t)(back - y) * (size_t)s->side + (size_t)(back - x);
            int ox, oy;
            fnr_coarse_turn(turns, s->side - 1, x + half, y + half, &ox, &oy);
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

static void keep_peak(fnr_peak_list *l, const fnr_peak *p)
{
    int i = l->n < FNR_PEAKS ? l->n++ : FNR_PEAKS - 1;
    for (; i > 0 && l->p[i - 1].score < p->score; i--) {
        l->p[i] = l->p[i - 1];
    }
    l->p[i] = *p;
}

static bool is_peak(const fnr_coarse *s, const float *map, int x, int y)
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

static void find_peaks(const fnr_coarse *s, const item_work *w, int turns, double rotation, double scale, fnr_peak_list *l)
{
    const int half = s->foot / 2;
    l->n = 0;
    for (int y = 0; y < s->starts; y++) {
        for (int x = 0; x < s->starts; x++) {
            const float v = w->map[(size_t)y * (size_t)s->side + (size_t)x];
            if (!(v > 0) || (l->n == FNR_PEAKS && v <= l->p[FNR_PEAKS - 1].score) || !is_peak(s, w->map, x, y)) {
                continue;
            }
            int ox, oy;
            fnr_coarse_turn(turns, s->side - 1, x + half, y + half, &ox, &oy);
            const fnr_peak p = {.score = v,
                                .x = (float)(s->b->x0 + ox),
                                .y = (float)(s->b->y0 + oy),
                                .rotation_deg = (float)(rotation + 90.0 * turns),
                                .scale = (float)scale};
            keep_peak(l, &p);
        }
    }
}

static bool rotation_wanted(const fnr_coarse *s, double rotation)
{
    const fnr_register_options *o = s->m->opt;
    const double from = fmod(rotation - o->rotation_min_deg + s->rotation_step + 3600.0, 360.0);
    return from <= o->rotation_max_deg - o->rotation_min_deg + 2 * s->rotation_step;
}

/* All four quarter turns of one rotation and scale over the current block. */
static bool search_item(const fnr_coarse *s, size_t item, item_work *w, fnr_error *err)
{
    const double rotation = s->rotation_step * (double)(item % (size_t)s->n_rotations);
    const double scale = s->scale[item / (size_t)s->n_rotations];
    fnr_peak_list *lists = s->lists + item * FNR_TURNS;
    memset(lists, 0, FNR_TURNS * sizeof *lists);
    if (!draw_tile(s, scale, rotation, w)) {
        return true;
    }
    fill_tables(s, w);
    if (!kernel_spectrum(s, w->weight.px, NULL, w, err) || !local_sums(s, w, err) ||
        !kernel_spectrum(s, w->weight.px, w->drawn.px, w, err)) {
        return false;
    }
    for (int k = 0; k < FNR_TURNS; k++) {
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

bool fnr_coarse_item(const fnr_coarse *s, size_t item, fnr_error *err)
{
    item_work w = {0};
    const bool ok = item_new(s, &w, err) && search_item(s, item, &w, err);
    item_free(&w);
    return ok;
}
