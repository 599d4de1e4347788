#include "src/geom/transform.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double deg = 3.14159265358979323846 / 180.0;

fnr_transform fnr_transform_identity(fnr_frame frame)
{
    return (fnr_transform){.m00 = 1, .m11 = 1, .from = frame, .to = frame};
}

fnr_transform fnr_transform_similarity(double scale, double angle_deg, double tx, double ty, fnr_frame from, fnr_frame to)
{
    const double c = scale * cos(angle_deg * deg), s = scale * sin(angle_deg * deg);
    return (fnr_transform){.m00 = c, .m10 = s, .m01 = -s, .m11 = c, .m02 = tx, .m12 = ty, .from = from, .to = to};
}

fnr_transform fnr_transform_resample(double sx, double sy, fnr_frame from, fnr_frame to)
{
    return (fnr_transform){.m00 = sx, .m11 = sy, .m02 = 0.5 * sx - 0.5, .m12 = 0.5 * sy - 0.5, .from = from, .to = to};
}

fnr_point fnr_transform_apply(const fnr_transform *t, fnr_point p)
{
    return (fnr_point){t->m00 * p.x + t->m01 * p.y + t->m02, t->m10 * p.x + t->m11 * p.y + t->m12};
}

static const char *frame_name(fnr_frame frame)
{
    static const char *const names[] = {"any", "tile", "net", "if", "section", "world"};
    return (unsigned)frame < sizeof names / sizeof *names ? names[frame] : "unknown";
}

bool fnr_transform_compose(const fnr_transform *second, const fnr_transform *first, fnr_transform *out, fnr_error *err)
{
    if (first->to != FNR_FRAME_ANY && second->from != FNR_FRAME_ANY && first->to != second->from) {
        return fnr_fail(err, FNR_E_INTERNAL, "cannot apply a transform %s -> %s after one %s -> %s: the frames do not meet",
                        frame_name(second->from), frame_name(second->to), frame_name(first->from), frame_name(first->to));
    }
    const fnr_transform r = {
        .m00 = second->m00 * first->m00 + second->m01 * first->m10,
        .m10 = second->m10 * first->m00 + second->m11 * first->m10,
        .m01 = second->m00 * first->m01 + second->m01 * first->m11,
        .m11 = second->m10 * first->m01 + second->m11 * first->m11,
        .m02 = second->m00 * first->m02 + second->m01 * first->m12 + second->m02,
        .m12 = second->m10 * first->m02 + second->m11 * first->m12 + second->m12,
        .from = first->from,
        .to = second->to,
    };
    *out = r;
    return true;
}

static double determinant(const fnr_transform *t)
{
    return t->m00 * t->m11 - t->m01 * t->m10;
}

static double norm_squared(const fnr_transform *t)
{
    return t->m00 * t->m00 + t->m10 * t->m10 + t->m01 * t->m01 + t->m11 * t->m11;
}

bool fnr_transform_invert(const fnr_transform *t, fnr_transform *out, fnr_error *err)
{
    const double det = determinant(t);
    /* Relative to its entries, so that a nanometre-to-metre scale still inverts while a collapsed matrix does not. */
    if (!(fabs(det) > 4 * DBL_EPSILON * norm_squared(t)) || !isfinite(det)) {
        char text[FNR_TRANSFORM_TEXT];
        fnr_transform_format(t, text);
        return fnr_fail(err, FNR_E_NUMERIC, "the transform '%s' has no inverse", text);
    }
    fnr_transform r = {
        .m00 = t->m11 / det, .m10 = -t->m10 / det, .m01 = -t->m01 / det, .m11 = t->m00 / det, .from = t->to, .to = t->from};
    r.m02 = -(r.m00 * t->m02 + r.m01 * t->m12);
    r.m12 = -(r.m10 * t->m02 + r.m11 * t->m12);
    if (!fnr_transform_is_finite(&r)) {
        return fnr_fail(err, FNR_E_NUMERIC, "the inverse of a transform is not finite");
    }
    *out = r;
    return true;
}

