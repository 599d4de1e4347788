/* Direct maximisation of the correlation: damped Gauss-Newton on min over a of sum w (a T(pose) - I)^2, whose minimum over the pose is
 * the maximum of the normalised cross-correlation.
 *
 * The prediction's own noise has slopes too, so the Hessian is too large and every step too short; the energy that the step left
 * behind says by how much, and the step is stretched accordingly. */
#include <math.h>

#include "register/normal.h"

enum { MAX_ITERATIONS = 30 };

static const double most_stretch = 8;

typedef struct {
    const fnr_match *m;
    fnr_scratch *s;
    int level, parameters;
    fnr_window win;
} climb;

/* Looks at hit->pose and fills the hit's scores.  rows: the derivatives too. */
static bool look(const climb *c, bool rows, fnr_hit *hit, fnr_view_of_pose *v, fnr_error *err)
{
    *v = (fnr_view_of_pose){.pose = hit->pose, .win = c->win, .level = c->level, .parameters = c->parameters};
    if (!fnr_normal_view(c->m, c->s, rows, v, err)) {
        return false;
    }
    const bool enough = v->overlap >= c->m->opt->min_overlap;
    hit->overlap = v->overlap;
    hit->score = enough && !v->linear ? fnr_sums_score(&v->global) : -1;
    hit->detail = enough ? v->match : -1;
    return true;
}

/* A step along a poorly determined scale must not leave the range that was asked for. */
static fnr_pose within_scales(const fnr_match *m, const fnr_pose *p)
{
    const double s = fnr_pose_scale(p, &m->tpl->size);
    const double lo = m->opt->scale_min - FNR_SCALE_SLACK, hi = m->opt->scale_max + FNR_SCALE_SLACK;
    const double wanted = s < lo ? lo : s > hi ? hi : s, change[FNR_POSE_PARAMETERS] = {0, 0, 0, log(wanted / s), 0, 0};
    return s > 0 && m->opt->scale_min < m->opt->scale_max ? fnr_pose_changed(p, change) : *p;
}

static fnr_pose stepped(const climb *c, const fnr_pose *from, const double x[FNR_NORMAL_UNKNOWNS], double stretch)
{
    double change[FNR_POSE_PARAMETERS] = {0};
    for (int i = 0; i < c->parameters; i++) {
        change[i] = stretch * x[i];
    }
    const fnr_pose p = fnr_pose_changed(from, change);
    return within_scales(c->m, &p);
}

/* Unexplained share of the montage's energy. */
static double loss(const fnr_hit *h)
{
    return h->detail > 0 ? 1 - h->detail * h->detail : 1;
}

/* Where the parabola through the loss at 0 (with its slope) and at 1 has its minimum. */
static double best_stretch(const fnr_hit *at, const fnr_hit *next, double slope)
{
    const double curvature = loss(next) - loss(at) - slope;
    return curvature > 0 ? fmin(most_stretch, -0.5 * slope / curvature) : most_stretch;
}

typedef struct {
    double x[FNR_NORMAL_UNKNOWNS];
    double slope; /* of the loss along it */
} step;

static bool step_from(const climb *c, const fnr_view_of_pose *v, double lambda, step *out)
{
    fnr_normal eq;
    *out = (step){{0}, 0};
    fnr_normal_make(v, c->s, &eq);
    if (!fnr_normal_solve(&eq, fnr_normal_unknowns(v), lambda, out->x)) {
        return false;
    }
    for (int i = 0; i < c->parameters; i++) {
        out->slope -= 2 * eq.g[i] * out->x[i] / (v->detail.ii + v->detail.n * FNR_NOISE_FLOOR * FNR_NOISE_FLOOR);
    }
    return true;
}

/* The better of the step as it is and stretched. */
static bool try_step(const climb *c, const fnr_hit *from, const step *st, fnr_hit *best, fnr_error *err)
{
    fnr_view_of_pose v;
    *best = (fnr_hit){.pose = stepped(c, &from->pose, st->x, 1)};
    if (!look(c, false, best, &v, err)) {
        return false;
    }
    const double stretch = best_stretch(from, best, st->slope);
    if (stretch > 1.2 || best->detail <= from->detail) {
        fnr_hit far = {.pose = stepped(c, &from->pose, st->x, stretch)};
        if (!look(c, false, &far, &v, err)) {
            return false;
        }
        *best = far.detail > best->detail ? far : *best;
    }
    return true;
}

bool fnr_fine(const fnr_match *m, int level, int parameters, double tolerance_px, fnr_hit *hit, fnr_scratch *s, fnr_error *err)
{
    climb c = {.m = m, .s = s, .level = level, .parameters = parameters, .win = fnr_window_around(&hit->pose, &m->tpl->size, level, 3)};
    if (!fnr_scratch_fit(s, (size_t)c.win.w * (size_t)c.win.h, err)) {
        return false;
    }
    if (!fnr_normal_montage(m, level, &c.win, s, err)) {
        return false;
    }
    fnr_view_of_pose v;
    double lambda = 1e-3;
    for (int k = 0; k < MAX_ITERATIONS; k++) {
        step st;
        if (!look(&c, true, hit, &v, err)) {
            return false;
        }
        if (!(hit->detail > 0) || !step_from(&c, &v, lambda, &st)) {
            break;
        }
        fnr_hit next;
        if (!try_step(&c, hit, &st, &next, err)) {
            return false;
        }
        const double moved = fnr_pose_distance(&next.pose, &hit->pose, &m->tpl->size);
        const bool better = next.detail > hit->detail;
        *hit = better ? next : *hit;
        if (moved < tolerance_px || lambda > 1e6) {
            break;
        }
        lambda *= better ? 0.2 : 10;
    }
    if (v.linear && hit->detail >= 0) { /* the score by which places are compared is that of compressed intensities */
        return fnr_match_score(m, level, hit, s, err);
    }
    return true;
}
