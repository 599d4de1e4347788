/* The linear least-squares problem behind one step of the fit. */
#include "register/normal.h"

#include <math.h>
#include <string.h>

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

void fnr_normal_sums(const fnr_scratch *s, size_t n, fnr_sums *sums, double *area)
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

static void add_pixel(fnr_normal *eq, int parameters, double w, double residual, const double row[FNR_NORMAL_UNKNOWNS])
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

fnr_normal_frame fnr_normal_frame_of(const fnr_pose *pose, const fnr_window *win, int level, int parameters, const fnr_sums *sums)
{
    const double vt = sums->tt - sums->t * sums->t / sums->n, cov = sums->ti - sums->t * sums->i / sums->n, gain = cov / vt;
    return (fnr_normal_frame){.pose = *pose, .win = *win, .level = level, .parameters = parameters, .gain = gain,
                              .offset = (sums->i - gain * sums->t) / sums->n};
}

double fnr_normal_row(const fnr_normal_frame *f, const fnr_scratch *s, int i, int j, double row[FNR_NORMAL_UNKNOWNS], double *residual)
{
    const size_t k = (size_t)j * (size_t)f->win.w + (size_t)i;
    const double w = (double)s->weight[k] * (double)s->valid[k];
    if (w <= 0) {
        return 0;
    }
    double du[FNR_POSE_PARAMETERS], dv[FNR_POSE_PARAMETERS];
    position_derivatives(&f->pose, fnr_level_to_full(f->win.x + i, f->level) - f->pose.cx,
                         fnr_level_to_full(f->win.y + j, f->level) - f->pose.cy, du, dv);
    for (int q = 0; q < f->parameters; q++) {
        row[q] = f->gain * ((double)s->gx[k] * du[q] + (double)s->gy[k] * dv[q]);
    }
    row[f->parameters] = s->drawn[k];
    row[f->parameters + 1] = 1;
    *residual = (double)s->value[k] - f->gain * (double)s->drawn[k] - f->offset;
    return w;
}

void fnr_normal_make(const fnr_pose *pose, const fnr_window *win, int level, int parameters, const fnr_scratch *s, const fnr_sums *sums,
                     fnr_normal *eq)
{
    const fnr_normal_frame f = fnr_normal_frame_of(pose, win, level, parameters, sums);
    memset(eq, 0, sizeof *eq);
    for (int j = 0; j < win->h; j++) {
        for (int i = 0; i < win->w; i++) {
            double row[FNR_NORMAL_UNKNOWNS], residual;
            const double w = fnr_normal_row(&f, s, i, j, row, &residual);
            if (w > 0) {
                add_pixel(eq, parameters, w, residual, row);
            }
        }
    }
}