double fnr_transform_scale(const fnr_transform *t)
{
    return sqrt(fabs(determinant(t)));
}

double fnr_transform_rotation_deg(const fnr_transform *t)
{
    /* The rotation R that maximises trace(R^T A). */
    const double angle = atan2(t->m10 - t->m01, t->m00 + t->m11) / deg;
    return angle <= -180.0 ? 180.0 : angle;
}

bool fnr_transform_is_mirrored(const fnr_transform *t)
{
    return determinant(t) < 0;
}

bool fnr_transform_is_finite(const fnr_transform *t)
{
    return isfinite(t->m00) && isfinite(t->m10) && isfinite(t->m01) && isfinite(t->m11) && isfinite(t->m02) && isfinite(t->m12);
}

double fnr_transform_shear(const fnr_transform *t)
{
    /* The nearest similarity is [a -b; b a] with a = (m00 + m11) / 2, b = (m10 - m01) / 2; what it leaves is [p q; q -p]. */
    const double p = 0.5 * (t->m00 - t->m11), q = 0.5 * (t->m01 + t->m10);
    return sqrt(2 * (p * p + q * q)) / fnr_transform_scale(t);
}

double fnr_transform_mean_distance(const fnr_transform *a, const fnr_transform *b, int w, int h)
{
    /* Five-point Gauss-Legendre rule on [-1, 1] (Abramowitz & Stegun, table 25.4). */
    static const double node[5] = {-0.906179845938663993, -0.538469310105683091, 0, 0.538469310105683091, 0.906179845938663993};
    static const double weight[5] = {0.236926885056189088, 0.478628670499366468, 0.568888888888888889, 0.478628670499366468,
                                     0.236926885056189088};
    enum { PANELS = 5, NODES = PANELS * 5 };
    double sum = 0;
    for (int j = 0; j < NODES; j++) {
        for (int i = 0; i < NODES; i++) {
            /* The image covers [-0.5, w - 0.5] x [-0.5, h - 0.5]. */
            const double u = (i / 5 + 0.5 + 0.5 * node[i % 5]) / PANELS, v = (j / 5 + 0.5 + 0.5 * node[j % 5]) / PANELS;
            const fnr_point p = {w * u - 0.5, h * v - 0.5};
            const fnr_point pa = fnr_transform_apply(a, p), pb = fnr_transform_apply(b, p);
            sum += weight[i % 5] * weight[j % 5] * hypot(pa.x - pb.x, pa.y - pb.y);
        }
    }
    return sum / (4 * PANELS * PANELS);
}

void fnr_transform_format(const fnr_transform *t, char buf[FNR_TRANSFORM_TEXT])
{
    snprintf(buf, FNR_TRANSFORM_TEXT, "%.17g %.17g %.17g %.17g %.17g %.17g", t->m00, t->m10, t->m01, t->m11, t->m02, t->m12);
}

bool fnr_transform_parse(const char *text, fnr_frame from, fnr_frame to, fnr_transform *out, fnr_error *err)
{
    static const char separators[] = " ,\t\r\n";
    double m[6];
    const char *p = text + strspn(text, separators);
    for (int i = 0; i < 6; i++) {
        char *end;
        m[i] = strtod(p, &end);
        const size_t gap = strspn(end, separators);
        const bool ended = gap > 0 || *end == '\0';
        if (end == p || !ended || !isfinite(m[i])) {
            return fnr_fail(err, FNR_E_FORMAT,
                            "'%.200s' is not a transform: six finite numbers 'm00 m10 m01 m11 m02 m12' are needed", text);
        }
        p = end + gap;
    }
    if (*p) {
        return fnr_fail(err, FNR_E_FORMAT, "'%.200s' is not a transform: text follows its six numbers", text);
    }
    *out = (fnr_transform){m[0], m[1], m[2], m[3], m[4], m[5], from, to};
    return true;
}
