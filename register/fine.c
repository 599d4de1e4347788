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

/* Looks at hit->pose and fills the hit's scores. */
static bool look(const climb *c, fnr_hit *hit, fnr_view_of_pose *v, fnr_error *err)
{
    *v = (fnr_view_of_pose){.pose = hit->pose, .win = c->win, .level = c->level, .parameters = c->parameters};
    if (!fnr_normal_view(c->m, c->s, true, v, err)) {
        return false;
    }
    const bool enough = v->overlap >= c->m->opt->min_overlap;
    hit->overlap = v->overlap;
    hit->score = enough ? fnr_sums_score(&v->global) : -1;
    hit->detail = enough ? fnr_sums_score(&v->detail) : -1;
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

bool fnr_fine(const fnr_match *m, int level, int parameters, double tolerance_px, fnr_hit *hit, fnr_scratch *s, fnr_error *err)
{
    climb c = {.m = m, .s = s, .level = level, .parameters = parameters, .win = fnr_window_around(&hit->pose, &m->tpl->size, level, 3)};
    if (!fnr_scratch_fit(s, (size_t)c.win.w * (size_t)c.win.h, err)) {
        return false;
    }
    fnr_target_window(m->target, level, c.win.x, c.win.y, c.win.w, c.win.h, s->value, s->valid);
    fnr_view_of_pose v;
    fnr_normal eq;
    if (!look(&c, hit, &v, err)) {
        return false;
    }
    double lambda = 1e-3;
    bool fresh = true; /* the scratch holds the view of hit->pose */
    for (int k = 0; k < MAX_ITERATIONS && hit->detail > 0; k++) {
        double x[FNR_NORMAL_UNKNOWNS] = {0}, slope = 0;
        if (!fresh && !look(&c, hit, &v, err)) {
            return false;
        }
        fnr_normal_make(&v, s, &eq);
        if (!fnr_normal_solve(&eq, parameters + 1, lambda, x)) {
            break;
        }
        for (int i = 0; i < parameters; i++) {
            slope -= 2 * eq.g[i] * x[i] / (v.detail.ii + v.detail.n * FNR_NOISE_FLOOR * FNR_NOISE_FLOOR);
        }
        fnr_hit next = {.pose = stepped(&c, &hit->pose, x, 1)}, far;
        if (!look(&c, &next, &v, err)) {
            return false;
        }
        const double stretch = best_stretch(hit, &next, slope);
        fresh = true;
        if (stretch > 1.2 || next.detail <= hit->detail) {
            far = (fnr_hit){.pose = stepped(&c, &hit->pose, x, stretch)};
            if (!look(&c, &far, &v, err)) {
                return false;
            }
            fresh = far.detail > next.detail;
            next = fresh ? far : next;
        }
        const double moved = fnr_pose_distance(&next.pose, &hit->pose, &m->tpl->size);
        const bool better = next.detail > hit->detail;
        if (better) {
            *hit = next;
        } else {
            fresh = false;
        }
        if (moved < tolerance_px || lambda > 1e6) {
            break;
        }
        lambda *= better ? 0.2 : 10;
    }
    return true;
}
