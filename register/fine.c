/* Direct maximisation of the correlation: Levenberg-Marquardt on min over a, b of sum w (a T(pose) + b - I)^2, whose minimum over
 * the pose is the maximum of the normalised cross-correlation. */
#include <math.h>

#include "register/normal.h"

enum { MAX_ITERATIONS = 30 };

static void evaluate(const fnr_match *m, const fnr_pose *pose, const fnr_window *win, const fnr_scratch *s, fnr_sums *sums,
                     double *score, double *overlap)
{
    double area;
    fnr_template_draw_gradient(m->tpl, pose, win, s->drawn, s->weight, s->gx, s->gy);
    fnr_normal_sums(s, (size_t)win->w * (size_t)win->h, sums, &area);
    *overlap = area > 0 ? sums->n / area : 0;
    *score = *overlap >= m->opt->min_overlap ? fnr_sums_score(sums) : -1;
}

/* A step along a poorly determined scale must not leave the range that was asked for. */
static fnr_pose within_scales(const fnr_match *m, const fnr_pose *p)
{
    const double s = fnr_pose_scale(p, &m->tpl->size);
    const double lo = m->opt->scale_min - FNR_SCALE_SLACK, hi = m->opt->scale_max + FNR_SCALE_SLACK;
    const double wanted = s < lo ? lo : s > hi ? hi : s, change[FNR_POSE_PARAMETERS] = {0, 0, 0, log(wanted / s), 0, 0};
    return s > 0 && m->opt->scale_min < m->opt->scale_max ? fnr_pose_changed(p, change) : *p;
}

bool fnr_fine(const fnr_match *m, int level, int parameters, double tolerance_px, fnr_hit *hit, fnr_scratch *s, fnr_error *err)
{
    const fnr_window win = fnr_window_around(&hit->pose, &m->tpl->size, level, 3);
    if (!fnr_scratch_fit(s, (size_t)win.w * (size_t)win.h, err)) {
        return false;
    }
    fnr_target_window(m->target, level, win.x, win.y, win.w, win.h, s->value, s->valid);
    fnr_sums sums;
    fnr_normal eq;
    evaluate(m, &hit->pose, &win, s, &sums, &hit->score, &hit->overlap);
    double lambda = 1e-3;
    bool fresh = true; /* the scratch holds the drawing of hit->pose */
    for (int k = 0; k < MAX_ITERATIONS && hit->score > 0; k++) {
        double x[FNR_NORMAL_UNKNOWNS] = {0};
        if (fresh) {
            fnr_normal_make(&hit->pose, &win, level, parameters, s, &sums, &eq);
        }
        if (!fnr_normal_solve(&eq, parameters + 2, lambda, x)) {
            break;
        }
        x[parameters] = x[parameters + 1] = 0;
        const fnr_pose stepped = fnr_pose_changed(&hit->pose, x);
        fnr_hit next = {.pose = within_scales(m, &stepped)};
        evaluate(m, &next.pose, &win, s, &sums, &next.score, &next.overlap);
        fresh = next.score > hit->score;
        const double moved = fnr_pose_distance(&next.pose, &hit->pose, &m->tpl->size);
        if (fresh) {
            *hit = next;
        }
        if (moved < tolerance_px || lambda > 1e6) {
            break;
        }
        lambda *= fresh ? 0.2 : 10;
    }
    return true;
}
