#include "register/deform.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_blas.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>

#include "src/core/mem.h"

enum { V = FNR_DEFORM_VALUES, POINTS = 9, MOST_FITTED = 48, ROUNDS = 3 };

/* What is tried, and what is expected without measurements: sections of the nerve data are deformed by 25 nm per axis over 12 um. */
static const double sds_nm[] = {8, 15, 25, 40, 70, 120}, reaches_nm[] = {6000, 12000, 24000}, noises[] = {0.5, 1, 2, 4};
static const double usual_sd_nm = 25, usual_reach_nm = 12000, usual_noise = 1, spread = 0.7; /* spread: of the logarithms */

/* Standard deviations of the section's own parameters about the first guess: as good as unknown. */
static const double section_sd[6] = {30, 30, 0.05, 0.05, 0.02, 0.02};

static const double bias_sd = 0.004; /* of the log scale that all tiles' fits have in common */

static const double believed_chi2 = 9; /* beyond it a tile's covariance grows until it fits */

/* One square symmetric system over the known tiles. */
typedef struct {
    size_t m;         /* known tiles */
    size_t *which;    /* their indices */
    double *unit;     /* V m x V m: covariance of the deformation of size 1 and some reach */
    double *section;  /* likewise, of the section's own parameters */
    double *inverse;  /* of the whole */
    double *y, *py;   /* V m values; inverse times values */
    double *inflation; /* per known tile */
} system_of;

static void system_free(system_of *s)
{
    free(s->which);
    free(s->unit);
    free(s->y);
    *s = (system_of){0};
}

static bool system_new(const fnr_deform_tile *tiles, size_t n, size_t most, system_of *out, fnr_error *err)
{
    system_of s = {0};
    size_t known = 0;
    for (size_t i = 0; i < n; i++) {
        known += tiles[i].known;
    }
    const size_t m = known < most ? known : most, d = V * m;
    s.which = fnr_calloc(m + 1, sizeof *s.which, "tiles of a section", err);
    s.unit = fnr_calloc(3 * d * d + 1, sizeof *s.unit, "the covariance of a section", err);
    s.y = fnr_calloc(3 * d + 1, sizeof *s.y, "the covariance of a section", err);
    if (!s.which || !s.unit || !s.y) {
        system_free(&s);
        return false;
    }
    s.section = s.unit + d * d;
    s.inverse = s.section + d * d;
    s.py = s.y + d;
    s.inflation = s.py + d;
    for (size_t i = 0, k = 0; i < n; i++) { /* evenly spread when there are more than wanted */
        if (tiles[i].known && (k++ * m) / known == s.m && s.m < m) {
            s.inflation[s.m] = 1;
            memcpy(s.y + V * s.m, tiles[i].value, sizeof tiles[i].value);
            s.which[s.m++] = i;
        }
    }
    *out = s;
    return true;
}

/* Points of a tile and what a displacement there does to the tile's values: value += f[k] . displacement(point k) */
static void functionals(const fnr_deform_tile *t, fnr_point at[POINTS], double f[POINTS][V][2])
{
    const double place = 0.7745966692414834; /* three Gauss-Legendre points */
    double moment = 0;
    for (int k = 0; k < POINTS; k++) {
        const double a = place * (k % 3 - 1), b = place * (k / 3 - 1), wa = k % 3 == 1 ? 8.0 / 18 : 5.0 / 18, wb = k / 3 == 1 ? 8.0 / 18 : 5.0 / 18;
        const double x = a * t->half_x.x + b * t->half_y.x, y = a * t->half_x.y + b * t->half_y.y, w = wa * wb;
        at[k] = (fnr_point){t->centre.x + x, t->centre.y + y};
        moment += w * (x * x + y * y);
        const double rows[V][2] = {{w, 0}, {0, w}, {-w * y, w * x}, {w * x, w * y}};
        memcpy(f[k], rows, sizeof rows);
    }
    for (int k = 0; k < POINTS; k++) {
        for (int c = 0; c < 2; c++) {
            f[k][2][c] /= moment;
            f[k][3][c] /= moment;
        }
    }
}

