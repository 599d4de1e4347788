#include "register/pose.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

fnr_pose fnr_pose_similarity(const fnr_tile_size *s, double cx, double cy, double scale, double rotation_deg)
{
    const double g = 1.0 / (s->nominal * scale), a = rotation_deg * pi / 180.0;
    return (fnr_pose){.cx = cx, .cy = cy, .m00 = g * cos(a), .m01 = g * sin(a), .m10 = -g * sin(a), .m11 = g * cos(a)};
}

double fnr_pose_scale(const fnr_pose *p, const fnr_tile_size *s)
{
    return 1.0 / (sqrt(fabs(p->m00 * p->m11 - p->m01 * p->m10)) * s->nominal);
}

double fnr_pose_rotation_deg(const fnr_pose *p)
{
    const double a = -atan2(p->m10 - p->m01, p->m00 + p->m11) * 180.0 / pi;
    return a <= -180.0 ? a + 360.0 : a;
}

bool fnr_pose_to_transform(const fnr_pose *p, const fnr_tile_size *s, fnr_transform *out, fnr_error *err)
{
    const double px = 0.5 * (s->w - 1), py = 0.5 * (s->h - 1);
    const fnr_transform inverse = {.m00 = p->m00,
                                   .m01 = p->m01,
                                   .m10 = p->m10,
                                   .m11 = p->m11,
                                   .m02 = px - p->m00 * p->cx - p->m01 * p->cy,
                                   .m12 = py - p->m10 * p->cx - p->m11 * p->cy,
                                   .from = FNR_FRAME_IF,
                                   .to = FNR_FRAME_NET};
    return fnr_transform_invert(&inverse, out, err);
}

bool fnr_pose_from_transform(const fnr_transform *t, const fnr_tile_size *s, fnr_pose *out, fnr_error *err)
{
    fnr_transform inverse;
    if (!fnr_transform_invert(t, &inverse, err)) {
        return false;
    }
    const fnr_point c = fnr_transform_apply(t, (fnr_point){0.5 * (s->w - 1), 0.5 * (s->h - 1)});
    *out = (fnr_pose){.cx = c.x, .cy = c.y, .m00 = inverse.m00, .m01 = inverse.m01, .m10 = inverse.m10, .m11 = inverse.m11};
    return true;
}

double fnr_pose_distance(const fnr_pose *a, const fnr_pose *b, const fnr_tile_size *s)
{
    fnr_transform ta, tb;
    if (!fnr_pose_to_transform(a, s, &ta, NULL) || !fnr_pose_to_transform(b, s, &tb, NULL)) {
        return INFINITY;
    }
    return fnr_transform_mean_distance(&ta, &tb, s->w, s->h);
}

int fnr_pose_parameter_count(int model)
{
    return model == FNR_MODEL_RIGID ? 3 : model == FNR_MODEL_AFFINE ? 6 : 4;
}

/* M' = E M with E the inverse of the change in tile coordinates: a tile turned by +r shows its pixels turned by -r. */
fnr_pose fnr_pose_changed(const fnr_pose *p, const double change[FNR_POSE_PARAMETERS])
{
    const double g = exp(-change[3]), c = g * cos(change[2]), s = g * sin(change[2]);
    const double h = sqrt(1.0 + change[4] * change[4] + change[5] * change[5]); /* det of the shear part stays 1 */
    const double a = h + change[4], b = change[5], d = h - change[4];
    const double e00 = a * c - b * s, e01 = a * s + b * c, e10 = b * c - d * s, e11 = b * s + d * c;
    return (fnr_pose){.cx = p->cx + change[0],
                      .cy = p->cy + change[1],
                      .m00 = e00 * p->m00 + e01 * p->m10,
                      .m01 = e00 * p->m01 + e01 * p->m11,
                      .m10 = e10 * p->m00 + e11 * p->m10,
                      .m11 = e10 * p->m01 + e11 * p->m11};
}

void fnr_pose_half_extent(const fnr_pose *p, const fnr_tile_size *s, double *hx, double *hy)
{
    const double det = p->m00 * p->m11 - p->m01 * p->m10, hw = 0.5 * s->w, hh = 0.5 * s->h;
    *hx = (fabs(p->m11) * hw + fabs(p->m01) * hh) / fabs(det);
    *hy = (fabs(p->m10) * hw + fabs(p->m00) * hh) / fabs(det);
}
