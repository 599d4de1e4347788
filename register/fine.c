/* Direct maximisation of the correlation: min over the pose of the energy that the tile leaves unexplained, by a quasi-Newton method.
 *
 * It begins with the Gauss-Newton matrix, which is too large because the prediction's own noise has slopes too; how the gradient really
 * changes is seen at every step and corrects the matrix: first its size (Shanno & Phua 1978), then its directions (BFGS, Nocedal & Wright
 * 2006, ch. 6). */
#include <math.h>
#include <string.h>

#include "register/normal.h"

enum { MAX_ITERATIONS = 30, SCALE = 3, MARGIN = 3 }; /* SCALE: its place among the parameters; MARGIN: around the tile [px of the level] */

typedef struct {
    const fnr_match *m;
    fnr_scratch *s;
    int level, parameters;
    fnr_window win;
} climb;

/* Looks at hit->pose and fills the hit's scores.  g (NULL: not wanted): minus half the gradient there. */
static bool look(const climb *c, fnr_hit *hit, fnr_view_of_pose *v, double *g, fnr_error *err)
{
    *v = (fnr_view_of_pose){.pose = hit->pose, .win = c->win, .level = c->level, .parameters = c->parameters};
    if (!fnr_normal_view(c->m, c->s, g != NULL, v, err)) {
        return false;
    }
    if (g) {
        fnr_normal_gradient(v, c->s, g);
    }
    const bool enough = v->overlap >= c->m->opt->min_overlap;
    hit->overlap = v->overlap;
    hit->score = enough && !v->linear ? fnr_sums_score(&v->global) : -1;
    hit->detail = enough ? v->match : -1;
    return true;
}

/* The problem with the change of scale held at `change`. */
static fnr_normal with_scale(const fnr_normal *eq, int size, double change)
{
    fnr_normal held = *eq;
    for (int i = 0; i < size; i++) {
        double *h = i > SCALE ? &held.h[i][SCALE] : &held.h[SCALE][i];
        held.g[i] -= i == SCALE ? 0 : *h * change;
        *h = i == SCALE ? 1 : 0;
    }
    held.g[SCALE] = change;
    return held;
}

/* The step x from a pose.  Along a poorly determined scale it must not leave the range that was asked for, and it must not be longer than
 * what the window shows. */
static bool step_from(const climb *c, const fnr_pose *from, const fnr_normal *eq, double lambda, double x[FNR_POSE_PARAMETERS],
                      fnr_pose *to, double *moved_px)
{
    const fnr_register_options *o = c->m->opt;
    const double scale = fnr_pose_scale(from, &c->m->tpl->size), longest = 2 * MARGIN * (double)(1 << c->level);
    memset(x, 0, FNR_POSE_PARAMETERS * sizeof *x);
    if (!fnr_normal_solve(eq, c->parameters, lambda, x)) {
        return false;
    }
    if (c->parameters > SCALE && o->scale_min < o->scale_max) {
        const double lo = log((o->scale_min - FNR_SCALE_SLACK) / scale), hi = log((o->scale_max + FNR_SCALE_SLACK) / scale);
        if (x[SCALE] < lo || x[SCALE] > hi) {
            const fnr_normal held = with_scale(eq, c->parameters, x[SCALE] < lo ? lo : hi);
            if (!fnr_normal_solve(&held, c->parameters, 0, x)) {
                return false;
            }
        }
    }
    *to = fnr_pose_changed(from, x);
    *moved_px = fnr_pose_distance(to, from, &c->m->tpl->size);
    if (!(*moved_px <= longest)) {
        for (int i = 0; i < c->parameters; i++) {
            x[i] *= longest / *moved_px;
        }
        *to = fnr_pose_changed(from, x);
        *moved_px = longest;
    }
    return isfinite(to->m00 + to->m01);
}

/* What the step x, which changed g to `then`, says about the curvature along it.  first: about its size in all directions. */
static void learn(fnr_normal *eq, int size, const double x[FNR_POSE_PARAMETERS], const double then[FNR_POSE_PARAMETERS], bool first)
{
    double hx[FNR_POSE_PARAMETERS] = {0}, y[FNR_POSE_PARAMETERS], xhx = 0, xy = 0;
    for (int i = 0; i < size; i++) {
        y[i] = eq->g[i] - then[i];
        xy += x[i] * y[i];
        for (int j = 0; j < size; j++) {
            hx[i] += (i >= j ? eq->h[i][j] : eq->h[j][i]) * x[j];
        }
        xhx += x[i] * hx[i];
    }
    if (!(xy > 0.02 * xhx)) { /* no valley along it */
        return;
    }
    const double by = first ? xy / xhx : 1;
    for (int i = 0; i < size; i++) {
        for (int j = 0; j <= i; j++) {
            eq->h[i][j] = by * (eq->h[i][j] - hx[i] * hx[j] / xhx) + y[i] * y[j] / xy;
        }
    }
}

/* Looks at where the climb begins, and sets up the problem there when anything of the tile is found (hit->detail > 0).  *linear: whether
 * intensities are compared as they are. */
static bool begin(const climb *c, fnr_hit *hit, fnr_normal *eq, bool *linear, fnr_error *err)
{
    fnr_view_of_pose v;
    if (!fnr_normal_montage(c->m, c->level, &c->win, c->s, err) || !look(c, hit, &v, eq->g, err)) {
        return false;
    }
    *linear = v.linear;
    if (hit->detail > 0) {
        if (!fnr_normal_rows(c->m, &v, c->s, err)) {
            return false;
        }
        fnr_normal_curvature(&v, c->s, eq->h);
    }
    return true;
}

/* Steps as long as they are not small. */
static bool ascend(const climb *c, double tolerance_px, fnr_normal *eq, fnr_hit *hit, fnr_error *err)
{
    double lambda = 1e-3;
    bool done = false;
    for (int k = 0; !done && k < MAX_ITERATIONS; k++) {
        double x[FNR_POSE_PARAMETERS], then[FNR_POSE_PARAMETERS], moved_px;
        fnr_view_of_pose v;
        fnr_hit next = {0};
        if (!step_from(c, &hit->pose, eq, lambda, x, &next.pose, &moved_px)) {
            break;
        }
        done = moved_px < tolerance_px || lambda > 1e6;
        if (!look(c, &next, &v, done ? NULL : then, err)) {
            return false;
        }
        const bool better = next.detail > hit->detail;
        if (!done) {
            learn(eq, c->parameters, x, then, k == 0);
        }
        if (!done && better) {
            memcpy(eq->g, then, sizeof eq->g);
        }
        *hit = better ? next : *hit;
        lambda *= better ? 0.2 : 10;
    }
    return true;
}

bool fnr_fine(const fnr_match *m, int level, int parameters, double tolerance_px, fnr_hit *hit, fnr_scratch *s, fnr_error *err)
{
    const climb c = {
        .m = m, .s = s, .level = level, .parameters = parameters, .win = fnr_window_around(&hit->pose, &m->tpl->size, level, MARGIN)};
    fnr_normal eq;
    bool linear;
    if (!fnr_scratch_fit(s, (size_t)c.win.w * (size_t)c.win.h, err) || !begin(&c, hit, &eq, &linear, err) ||
        (hit->detail > 0 && !ascend(&c, tolerance_px, &eq, hit, err))) {
        return false;
    }
    /* The score by which places are compared is that of compressed intensities. */
    return !linear || !(hit->detail >= 0) || fnr_match_score(m, level, hit, s, err);
}
