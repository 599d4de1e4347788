/* Internal to register/: where a tile lies in the montage, written so that its parameters hardly influence each other. */
#ifndef FNR_REGISTER_POSE_H
#define FNR_REGISTER_POSE_H

#include "src/geom/transform.h"

/* The tile's centre c lies at IF pixel (cx, cy), and an IF pixel q shows the prediction at p = p_centre + M (q - c).
 * M = {m00, m01, m10, m11} [NET px per IF px]. */
typedef struct {
    double cx, cy;
    double m00, m01, m10, m11;
} fnr_pose;

/* Sizes that every step needs: the prediction's extents, and IF px per NET px at nominal scale. */
typedef struct {
    int w, h;
    double nominal; /* net_nm / if_nm */
} fnr_tile_size;

fnr_pose fnr_pose_similarity(const fnr_tile_size *s, double cx, double cy, double scale, double rotation_deg);
double fnr_pose_scale(const fnr_pose *p, const fnr_tile_size *s); /* relative to nominal */
double fnr_pose_rotation_deg(const fnr_pose *p);                  /* (-180, 180] */
/* NET -> IF; fails when the pose is singular. */
bool fnr_pose_to_transform(const fnr_pose *p, const fnr_tile_size *s, fnr_transform *out, fnr_error *err);
bool fnr_pose_from_transform(const fnr_transform *t, const fnr_tile_size *s, fnr_pose *out, fnr_error *err);
/* Mean distance over the tile [IF px]. */
double fnr_pose_distance(const fnr_pose *a, const fnr_pose *b, const fnr_tile_size *s);

/* Parameters of a small change: centre x, y [IF px]; rotation [rad]; log scale; two shears. */
#define FNR_POSE_PARAMETERS 6
/* 2 + the linear parameters of a fnr_model_kind, in the order above (rigid leaves scale as it is). */
int fnr_pose_parameter_count(int model);
fnr_pose fnr_pose_changed(const fnr_pose *p, const double change[FNR_POSE_PARAMETERS]);

/* Half the tile's footprint along IF x and y [IF px]. */
void fnr_pose_half_extent(const fnr_pose *p, const fnr_tile_size *s, double *hx, double *hy);

#endif
