/* The linear least-squares problem behind one step of the fit. */
#include "register/normal.h"

#include <math.h>
#include <string.h>

#include "src/cv/cv.h"

/* Standard deviation of the neighbourhood whose mean is taken away, about a sheath's thickness; measured in README.md.  Levels whose
 * pixels are too large for it take one mean from all. */
static const double local_nm = 400, least_local_px = 2;

bool fnr_normal_solve(const fnr_normal *n, int size, double lambda, double x[FNR_NORMAL_UNKNOWNS])
{
    double l[FNR_NORMAL_UNKNOWNS][FNR_NORMAL_UNKNOWNS] = {{0}};
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

static fnr_sums sums_of(const float *weight, const float *t, const float *i, size_t n)
{
    fnr_sums s = {0};
    for (size_t k = 0; k < n; k++) {
        const double w = weight[k], a = t[k], b = i[k];
        s.n += w;
        s.t += w * a;
        s.i += w * b;
        s.tt += w * a * a;
        s.ii += w * b * b;
        s.ti += w * a * b;
    }
    return s;
}

static bool blur(const fnr_window *win, double sd, float *px, fnr_error *err)
{
    const fnr_view src = fnr_view_f32(px, win->w, win->h);
    fnr_view dst = src;
    return fnr_cv_blur(&src, sd, &dst, err);
}

/* x -= its weighted mean around each pixel; 0 where there is no weight.  sd 0: one mean. */
static bool centre(const fnr_window *win, const fnr_scratch *s, double sd, float *x, fnr_error *err)
{
    const size_t n = (size_t)win->w * (size_t)win->h;
    if (sd == 0) {
        double sum = 0, mass = 0;
        for (size_t k = 0; k < n; k++) {
            sum += (double)s->weight[k] * (double)x[k];
            mass += (double)s->weight[k];
        }
        const float mean = mass > 0 ? (float)(sum / mass) : 0;
        for (size_t k = 0; k < n; k++) {
            x[k] = s->weight[k] > 0 ? x[k] - mean : 0;
        }
        return true;
    }
    for (size_t k = 0; k < n; k++) {
        s->work[k] = s->weight[k] * x[k];
    }
    if (!blur(win, sd, s->work, err)) {
        return false;
    }
    for (size_t k = 0; k < n; k++) {
        x[k] = s->weight[k] > 0 ? x[k] - s->work[k] / s->mass[k] : 0;
    }
    return true;
}

static void fill_rows(const fnr_view_of_pose *v, const fnr_scratch *s)
{
    for (int j = 0; j < v->win.h; j++) {
        for (int i = 0; i < v->win.w; i++) {
            const size_t k = (size_t)j * (size_t)v->win.w + (size_t)i;
            double du[FNR_POSE_PARAMETERS], dv[FNR_POSE_PARAMETERS];
            position_derivatives(&v->pose, fnr_level_to_full(v->win.x + i, v->level) - v->pose.cx,
                                 fnr_level_to_full(v->win.y + j, v->level) - v->pose.cy, du, dv);
            for (int q = 0; q < v->parameters; q++) {
                s->row[q][k] = (float)((double)s->gx[k] * du[q] + (double)s->gy[k] * dv[q]);
            }
        }
    }
}

bool fnr_normal_view(const fnr_match *m, const fnr_scratch *s, bool rows, fnr_view_of_pose *v, fnr_error *err)
{
    const size_t n = (size_t)v->win.w * (size_t)v->win.h;
    const double px_nm = m->target->if_nm * (double)(1 << v->level), reach = local_nm / px_nm, sd = !m->local || reach < least_local_px ? 0 : reach;
    double area = 0;
    if (rows) {
        fnr_template_draw_gradient(m->tpl, &v->pose, &v->win, s->drawn, s->weight, s->gx, s->gy);
    } else {
        fnr_template_draw(m->tpl, &v->pose, &v->win, s->drawn, s->weight);
    }
    for (size_t k = 0; k < n; k++) {
        area += (double)s->weight[k];
        s->weight[k] *= s->valid[k];
        s->mass[k] = s->weight[k];
        s->image[k] = s->value[k];
    }
    v->global = sums_of(s->weight, s->drawn, s->value, n);
    v->overlap = area > 0 ? v->global.n / area : 0;
    if (sd == 0 && !rows) { /* the score takes one mean away by itself */
        v->detail = v->global;
        return true;
    }
    if (sd > 0 && !blur(&v->win, sd, s->mass, err)) {
        return false;
    }
    if (!centre(&v->win, s, sd, s->image, err) || !centre(&v->win, s, sd, s->drawn, err)) {
        return false;
    }
    v->detail = sums_of(s->weight, s->drawn, s->image, n);
    v->gain = v->detail.tt > 0 ? v->detail.ti / v->detail.tt : 0;
    if (rows) {
        fill_rows(v, s);
        for (int q = 0; q < v->parameters; q++) {
            if (!centre(&v->win, s, sd, s->row[q], err)) {
                return false;
            }
        }
    }
    return true;
}

void fnr_normal_make(const fnr_view_of_pose *v, const fnr_scratch *s, fnr_normal *eq)
{
    const size_t n = (size_t)v->win.w * (size_t)v->win.h;
    const int size = v->parameters + 1;
    memset(eq, 0, sizeof *eq);
    for (size_t k = 0; k < n; k++) {
        const double w = s->weight[k];
        double row[FNR_NORMAL_UNKNOWNS];
        if (w <= 0) {
            continue;
        }
        for (int q = 0; q < v->parameters; q++) {
            row[q] = v->gain * (double)s->row[q][k];
        }
        row[v->parameters] = s->drawn[k];
        const double residual = (double)s->image[k] - v->gain * (double)s->drawn[k];
        for (int i = 0; i < size; i++) {
            const double wr = w * row[i];
            eq->g[i] += wr * residual;
            for (int j = 0; j <= i; j++) {
                eq->h[i][j] += wr * row[j];
            }
        }
    }
}
