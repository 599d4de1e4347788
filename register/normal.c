/* The tile under a pose beside the montage, and the derivatives of what they do not share. */
#include "register/normal.h"

#include <math.h>
#include <string.h>

#include "register/blur.h"
#include "register/local.h"

bool fnr_normal_solve(const fnr_normal *n, int size, double lambda, double x[FNR_POSE_PARAMETERS])
{
    double l[FNR_POSE_PARAMETERS][FNR_POSE_PARAMETERS] = {{0}};
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

bool fnr_normal_montage(const fnr_match *m, int level, const fnr_window *win, const fnr_scratch *s, fnr_error *err)
{
    fnr_target_window(m->target, level, win->x, win->y, win->w, win->h, s->value, s->valid);
    if (!fnr_local_is_linear(m, level)) {
        return true;
    }
    fnr_target_linear(m->target, win->x, win->y, win->w, win->h, s->value);
    return fnr_local_trust(win, s, fnr_local_sd_px(m, level), err);
}

static void draw(const fnr_match *m, const fnr_scratch *s, bool slopes, const fnr_view_of_pose *v)
{
    if (v->linear) {
        fnr_template_draw_linear(m->tpl, &v->pose, &v->win, s->drawn, s->weight, slopes ? s->gx : NULL, slopes ? s->gy : NULL);
    } else if (slopes) {
        fnr_template_draw_gradient(m->tpl, &v->pose, &v->win, s->drawn, s->weight, s->gx, s->gy);
    } else {
        fnr_template_draw(m->tpl, &v->pose, &v->win, s->drawn, s->weight);
    }
}

/* weight times valid; how much of the tile lies on the montage. */
static void cover(const fnr_scratch *s, size_t n, fnr_view_of_pose *v)
{
    double area = 0, there = 0;
    for (size_t k = 0; k < n; k++) {
        const float w = s->weight[k];
        area += (double)w;
        there += (double)(s->valid[k] > 0 ? w : 0);
        s->weight[k] = w * s->valid[k];
    }
    v->overlap = area > 0 ? there / area : 0;
}

/* One gain for the whole tile. */
static void common_gain(const fnr_scratch *s, bool slopes, size_t n, fnr_view_of_pose *v)
{
    const float gain = v->detail.tt > 0 ? (float)(v->detail.ti / v->detail.tt) : 0;
    v->match = fnr_sums_score(&v->detail);
    for (size_t k = 0; slopes && k < n; k++) {
        s->gain[k] = gain;
        s->pull[k] = gain * (s->image[k] - gain * s->drawn[k]);
    }
}

bool fnr_normal_view(const fnr_match *m, const fnr_scratch *s, bool slopes, fnr_view_of_pose *v, fnr_error *err)
{
    const size_t n = (size_t)v->win.w * (size_t)v->win.h;
    const double sd = fnr_local_sd_px(m, v->level);
    v->linear = fnr_local_is_linear(m, v->level);
    draw(m, s, slopes, v);
    cover(s, n, v);
    if (!v->linear) {
        v->global = fnr_sums_of(s->weight, s->drawn, s->value, n);
    }
    if (sd == 0 && !slopes) { /* the score takes one mean away by itself */
        v->detail = v->global;
        v->match = fnr_sums_score(&v->detail);
        return true;
    }
    memcpy(s->image, s->value, n * sizeof *s->image);
    if ((sd > 0 && !fnr_blur(s->weight, v->win.w, v->win.h, sd, s->mass, err)) ||
        !fnr_local_centre(&v->win, s, sd, s->image, err) || !fnr_local_centre(&v->win, s, sd, s->drawn, err)) {
        return false;
    }
    v->detail = fnr_sums_of(s->weight, s->drawn, s->image, n);
    if (!v->linear) {
        common_gain(s, slopes, n, v);
    } else if (!fnr_local_gain(s, sd, v, err) || (slopes && !fnr_local_pull(s, sd, v, err))) {
        return false;
    }
    return !slopes || fnr_local_centre_back(&v->win, s, sd, s->pull, err);
}

/* The derivatives of a position are linear along a row of pixels, so four sums per row are enough. */
void fnr_normal_gradient(const fnr_view_of_pose *v, const fnr_scratch *s, double g[FNR_POSE_PARAMETERS])
{
    memset(g, 0, FNR_POSE_PARAMETERS * sizeof *g);
    const double x0 = fnr_level_to_full(v->win.x, v->level) - v->pose.cx, step = (double)(1 << v->level);
    for (int j = 0; j < v->win.h; j++) {
        const size_t first = (size_t)j * (size_t)v->win.w;
        double x = 0, y = 0, xi = 0, yi = 0; /* sums of w pull times gx, gy, gx i, gy i */
        for (int i = 0; i < v->win.w; i++) {
            const size_t k = first + (size_t)i;
            const float p = s->weight[k] * s->pull[k], px = p * s->gx[k], py = p * s->gy[k];
            x += (double)px;
            y += (double)py;
            xi += (double)(px * (float)i);
            yi += (double)(py * (float)i);
        }
        double du[2][FNR_POSE_PARAMETERS], dv[2][FNR_POSE_PARAMETERS]; /* at the row's first pixel and the next */
        const double dy = fnr_level_to_full(v->win.y + j, v->level) - v->pose.cy;
        position_derivatives(&v->pose, x0, dy, du[0], dv[0]);
        position_derivatives(&v->pose, x0 + step, dy, du[1], dv[1]);
        for (int q = 0; q < v->parameters; q++) {
            g[q] += du[0][q] * x + (du[1][q] - du[0][q]) * xi + dv[0][q] * y + (dv[1][q] - dv[0][q]) * yi;
        }
    }
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

bool fnr_normal_rows(const fnr_match *m, const fnr_view_of_pose *v, const fnr_scratch *s, fnr_error *err)
{
    fill_rows(v, s);
    for (int q = 0; q < v->parameters; q++) {
        if (!fnr_local_centre(&v->win, s, fnr_local_sd_px(m, v->level), s->row[q], err)) {
            return false;
        }
    }
    return true;
}

static double dot(const float *a, const float *b, size_t n)
{
    enum { LANES = 4 };
    double sum[LANES] = {0};
    const size_t whole = n - n % LANES;
    for (size_t k = 0; k < whole; k += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            sum[l] += (double)(a[k + l] * b[k + l]);
        }
    }
    for (size_t k = whole; k < n; k++) {
        sum[0] += (double)(a[k] * b[k]);
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

void fnr_normal_curvature(const fnr_view_of_pose *v, const fnr_scratch *s, double h[FNR_POSE_PARAMETERS][FNR_POSE_PARAMETERS])
{
    const size_t n = (size_t)v->win.w * (size_t)v->win.h;
    const double gain = v->linear ? 0 : (double)s->gain[0], energy = gain * gain * v->detail.tt;
    double common[FNR_POSE_PARAMETERS] = {0};
    for (int a = 0; a < v->parameters; a++) {
        for (size_t k = 0; k < n; k++) {
            s->work[k] = s->weight[k] * s->gain[k] * s->gain[k] * s->row[a][k];
        }
        common[a] = energy > 0 ? dot(s->work, s->drawn, n) : 0;
        for (int b = 0; b <= a; b++) {
            h[a][b] = dot(s->work, s->row[b], n) - (energy > 0 ? common[a] * common[b] / energy : 0);
        }
    }
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
        if (v->linear && !fnr_blur(s->work, v->win.w, v->win.h, sd, s->room, err)) {
            return false;
        }
        for (size_t k = 0; v->linear && k < n; k++) {
            s->row[q][k] -= s->drawn[k] * s->room[k] / s->energy[k];
        }
    }
    return true;
}
