/* Whole-pixel translation by direct correlation: a coarse candidate is right to about one pixel of the next finer level, too far
 * for a step along the gradient alone. */

#include "register/match.h"

enum { LANES = 4 };

/* Adds one row: LANES sums of each kind side by side, which the compiler keeps in vectors; a row is short enough for single precision. */
static void row_sums(const float *weight, const float *drawn, const float *valid, const float *value, int w, fnr_sums *sums)
{
    float n[LANES] = {0}, t[LANES] = {0}, i[LANES] = {0}, tt[LANES] = {0}, ii[LANES] = {0}, ti[LANES] = {0};
    for (int x = 0; x < w; x += LANES) {
        const int lanes = w - x < LANES ? w - x : LANES;
        for (int k = 0; k < lanes; k++) {
            const float m = weight[x + k] * valid[x + k], d = drawn[x + k], v = value[x + k];
            n[k] += m;
            t[k] += m * d;
            i[k] += m * v;
            tt[k] += m * d * d;
            ii[k] += m * v * v;
            ti[k] += m * d * v;
        }
    }
    for (int k = 0; k < LANES; k++) {
        sums->n += (double)n[k];
        sums->t += (double)t[k];
        sums->i += (double)i[k];
        sums->tt += (double)tt[k];
        sums->ii += (double)ii[k];
        sums->ti += (double)ti[k];
    }
}

/* Sums of the drawn tile shifted by (dx, dy) pixels against the montage window, which is `reach` pixels larger on each side. */
static fnr_sums shifted_sums(const fnr_window *win, int reach, int dx, int dy, const fnr_scratch *s, const float *value,
                             const float *valid)
{
    fnr_sums sums = {0};
    const int stride = win->w + 2 * reach;
    for (int y = 0; y < win->h; y++) {
        const size_t a = (size_t)y * (size_t)win->w, b = (size_t)(y + reach + dy) * (size_t)stride + (size_t)(reach + dx);
        row_sums(s->weight + a, s->drawn + a, valid + b, value + b, win->w, &sums);
    }
    return sums;
}

bool fnr_refine_shift(const fnr_match *m, int level, int reach, fnr_hit *hit, fnr_scratch *s, fnr_error *err)
{
    const fnr_window win = fnr_window_around(&hit->pose, &m->tpl->size, level, 0);
    const int w = win.w + 2 * reach, h = win.h + 2 * reach;
    if (!fnr_scratch_fit(s, (size_t)w * (size_t)h, err)) {
        return false;
    }
    fnr_target_window(m->target, level, win.x - reach, win.y - reach, w, h, s->value, s->valid);
    fnr_template_draw(m->tpl, &hit->pose, &win, s->drawn, s->weight);
    double area = 0, best = -2;
    for (size_t k = 0; k < (size_t)win.w * (size_t)win.h; k++) {
        area += s->weight[k];
    }
    const fnr_pose start = hit->pose;
    for (int dy = -reach; dy <= reach; dy++) {
        for (int dx = -reach; dx <= reach; dx++) {
            const fnr_sums sums = shifted_sums(&win, reach, dx, dy, s, s->value, s->valid);
            const double score = sums.n >= m->opt->min_overlap * area ? fnr_sums_score(&sums) : -1;
            if (score > best) {
                best = score;
                hit->pose.cx = start.cx + dx * (double)(1 << level);
                hit->pose.cy = start.cy + dy * (double)(1 << level);
                hit->overlap = area > 0 ? sums.n / area : 0;
            }
        }
    }
    hit->score = best;
    return true;
}
