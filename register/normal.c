/* The linear least-squares problem behind one step of the fit. */
#include "register/normal.h"

#include <math.h>
#include <string.h>

#include "register/local.h"

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

bool fnr_normal_montage(const fnr_match *m, int level, const fnr_window *win, const fnr_scratch *s, fnr_error *err)
{
    fnr_target_window(m->target, level, win->x, win->y, win->w, win->h, s->value, s->valid);
    if (!fnr_local_is_linear(m, level)) {
        return true;
    }
    fnr_target_linear(m->target, win->x, win->y, win->w, win->h, s->value);
    return fnr_local_trust(win, s, fnr_local_sd_px(m, level), err);
}

static void draw(const fnr_match *m, const fnr_scratch *s, bool rows, const fnr_view_of_pose *v)
{
    if (v->linear) {
        fnr_template_draw_linear(m->tpl, &v->pose, &v->win, s->drawn, s->weight, rows ? s->gx : NULL, rows ? s->gy : NULL);
    } else if (rows) {
        fnr_template_draw_gradient(m->tpl, &v->pose, &v->win, s->drawn, s->weight, s->gx, s->gy);
    } else {
        fnr_template_draw(m->tpl, &v->pose, &v->win, s->drawn, s->weight);
    }
}

/* One gain for the whole tile. */
static void common_gain(const fnr_scratch *s, bool rows, size_t n, fnr_view_of_pose *v)
{
    const float gain = v->detail.tt > 0 ? (float)(v->detail.ti / v->detail.tt) : 0;
    v->match = fnr_sums_score(&v->detail);
    for (size_t k = 0; rows && k < n; k++) {
        s->gain[k] = gain;
        s->pull[k] = gain * (s->image[k] - gain * s->drawn[k]);
    }
}

static bool centre_rows(const fnr_view_of_pose *v, const fnr_scratch *s, double sd, fnr_error *err)
{
    fill_rows(v, s);
    for (int q = 0; q < v->parameters; q++) {
        if (!fnr_local_centre(&v->win, s, sd, s->row[q], err)) {
            return false;
        }
    }
    return true;
}

/* weight times valid; the images as they are; their sums. */
static void look(const fnr_scratch *s, size_t n, fnr_view_of_pose *v)
{
    double area = 0, there = 0;
    for (size_t k = 0; k < n; k++) {
        area += (double)s->weight[k];
        there += s->valid[k] > 0 ? (double)s->weight[k] : 0;
        s->weight[k] *= s->valid[k];
        s->mass[k] = s->weight[k];
        s->image[k] = s->value[k];
    }
    v->global = sums_of(s->weight, s->drawn, s->value, n);
    v->overlap = area > 0 ? there / area : 0;
}

bool fnr_normal_view(const fnr_match *m, const fnr_scratch *s, bool rows, fnr_view_of_pose *v, fnr_error *err)
{
    const size_t n = (size_t)v->win.w * (size_t)v->win.h;
    const double sd = fnr_local_sd_px(m, v->level);
    v->linear = fnr_local_is_linear(m, v->level);
    draw(m, s, rows, v);
    look(s, n, v);
    if (sd == 0 && !rows) { /* the score takes one mean away by itself */
        v->detail = v->global;
        v->match = fnr_sums_score(&v->detail);
        return true;
    }
    if ((sd > 0 && !fnr_local_blur(&v->win, sd, s->mass, err)) || !fnr_local_centre(&v->win, s, sd, s->image, err) ||
        !fnr_local_centre(&v->win, s, sd, s->drawn, err) || (rows && !centre_rows(v, s, sd, err))) {
        return false;
    }
    v->detail = sums_of(s->weight, s->drawn, s->image, n);
    if (!v->linear) {
        common_gain(s, rows, n, v);
        return true;
    }
    return fnr_local_gain(s, sd, v, err) && (!rows || fnr_local_pull(s, sd, v, err));
}

bool fnr_normal_project(const fnr_match *m, const fnr_view_of_pose *v, const fnr_scratch *s, fnr_error *err)
{
    const size_t n = (size_t)v->win.w * (size_t)v->win.h;
    const double sd = fnr_local_sd_px(m, v->level);
    for (int q = 0; q < v->parameters; q++) {
        for (size_t k = 0; k < n; k++) {
            s->row[q][k] *= s->gain[k];
            s->work[k] = s->weight[k] * s->drawn[k] * s->row[q][k];
        }
        if (v->linear && !fnr_local_blur(&v->win, sd, s->work, err)) {
            return false;
        }
        for (size_t k = 0; v->linear && k < n; k++) {
            s->row[q][k] -= s->drawn[k] * s->work[k] / s->energy[k];
        }
    }
    return true;
}

void fnr_normal_make(const fnr_view_of_pose *v, const fnr_scratch *s, fnr_normal *eq)
{
    const size_t n = (size_t)v->win.w * (size_t)v->win.h;
    const int size = fnr_normal_unknowns(v), p = v->parameters;
    memset(eq, 0, sizeof *eq);
    for (size_t k = 0; k < n; k++) {
        const double w = s->weight[k], gain = s->gain[k];
        double row[FNR_NORMAL_UNKNOWNS];
        if (w <= 0) {
            continue;
        }
        for (int q = 0; q < p; q++) {
            row[q] = gain * (double)s->row[q][k];
            eq->g[q] += w * (double)s->row[q][k] * (double)s->pull[k];
        }
        row[p] = s->drawn[k];
        eq->g[p] += w * row[p] * ((double)s->image[k] - gain * row[p]);
        for (int i = 0; i < size; i++) {
            for (int j = 0; j <= i; j++) {
                eq->h[i][j] += w * row[i] * row[j];
            }
        }
    }
}
