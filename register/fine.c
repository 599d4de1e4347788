/* Direct maximisation of the correlation: Levenberg-Marquardt on min over a, b of sum w (a T(pose) + b - I)^2, whose minimum over
 * the pose is the maximum of the normalised cross-correlation. */
#include <math.h>
#include <string.h>

#include "register/match.h"

enum { UNKNOWNS = FNR_POSE_PARAMETERS + 2, MAX_ITERATIONS = 30 };

/* Normal equations of one linearisation; unknowns: pose parameters, then gain, then offset. */
typedef struct {
    double h[UNKNOWNS][UNKNOWNS], g[UNKNOWNS];
} normal;

/* Solves (H + lambda diag H) x = g by Cholesky; false when it is not positive definite. */
static bool solve(const normal *n, int size, double lambda, double x[UNKNOWNS])
{
    double l[UNKNOWNS][UNKNOWNS] = {{0}};
    for (int i = 0; i < size; i++) {
        for (int j = 0; j <= i; j++) {
            double sum = n->h[i][j] * (i == j ? 1 + lambda : 1);
            for (int k = 0; k < j; k++) {
                sum -= l[i][k] * l[j][k];
            }
            if (i == j) {
                if (!(sum > 1e-12 * n->h[i][i])) {
                    return false;
                }
                l[i][i] = sqrt(sum);
            } else {
                l[i][j] = sum / l[j][j];
            }
        }
    }
    for (int i = 0; i < size; i++) {
        double sum = n->g[i];
        for (int k = 0; k < i; k++) {
            sum -= l[i][k] * x[k];
        }
        x[i] = sum / l[i][i];
    }
    for (int i = size - 1; i >= 0; i--) {
        double sum = x[i];
        for (int k = i + 1; k < size; k++) {
            sum -= l[k][i] * x[k];
        }
        x[i] = sum / l[i][i];
    }
    return true;
}

static void sum_pixels(const fnr_scratch *s, size_t n, fnr_sums *sums, double *area)
{
    *sums = (fnr_sums){0};
    *area = 0;
    for (size_t k = 0; k < n; k++) {
        const double w = (double)s->weight[k] * (double)s->valid[k], t = s->drawn[k], i = s->value[k];
        *area += s->weight[k];
        sums->n += w;
        sums->t += w * t;
        sums->i += w * i;
        sums->tt += w * t * t;
        sums->ii += w * i * i;
        sums->ti += w * t * i;
    }
}

/* Derivatives of the position u = M (q - c) in the tile by the pose's parameters. */
static void position_derivatives(const fnr_pose *p, double dx, double dy, double du[FNR_POSE_PARAMETERS],
                                 double dv[FNR_POSE_PARAMETERS])
{
    const double u = p->m00 * dx + p->m01 * dy, v = p->m10 * dx + p->m11 * dy;
    du[0] = -p->m00, dv[0] = -p->m10;
    du[1] = -p->m01, dv[1] = -p->m11;
    du[2] = v, dv[2] = -u;
    du[3] = -u, dv[3] = -v;
    du[4] = u, dv[4] = -v;
    du[5] = v, dv[5] = u;
}

static void add_pixel(normal *eq, int parameters, double w, double residual, const double row[UNKNOWNS])
{
    const int size = parameters + 2;
    for (int i = 0; i < size; i++) {
        const double wr = w * row[i];
        eq->g[i] += wr * residual;
        for (int j = 0; j <= i; j++) {
            eq->h[i][j] += wr * row[j];
        }
    }
}

/* Linearises around `pose` with the gain and offset that fit best there. */
static void linearise(const fnr_pose *pose, const fnr_window *win, int level, int parameters, const fnr_scratch *s,
                      const fnr_sums *sums, normal *eq)
{
    const double vt = sums->tt - sums->t * sums->t / sums->n, cov = sums->ti - sums->t * sums->i / sums->n;
    const double gain = cov / vt, offset = (sums->i - gain * sums->t) / sums->n;
    memset(eq, 0, sizeof *eq);
    for (int j = 0; j < win->h; j++) {
        const double dy = fnr_level_to_full(win->y + j, level) - pose->cy;
        for (int i = 0; i < win->w; i++) {
            const size_t k = (size_t)j * (size_t)win->w + (size_t)i;
            const double w = (double)s->weight[k] * (double)s->valid[k];
            if (w <= 0) {
                continue;
            }
            double du[FNR_POSE_PARAMETERS], dv[FNR_POSE_PARAMETERS], row[UNKNOWNS];
            position_derivatives(pose, fnr_level_to_full(win->x + i, level) - pose->cx, dy, du, dv);
            for (int q = 0; q < parameters; q++) {
                row[q] = gain * ((double)s->gx[k] * du[q] + (double)s->gy[k] * dv[q]);
            }
            row[parameters] = s->drawn[k];
            row[parameters + 1] = 1;
            add_pixel(eq, parameters, w, (double)s->value[k] - gain * (double)s->drawn[k] - offset, row);
        }
    }
}

static void evaluate(const fnr_match *m, const fnr_pose *pose, const fnr_window *win, const fnr_scratch *s, fnr_sums *sums,
                     double *score, double *overlap)
{
    double area;
    fnr_template_draw_gradient(m->tpl, pose, win, s->drawn, s->weight, s->gx, s->gy);
    sum_pixels(s, (size_t)win->w * (size_t)win->h, sums, &area);
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
    normal eq;
    evaluate(m, &hit->pose, &win, s, &sums, &hit->score, &hit->overlap);
    double lambda = 1e-3;
    bool fresh = true; /* the scratch holds the drawing of hit->pose */
    for (int k = 0; k < MAX_ITERATIONS && hit->score > 0; k++) {
        double x[UNKNOWNS] = {0};
        if (fresh) {
            linearise(&hit->pose, &win, level, parameters, s, &sums, &eq);
        }
        if (!solve(&eq, parameters + 2, lambda, x)) {
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
