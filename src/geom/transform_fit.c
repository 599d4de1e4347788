/* Closed-form weighted least squares from point pairs. */
#include "src/geom/transform.h"

#include <float.h>
#include <math.h>

/* Weighted second moments of centred pairs (p -> q). */
typedef struct {
    double weight;
    fnr_point p_mean, q_mean;
    double pxx, pxy, pyy;          /* sum w p p^T */
    double qxpx, qxpy, qypx, qypy; /* sum w q p^T */
} moments;

static bool add_means(const fnr_point *from, const fnr_point *to, const double *weights, size_t n, moments *m, fnr_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const double w = weights ? weights[i] : 1.0;
        if (!(w >= 0) || !isfinite(w + from[i].x + from[i].y + to[i].x + to[i].y)) {
            return fnr_fail(err, FNR_E_NUMERIC, "cannot fit a transform: point pair %zu is not finite or has a negative weight",
                            i);
        }
        m->weight += w;
        m->p_mean.x += w * from[i].x;
        m->p_mean.y += w * from[i].y;
        m->q_mean.x += w * to[i].x;
        m->q_mean.y += w * to[i].y;
    }
    if (!(m->weight > 0) || !isfinite(m->weight)) {
        return fnr_fail(err, FNR_E_NUMERIC, "cannot fit a transform to %zu point pairs: their weights add up to %g", n,
                        m->weight);
    }
    m->p_mean.x /= m->weight;
    m->p_mean.y /= m->weight;
    m->q_mean.x /= m->weight;
    m->q_mean.y /= m->weight;
    return true;
}

static bool add_moments(const fnr_point *from, const fnr_point *to, const double *weights, size_t n, moments *m, fnr_error *err)
{
    if (!add_means(from, to, weights, n, m, err)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const double w = weights ? weights[i] : 1.0;
        const double px = from[i].x - m->p_mean.x, py = from[i].y - m->p_mean.y;
        const double qx = to[i].x - m->q_mean.x, qy = to[i].y - m->q_mean.y;
        m->pxx += w * px * px;
        m->pxy += w * px * py;
        m->pyy += w * py * py;
        m->qxpx += w * qx * px;
        m->qxpy += w * qx * py;
        m->qypx += w * qy * px;
        m->qypy += w * qy * py;
    }
    return true;
}

static bool fail_degenerate(size_t n, const char *model, fnr_error *err)
{
    return fnr_fail(err, FNR_E_NUMERIC, "cannot fit %s: the %zu point pairs do not determine it", model, n);
}

/* Linear parts; the translation follows from the means. */

static bool fit_similarity(const moments *m, bool rigid, size_t n, fnr_transform *t, fnr_error *err)
{
    const char *model = rigid ? "a rigid transform" : "a similarity";
    const double spread = m->pxx + m->pyy;
    /* Centring leaves rounding noise of about eps * |mean|: a smaller spread is a single point. */
    const double noise = 8 * DBL_EPSILON * (fabs(m->p_mean.x) + fabs(m->p_mean.y));
    const double dot = m->qxpx + m->qypy, cross = m->qypx - m->qxpy;
    const double length = hypot(dot, cross);
    /* A mirrored copy of an isotropic cloud has dot = cross = 0: no rotation is better than another. */
    const double largest = fabs(m->qxpx) + fabs(m->qypy) + fabs(m->qypx) + fabs(m->qxpy);
    if (!(spread > m->weight * noise * noise) || !(length > 1e-12 * largest)) {
        return fail_degenerate(n, model, err);
    }
    const double scale = rigid ? 1.0 : length / spread;
    t->m00 = t->m11 = scale * dot / length;
    t->m10 = scale * cross / length;
    t->m01 = -t->m10;
    return true;
}

static bool fit_affine(const moments *m, size_t n, fnr_transform *t, fnr_error *err)
{
    const double det = m->pxx * m->pyy - m->pxy * m->pxy, trace = m->pxx + m->pyy;
    const double noise = 8 * DBL_EPSILON * (fabs(m->p_mean.x) + fabs(m->p_mean.y));
    /* det / trace is the smaller moment (about): points on a line leave only rounding there. */
    if (!(trace > 0) || !(det > 1e-14 * trace * trace) || !(det / trace > m->weight * noise * noise)) {
        return fail_degenerate(n, "an affine transform", err);
    }
    t->m00 = (m->qxpx * m->pyy - m->qxpy * m->pxy) / det;
    t->m01 = (m->qxpy * m->pxx - m->qxpx * m->pxy) / det;
    t->m10 = (m->qypx * m->pyy - m->qypy * m->pxy) / det;
    t->m11 = (m->qypy * m->pxx - m->qypx * m->pxy) / det;
    return true;
}

bool fnr_transform_fit(fnr_model_kind kind, const fnr_point *from, const fnr_point *to, const double *weights, size_t n,
                       fnr_transform *out, fnr_error *err)
{
    moments m = {0};
    if (!add_moments(from, to, weights, n, &m, err)) {
        return false;
    }
    fnr_transform t = {.from = FNR_FRAME_ANY, .to = FNR_FRAME_ANY};
    if (kind == FNR_MODEL_AFFINE ? !fit_affine(&m, n, &t, err) : !fit_similarity(&m, kind == FNR_MODEL_RIGID, n, &t, err)) {
        return false;
    }
    t.m02 = m.q_mean.x - (t.m00 * m.p_mean.x + t.m01 * m.p_mean.y);
    t.m12 = m.q_mean.y - (t.m10 * m.p_mean.x + t.m11 * m.p_mean.y);
    if (!fnr_transform_is_finite(&t)) {
        return fnr_fail(err, FNR_E_NUMERIC, "a transform fitted to %zu point pairs is not finite", n);
    }
    *out = t;
    return true;
}
