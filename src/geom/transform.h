/* Affine maps between named frames.  q = A p on pixel indices; integer = pixel centre; x right, y down.
 *
 * Text form everywhere: column-major `m00 m10 m01 m11 m02 m12`, as TrakEM2, render and the paper's tables write it:
 *     x' = m00 x + m01 y + m02
 *     y' = m10 x + m11 y + m12 */
#ifndef FNR_GEOM_TRANSFORM_H
#define FNR_GEOM_TRANSFORM_H

#include <stddef.h>
#include "src/core/err.h"

typedef enum {
    FNR_FRAME_ANY = 0, /* matches every frame (the identity, matrices read from bare text) */
    FNR_FRAME_TILE,    /* pixels of an EM tile as it lies on disk */
    FNR_FRAME_NET,     /* pixels of that tile resampled to the network's pixel size */
    FNR_FRAME_IF,      /* pixels of the immunofluorescence montage */
    FNR_FRAME_SECTION, /* EM section: stage or stitched coordinates in EM pixels */
    FNR_FRAME_WORLD    /* a TrakEM2 layer */
} fnr_frame;

typedef struct {
    double m00, m10, m01, m11, m02, m12;
    fnr_frame from, to;
} fnr_transform;

typedef struct {
    double x, y;
} fnr_point;

fnr_transform fnr_transform_identity(fnr_frame frame);
/* scale * rotation(angle) then translation: [s cos, -s sin; s sin, s cos] p + t; angle in degrees, positive turns x towards y. */
fnr_transform fnr_transform_similarity(double scale, double angle_deg, double tx, double ty, fnr_frame from, fnr_frame to);
/* Resampling onto another pixel grid over the same area (corner (-0.5,-0.5) stays): p' = (p + 0.5) * s - 0.5 with sx, sy =
 * nm_from / nm_to, or exactly (width after) / (width before) when the extent was rounded to whole pixels. */
fnr_transform fnr_transform_resample(double sx, double sy, fnr_frame from, fnr_frame to);

fnr_point fnr_transform_apply(const fnr_transform *t, fnr_point p);
/* out = second o first (first is applied first). Fails when first->to and second->from are different named frames. */
bool fnr_transform_compose(const fnr_transform *second, const fnr_transform *first, fnr_transform *out, fnr_error *err);
/* Fails (FNR_E_NUMERIC) when singular. */
bool fnr_transform_invert(const fnr_transform *t, fnr_transform *out, fnr_error *err);

/* sqrt(|det|), and the rotation of the nearest rotation matrix [degrees in (-180, 180]]. */
double fnr_transform_scale(const fnr_transform *t);
double fnr_transform_rotation_deg(const fnr_transform *t);
bool fnr_transform_is_mirrored(const fnr_transform *t);
bool fnr_transform_is_finite(const fnr_transform *t);
/* 0 for a similarity; |shear| grows with the departure: ||A - nearest similarity||_F / scale. */
double fnr_transform_shear(const fnr_transform *t);

/* Mean over the area of a w x h pixel image of |a(p) - b(p)|, in units of the target frame.  Gauss-Legendre on 5 x 5 panels of
 * 5 x 5 points: the kink where the two maps agree costs less than 0.02 %. */
double fnr_transform_mean_distance(const fnr_transform *a, const fnr_transform *b, int w, int h);

/* "m00 m10 m01 m11 m02 m12" with 17 significant digits / reading six finite numbers, spaces or commas between. */
#define FNR_TRANSFORM_TEXT 192
void fnr_transform_format(const fnr_transform *t, char buf[FNR_TRANSFORM_TEXT]);
bool fnr_transform_parse(const char *text, fnr_frame from, fnr_frame to, fnr_transform *out, fnr_error *err);

/* Least squares of n weighted pairs from[i] -> to[i] (weights NULL = 1), closed form (Umeyama 1991 without reflection for the
 * similarity).  Fails when the points do not determine the model.  The frames of *out are FNR_FRAME_ANY: the caller names them.
 */
typedef enum { FNR_MODEL_RIGID, FNR_MODEL_SIMILARITY, FNR_MODEL_AFFINE } fnr_model_kind;
bool fnr_transform_fit(fnr_model_kind kind, const fnr_point *from, const fnr_point *to, const double *weights, size_t n,
                       fnr_transform *out, fnr_error *err);

#endif