static void deformation_block(const fnr_deform_tile *a, const fnr_deform_tile *b, double reach, double out[V * V])
{
    fnr_point pa[POINTS], pb[POINTS];
    double fa[POINTS][V][2], fb[POINTS][V][2];
    functionals(a, pa, fa);
    functionals(b, pb, fb);
    memset(out, 0, V * V * sizeof *out);
    for (int k = 0; k < POINTS; k++) {
        for (int l = 0; l < POINTS; l++) {
            const double dx = (pa[k].x - pb[l].x) / reach, dy = (pa[k].y - pb[l].y) / reach, c = exp(-0.5 * (dx * dx + dy * dy));
            for (int i = 0; i < V; i++) {
                for (int j = 0; j < V; j++) {
                    out[i * V + j] += c * (fa[k][i][0] * fb[l][j][0] + fa[k][i][1] * fb[l][j][1]);
                }
            }
        }
    }
}

/* The section's parameters' effect on a tile: two shifts, rotation, log scale, two shears, about `origin`. */
static void design(const fnr_deform_tile *t, fnr_point origin, double d[V][6])
{
    const double x = t->centre.x - origin.x, y = t->centre.y - origin.y;
    const double rows[V][6] = {{1, 0, -y, x, x, y}, {0, 1, x, y, -y, x}, {0, 0, 1, 0, 0, 0}, {0, 0, 0, 1, 0, 0}};
    memcpy(d, rows, sizeof rows);
}

static void section_block(const fnr_deform_tile *a, const fnr_deform_tile *b, fnr_point origin, int parameters, double out[V * V])
{
    double da[V][6], db[V][6];
    design(a, origin, da);
    design(b, origin, db);
    for (int i = 0; i < V; i++) {
        for (int j = 0; j < V; j++) {
            out[i * V + j] = 0;
            for (int p = 0; p < parameters; p++) {
                out[i * V + j] += section_sd[p] * section_sd[p] * da[i][p] * db[j][p];
            }
        }
    }
}

static void put_block(double *matrix, size_t d, size_t i, size_t j, const double block[V * V])
{
    for (size_t a = 0; a < V; a++) {
        for (size_t b = 0; b < V; b++) {
            matrix[(V * i + a) * d + V * j + b] = block[a * V + b];
            matrix[(V * j + b) * d + V * i + a] = block[a * V + b];
        }
    }
}

static void fill(const fnr_deform_tile *tiles, fnr_point origin, int parameters, double reach, double bias_variance, system_of *s)
{
    for (size_t i = 0; i < s->m; i++) {
        for (size_t j = 0; j <= i; j++) {
            double block[V * V];
            deformation_block(&tiles[s->which[i]], &tiles[s->which[j]], reach, block);
            put_block(s->unit, V * s->m, i, j, block);
            section_block(&tiles[s->which[i]], &tiles[s->which[j]], origin, parameters, block);
            block[3 * V + 3] += bias_variance;
            put_block(s->section, V * s->m, i, j, block);
        }
    }
}

/* Cholesky of the whole into s->inverse; its logarithm of the likelihood.  False when it is not positive definite. */
static bool decompose(const fnr_deform_tile *tiles, const fnr_deform_model *model, system_of *s, double *log_likelihood)
{
    const size_t d = V * s->m;
    gsl_matrix_view k = gsl_matrix_view_array(s->inverse, d, d);
    gsl_vector_view y = gsl_vector_view_array(s->y, d), py = gsl_vector_view_array(s->py, d);
    for (size_t i = 0; i < d * d; i++) {
        s->inverse[i] = s->section[i] + model->sd_px * model->sd_px * s->unit[i];
    }
    for (size_t i = 0; i < s->m; i++) {
        for (size_t a = 0; a < V; a++) {
            for (size_t b = 0; b < V; b++) {
                s->inverse[(V * i + a) * d + V * i + b] += model->noise * s->inflation[i] * tiles[s->which[i]].cov[a * V + b];
            }
        }
    }
    if (gsl_linalg_cholesky_decomp1(&k.matrix) != GSL_SUCCESS || gsl_linalg_cholesky_solve(&k.matrix, &y.vector, &py.vector) != GSL_SUCCESS) {
        return false;
    }
    *log_likelihood = 0;
    for (size_t i = 0; i < d; i++) {
        *log_likelihood -= 0.5 * s->y[i] * s->py[i] + log(s->inverse[i * d + i]);
    }
    return isfinite(*log_likelihood);
}

