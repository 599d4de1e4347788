/* Every rotation, scale and place, by FFT-based normalised cross-correlation at the target's coarsest level. */
#include "register/coarse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/threads.h"
#include "src/cv/cv.h"

static void run_item(void *ctx, size_t item)
{
    const fnr_coarse *s = ctx;
    s->errors[item].code = FNR_OK;
    if (fnr_cancelled(s->m->cancel)) {
        fnr_fail(&s->errors[item], FNR_E_CANCELLED, "stopped");
    } else {
        fnr_coarse_item(s, item, &s->errors[item]);
    }
}

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
    const double turned = fabs(remainder((double)a->rotation_deg - (double)b->rotation_deg, 360.0));
    return dx * dx + dy * dy <= reach * reach && turned <= 2.5 * s->rotation_step;
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

static bool search_block(fnr_coarse *s, int x0, int y0, size_t items, size_t keep, fnr_peak *peaks, size_t *n, fnr_error *err)
{
    fnr_coarse_block b = {0};
    bool empty;
    if (!fnr_coarse_block_new(s, x0, y0, &b, &empty, err)) {
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
            for (int k = 0; k < FNR_TURNS; k++) {
                const fnr_peak_list *l = &s->lists[i * FNR_TURNS + (size_t)k];
                memcpy(peaks + *n, l->p, (size_t)l->n * sizeof *peaks);
                *n += (size_t)l->n;
            }
        }
        *n = suppress(s, peaks, *n, keep);
    }
    fnr_coarse_block_free(&b);
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

bool fnr_coarse_search(const fnr_match *m, int keep, fnr_hit **hits, size_t *count, fnr_error *err)
{
    fnr_coarse s = {.m = m, .level = m->target->n_levels - 1};
    plan(&s);
    const size_t items = (size_t)s.n_rotations * (size_t)s.n_scales;
    const fnr_target_level *l = &m->target->level[s.level];
    s.lists = fnr_calloc(items * FNR_TURNS, sizeof *s.lists, "candidates", err);
    s.errors = fnr_calloc(items, sizeof *s.errors, "candidates", err);
    fnr_peak *peaks = fnr_calloc(items * FNR_TURNS * FNR_PEAKS + (size_t)keep, sizeof *peaks, "candidates", err);
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
