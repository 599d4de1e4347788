/* How well a tile fixes its own similarity: the cluster-robust ("sandwich") covariance of the least-squares fit (Liang & Zeger 1986).
 *
 * Residuals of neighbouring pixels hang together: a sheath is brighter than predicted as a whole, the section is deformed smoothly.
 * So the scores are summed over cells about as large as a sheath before they are squared; cov = H^-1 (sum s_c s_c') H^-1.
 *
 * Where two or three sheaths are all there is, the fit absorbs their residuals and the sandwich looks better than it is.  Therefore
 * every cell is also taken to be displaced by itself (deformation, imperfect prediction), and what that does to the pose is added. */
#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "register/normal.h"
#include "src/core/mem.h"

enum { POSE = 4, ALL = POSE + 1 };

static const double cell_nm = 1500;
static const double displacement_nm = 15; /* of a cell, per axis */

/* A low correlation says that much of what the fit leaned on is not myelin (false positives of the prediction, unstained sheaths),
 * which the residuals alone do not show.  Exponent of the unexplained variance 1 - score^2 relative to a good tile's; calibrated on
 * nerve section B with a model that was trained on A and C: predicted and true errors then agree from 0.1 to 1.1 IF px. */
static const double good_score = 0.8, score_exponent = 4;

/* Few cells cannot tell their own spread: beyond the unknowns at least this many must remain, or the factor grows accordingly. */
static const double least_freedom = 0.5;

typedef struct {
    double h[ALL * ALL];
    double *scores;   /* ALL per cell; owns the block that the other two lie in */
    double *shifts_x; /* ALL per cell: change of the scores when the cell's content moves by 1 IF px in x ... */
    double *shifts_y; /* ... in y */
    size_t n_cells;
} sandwich;

static void add_scores(const fnr_view_of_pose *v, const fnr_scratch *s, int cell, sandwich *out)
{
    const size_t cells_x = (size_t)(v->win.w / cell + 1);
    for (int j = 0; j < v->win.h; j++) {
        for (int i = 0; i < v->win.w; i++) {
            const size_t k = (size_t)j * (size_t)v->win.w + (size_t)i, at = ((size_t)(j / cell) * cells_x + (size_t)(i / cell)) * ALL;
            const double w = s->weight[k], residual = (double)s->image[k] - (double)s->gain[k] * (double)s->drawn[k];
            double row[ALL];
            for (int a = 0; a < POSE; a++) {
                row[a] = s->row[a][k];
            }
            row[POSE] = s->drawn[k];
            for (int a = 0; w > 0 && a < ALL; a++) {
                out->scores[at + (size_t)a] += w * row[a] * residual;
                out->shifts_x[at + (size_t)a] += w * row[a] * row[0];
                out->shifts_y[at + (size_t)a] += w * row[a] * row[1];
                for (int b = 0; b < ALL; b++) {
                    out->h[a * ALL + b] += w * row[a] * row[b];
                }
            }
        }
    }
}

/* Number of cells that carry the weight: (sum q)^2 / sum q^2 over their information about the pose. */
static double effective_cells(const sandwich *s)
{
    double sum = 0, squares = 0;
    for (size_t c = 0; c < s->n_cells; c++) {
        double q = 0;
        for (int a = 0; a < POSE; a++) {
            const double x = s->scores[c * ALL + (size_t)a];
            q += x * x / fmax(s->h[a * ALL + a], 1e-300);
        }
        sum += q;
        squares += q * q;
    }
    return squares > 0 ? sum * sum / squares : 0;
}

static bool invert(double m[ALL * ALL])
{
    gsl_matrix_view v = gsl_matrix_view_array(m, ALL, ALL);
    gsl_error_handler_t *old = gsl_set_error_handler_off();
    const bool ok = gsl_linalg_cholesky_decomp1(&v.matrix) == GSL_SUCCESS && gsl_linalg_cholesky_invert(&v.matrix) == GSL_SUCCESS;
    gsl_set_error_handler(old);
    return ok;
}

/* cov += factor * sum over the cells of (H^-1 v)(H^-1 v)' */
static void add_meat(const sandwich *s, const double *vectors, double factor, double cov[POSE * POSE])
{
    for (size_t c = 0; c < s->n_cells; c++) {
        double x[POSE] = {0};
        for (int a = 0; a < POSE; a++) {
            for (int b = 0; b < ALL; b++) {
                x[a] += s->h[a * ALL + b] * vectors[c * ALL + (size_t)b];
            }
        }
        for (int a = 0; a < POSE; a++) {
            for (int b = 0; b < POSE; b++) {
                cov[a * POSE + b] += factor * x[a] * x[b];
            }
        }
    }
}

static double score_inflation(double score)
{
    const double s = fmax(0, score);
    return s >= good_score ? 1 : pow((1 - s * s) / (1 - good_score * good_score), score_exponent);
}

static bool combine(sandwich *s, double if_nm, double score, double cov[POSE * POSE])
{
    const double cells = effective_cells(s), displacement_px = displacement_nm / if_nm;
    if (!invert(s->h)) {
        return false;
    }
    memset(cov, 0, POSE * POSE * sizeof *cov);
    add_meat(s, s->scores, cells / fmax(cells - ALL, least_freedom), cov);
    add_meat(s, s->shifts_x, displacement_px * displacement_px, cov);
    add_meat(s, s->shifts_y, displacement_px * displacement_px, cov);
    for (int i = 0; i < POSE * POSE; i++) {
        cov[i] *= score_inflation(score);
        if (!isfinite(cov[i])) {
            return false;
        }
    }
    return true;
}

bool fnr_pose_covariance(const fnr_match *m, const fnr_pose *pose, double cov[16], bool *determined, fnr_error *err)
{
    const fnr_window win = fnr_window_around(pose, &m->tpl->size, 0, 3);
    const int cell = (int)fmax(2, round(cell_nm / m->target->if_nm));
    fnr_scratch s = {0};
    sandwich sw = {.n_cells = (size_t)(win.w / cell + 1) * (size_t)(win.h / cell + 1)};
    fnr_view_of_pose v = {.pose = *pose, .win = win, .parameters = POSE};
    *determined = false;
    sw.scores = fnr_calloc(3 * sw.n_cells * ALL, sizeof *sw.scores, "cells of the covariance", err);
    sw.shifts_x = sw.scores ? sw.scores + sw.n_cells * ALL : NULL;
    sw.shifts_y = sw.scores ? sw.shifts_x + sw.n_cells * ALL : NULL;
    fnr_hit hit = {.pose = *pose};
    bool ok = sw.scores && fnr_match_score(m, 0, &hit, &s, err) && fnr_scratch_fit(&s, (size_t)win.w * (size_t)win.h, err);
    if (ok) {
        ok = fnr_normal_montage(m, 0, &win, &s, err) && fnr_normal_view(m, &s, true, &v, err) && fnr_normal_rows(m, &v, &s, err) &&
             fnr_normal_project(m, &v, &s, err);
    }
    if (ok) {
        add_scores(&v, &s, cell, &sw);
        *determined = combine(&sw, m->target->if_nm, hit.score, cov);
    }
    free(sw.scores);
    fnr_scratch_free(&s);
    return ok;
}
