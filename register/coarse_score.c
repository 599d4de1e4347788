/* From correlations to scores, exactly at the montage's borders too. */
#include <math.h>

#include "register/coarse.h"

static const double min_energy = 0.4; /* of the drawn tile's variance that must lie on the montage */

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* Centres of the block that lie at least `rim` pixels inside the montage. */
static fnr_coarse_range centres(const fnr_coarse *s, const fnr_coarse_block *b, int rim)
{
    const fnr_target_level *l = &s->m->target->level[s->level];
    const int half = s->foot / 2;
    return (fnr_coarse_range){.xa = larger(half, rim - b->x0),
                              .xb = smaller(s->side - half, l->w - rim - b->x0),
                              .ya = larger(half, rim - b->y0),
                              .yb = smaller(s->side - half, l->h - rim - b->y0)};
}

fnr_coarse_range fnr_coarse_centres(const fnr_coarse *s, const fnr_coarse_block *b)
{
    return centres(s, b, 0);
}

static double table_sum(const double *t, int stride, int xa, int ya, int xb, int yb)
{
    return t[yb * stride + xb] - t[ya * stride + xb] - t[yb * stride + xa] + t[ya * stride + xa];
}

/* Sums of weight, weight t, weight t^2 over the part of the tile that lies on the montage when its centre is the level's (x, y). */
static void inside_sums(const fnr_coarse *s, const fnr_coarse_tile *t, bool opposite, int x, int y, fnr_sums *sums)
{
    const fnr_target_level *l = &s->m->target->level[s->level];
    const int half = s->foot / 2, foot = s->foot, stride = foot + 1;
    int xa = larger(0, half - x), ya = larger(0, half - y), xb = smaller(foot, l->w + half - x), yb = smaller(foot, l->h + half - y);
    if (opposite) {
        const int left = xa, top = ya;
        xa = foot - xb, xb = foot - left;
        ya = foot - yb, yb = foot - top;
    }
    sums->n = table_sum(t->table[0], stride, xa, ya, xb, yb);
    sums->t = table_sum(t->table[1], stride, xa, ya, xb, yb);
    sums->tt = table_sum(t->table[2], stride, xa, ya, xb, yb);
}

/* Centres [xa, xb) of row y, where the tile reaches beyond the montage. */
static void border_row(const fnr_coarse *s, const fnr_coarse_block *b, const fnr_coarse_tile *t, bool opposite, int y, int xa, int xb,
                       fnr_coarse_maps *w)
{
    for (int x = xa; x < xb; x++) {
        const size_t i = (size_t)y * (size_t)s->side + (size_t)x;
        fnr_sums sums = {.i = (double)w->sum[i], .ii = (double)w->square[i], .ti = (double)w->map[i]};
        inside_sums(s, t, opposite, b->x0 + x, b->y0 + y, &sums);
        const bool enough = sums.n >= s->m->opt->min_overlap * t->n && sums.tt - sums.t * sums.t / sums.n >= min_energy;
        w->map[i] = enough ? (float)fnr_sums_score(&sums) : -1;
    }
}

void fnr_coarse_score(const fnr_coarse *s, const fnr_coarse_block *b, const fnr_coarse_tile *t, bool opposite, fnr_coarse_maps *w)
{
    const fnr_coarse_range r = centres(s, b, 0), in = centres(s, b, s->foot / 2);
    for (int y = r.ya; y < r.yb; y++) {
        if (y < in.ya || y >= in.yb || in.xa >= in.xb) {
            border_row(s, b, t, opposite, y, r.xa, r.xb, w);
            continue;
        }
        float *map = w->map + (size_t)y * (size_t)s->side;
        const float *inverse = w->inverse + (size_t)y * (size_t)s->side;
        border_row(s, b, t, opposite, y, r.xa, in.xa, w);
        for (int x = in.xa; x < in.xb; x++) {
            map[x] *= inverse[x];
        }
        border_row(s, b, t, opposite, y, in.xb, r.xb, w);
    }
}