static double surprise(double x, double usual)
{
    const double z = log(x / usual) / spread;
    return 0.5 * z * z;
}

static void choose_model(const fnr_deform_tile *tiles, double if_nm, fnr_point origin, int parameters, system_of *s, fnr_deform_model *best)
{
    double most = -INFINITY;
    for (size_t r = 0; r < sizeof reaches_nm / sizeof *reaches_nm; r++) {
        fill(tiles, origin, parameters, reaches_nm[r] / if_nm, bias_sd * bias_sd, s);
        for (size_t i = 0; i < sizeof sds_nm / sizeof *sds_nm; i++) {
            for (size_t k = 0; k < sizeof noises / sizeof *noises; k++) {
                const fnr_deform_model m = {.sd_px = sds_nm[i] / if_nm, .reach_px = reaches_nm[r] / if_nm, .noise = noises[k]};
                double fit;
                if (!decompose(tiles, &m, s, &fit)) {
                    continue;
                }
                fit -= surprise(sds_nm[i], usual_sd_nm) + surprise(reaches_nm[r], usual_reach_nm) + surprise(noises[k], usual_noise);
                if (fit > most) {
                    most = fit;
                    *best = m;
                }
            }
        }
    }
}

/* What all tiles' log scales have in common beyond what their places say; taken away from them. */
static bool take_bias(fnr_deform_tile *tiles, fnr_point origin, int parameters, fnr_deform_model *model, system_of *s)
{
    double unused;
    fill(tiles, origin, parameters, model->reach_px, bias_sd * bias_sd, s);
    if (!decompose(tiles, model, s, &unused)) {
        return false;
    }
    for (size_t i = 0; i < s->m; i++) {
        model->log_scale_bias += bias_sd * bias_sd * s->py[V * i + 3];
    }
    for (size_t i = 0; i < s->m; i++) {
        tiles[s->which[i]].value[3] -= model->log_scale_bias;
        s->y[V * i + 3] -= model->log_scale_bias;
    }
    return true;
}

/* A known tile without its own measurement: the block of the inverse that belongs to it says everything. */
static bool leave_out(const system_of *s, size_t i, double believed, fnr_deform_tile *t)
{
    const size_t d = V * s->m;
    double block[V * V];
    for (size_t a = 0; a < V; a++) {
        for (size_t b = 0; b < V; b++) {
            block[a * V + b] = s->inverse[(V * i + a) * d + V * i + b];
        }
    }
    gsl_matrix_view b = gsl_matrix_view_array(block, V, V);
    if (gsl_linalg_cholesky_decomp1(&b.matrix) != GSL_SUCCESS || gsl_linalg_cholesky_invert(&b.matrix) != GSL_SUCCESS) {
        return false;
    }
    t->chi2 = 0;
    for (size_t a = 0; a < V; a++) {
        double off = 0;
        for (size_t c = 0; c < V; c++) {
            off += block[a * V + c] * s->py[V * i + c];
            t->mean_cov[a * V + c] = block[a * V + c] - believed * t->cov[a * V + c];
        }
        t->mean[a] = t->value[a] - off;
        t->chi2 += off * s->py[V * i + a];
    }
    return true;
}

