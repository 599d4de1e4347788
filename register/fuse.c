/* Combining two uncertain similarities of one tile. */
#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>
#include <math.h>
#include <string.h>

#include "register/consensus.h"

enum { N = 4 };

/* Inverse of a symmetric positive definite matrix; false when it is not. */
static bool invert(const double in[N * N], double out[N * N])
{
    memcpy(out, in, sizeof(double) * N * N);
    gsl_matrix_view m = gsl_matrix_view_array(out, N, N);
    for (int i = 0; i < N * N; i++) {
        if (!isfinite(in[i])) {
            return false;
        }
    }
    return gsl_linalg_cholesky_decomp1(&m.matrix) == GSL_SUCCESS && gsl_linalg_cholesky_invert(&m.matrix) == GSL_SUCCESS;
}

static void multiply(const double m[N * N], const double v[N], double out[N])
{
    for (int i = 0; i < N; i++) {
        out[i] = 0;
        for (int j = 0; j < N; j++) {
            out[i] += m[i * N + j] * v[j];
        }
    }
}

static bool fuse(const double a[N], const double cov_a[N * N], const double b[N], const double cov_b[N * N], double out[N], double cov_out[N * N])
{
    double info_a[N * N], info_b[N * N], info[N * N], wa[N], wb[N];
    if (!invert(cov_a, info_a) || !invert(cov_b, info_b)) {
        return false;
    }
    for (int i = 0; i < N * N; i++) {
        info[i] = info_a[i] + info_b[i];
    }
    multiply(info_a, a, wa);
    multiply(info_b, b, wb);
    for (int i = 0; i < N; i++) {
        wa[i] += wb[i];
    }
    if (!invert(info, cov_out)) {
        return false;
    }
    multiply(cov_out, wa, out);
    return true;
}

fnr_transform fnr_transform_moved(const fnr_transform *t, int w, int h, const double change[4])
{
    const fnr_point c = {(w - 1) / 2.0, (h - 1) / 2.0}, to = fnr_transform_apply(t, c);
    const double a = exp(change[3]) * cos(change[2]), b = exp(change[3]) * sin(change[2]);
    fnr_transform out = *t;
    out.m00 = a * t->m00 - b * t->m10;
    out.m10 = b * t->m00 + a * t->m10;
    out.m01 = a * t->m01 - b * t->m11;
    out.m11 = b * t->m01 + a * t->m11;
    out.m02 = to.x + change[0] - out.m00 * c.x - out.m01 * c.y;
    out.m12 = to.y + change[1] - out.m10 * c.x - out.m11 * c.y;
    return out;
}

bool fnr_fuse_similarities(const fnr_transform *a, const double cov_a[16], const fnr_transform *b, const double cov_b[16], int w, int h,
                           fnr_transform *out, double cov_out[16], fnr_error *err)
{
    const double degree = M_PI / 180;
    const fnr_point c = {(w - 1) / 2.0, (h - 1) / 2.0}, pa = fnr_transform_apply(a, c), pb = fnr_transform_apply(b, c);
    /* b relative to a, so that angles do not wrap */
    double turn = fnr_transform_rotation_deg(b) - fnr_transform_rotation_deg(a);
    turn -= 360 * round(turn / 360);
    const double zero[N] = {0}, rel[N] = {pb.x - pa.x, pb.y - pa.y, turn * degree, log(fnr_transform_scale(b) / fnr_transform_scale(a))};
    double x[N];
    gsl_error_handler_t *old = gsl_set_error_handler_off();
    const bool ok = fuse(zero, cov_a, rel, cov_b, x, cov_out);
    gsl_set_error_handler(old);
    if (!ok) {
        return fnr_fail(err, FNR_E_NUMERIC, "a covariance is not positive definite");
    }
    *out = fnr_transform_moved(a, w, h, x);
    return true;
}

double fnr_covariance_rms_px(const double cov[16], int w, int h, double scale)
{
    /* mean squared distance from the centre of a rectangle: (w^2 + h^2) / 12 */
    const double lever = scale * scale * ((double)w * w + (double)h * h) / 12;
    return sqrt(cov[0] + cov[5] + lever * (cov[10] + cov[15]));
}