/* A tile without a measurement. */
static bool predict_unknown(const fnr_deform_tile *tiles, const system_of *s, fnr_point origin, int parameters, const fnr_deform_model *model,
                            fnr_deform_tile *t, fnr_error *err)
{
    const size_t d = V * s->m;
    double *cross = fnr_calloc(2 * V * d + 1, sizeof *cross, "the covariance of a tile", err), block[V * V], own[V * V], more[V * V];
    if (!cross) {
        return false;
    }
    for (size_t j = 0; j < s->m; j++) {
        deformation_block(t, &tiles[s->which[j]], model->reach_px, block);
        section_block(t, &tiles[s->which[j]], origin, parameters, more);
        for (size_t a = 0; a < V; a++) {
            for (size_t b = 0; b < V; b++) {
                cross[a * d + V * j + b] = model->sd_px * model->sd_px * block[a * V + b] + more[a * V + b];
            }
        }
    }
    deformation_block(t, t, model->reach_px, own);
    section_block(t, t, origin, parameters, more);
    gsl_matrix_view c = gsl_matrix_view_array(cross, V, d), ci = gsl_matrix_view_array(cross + V * d, V, d);
    gsl_matrix_view p = gsl_matrix_view_array(s->inverse, d, d), out = gsl_matrix_view_array(t->mean_cov, V, V);
    gsl_vector_view y = gsl_vector_view_array(s->y, d), mean = gsl_vector_view_array(t->mean, V);
    for (size_t a = 0; a < V * V; a++) {
        t->mean_cov[a] = model->sd_px * model->sd_px * own[a] + more[a];
    }
    gsl_blas_dgemm(CblasNoTrans, CblasNoTrans, 1, &c.matrix, &p.matrix, 0, &ci.matrix);
    gsl_blas_dgemm(CblasNoTrans, CblasTrans, -1, &ci.matrix, &c.matrix, 1, &out.matrix);
    gsl_blas_dgemv(CblasNoTrans, 1, &ci.matrix, &y.vector, 0, &mean.vector);
    free(cross);
    return true;
}

/* Everything under one model; tiles that contradict the others lose weight and the rest is done again. */
static bool predict_all(fnr_deform_tile *tiles, size_t n, fnr_point origin, int parameters, const fnr_deform_model *model, system_of *s,
                        fnr_error *err)
{
    bool again = true;
    fill(tiles, origin, parameters, model->reach_px, 0, s);
    for (int round = 0; round < ROUNDS && again; round++) {
        double unused;
        gsl_matrix_view k = gsl_matrix_view_array(s->inverse, V * s->m, V * s->m);
        if (!decompose(tiles, model, s, &unused) || gsl_linalg_cholesky_invert(&k.matrix) != GSL_SUCCESS) {
            return fnr_fail(err, FNR_E_NUMERIC, "the tiles' covariances are not positive definite");
        }
        again = false;
        for (size_t i = 0; i < s->m; i++) {
            fnr_deform_tile *t = &tiles[s->which[i]];
            if (!leave_out(s, i, model->noise * s->inflation[i], t)) {
                return fnr_fail(err, FNR_E_NUMERIC, "the tiles' covariances are not positive definite");
            }
            if (t->chi2 > believed_chi2 && round + 1 < ROUNDS) {
                s->inflation[i] *= t->chi2 / believed_chi2;
                again = true;
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!tiles[i].known && !predict_unknown(tiles, s, origin, parameters, model, &tiles[i], err)) {
            return false;
        }
    }
    return true;
}

bool fnr_deform_predict(fnr_deform_tile *tiles, size_t n, double if_nm, int section_parameters, fnr_deform_model *model, fnr_error *err)
{
    system_of some = {0}, all = {0};
    fnr_point origin = {0, 0};
    bool ok = system_new(tiles, n, MOST_FITTED, &some, err) && system_new(tiles, n, n, &all, err);
    *model = (fnr_deform_model){.sd_px = usual_sd_nm / if_nm, .reach_px = usual_reach_nm / if_nm, .noise = usual_noise};
    if (ok && all.m == 0) {
        ok = fnr_fail(err, FNR_E_NUMERIC, "no tile of the section has a measured place");
    }
    for (size_t i = 0; ok && i < all.m; i++) {
        origin.x += tiles[all.which[i]].centre.x / (double)all.m;
        origin.y += tiles[all.which[i]].centre.y / (double)all.m;
    }
    if (ok) {
        gsl_error_handler_t *old = gsl_set_error_handler_off();
        choose_model(tiles, if_nm, origin, section_parameters, &some, model);
        ok = (section_parameters == 3 || take_bias(tiles, origin, section_parameters, model, &all) ||
              fnr_fail(err, FNR_E_NUMERIC, "the tiles' covariances are not positive definite")) &&
             predict_all(tiles, n, origin, section_parameters, model, &all, err);
        gsl_set_error_handler(old);
    }
    system_free(&some);
    system_free(&all);
    return ok;
}
