/* Internal to register/: a section lies in the montage by one similarity (or affinity) and a smooth deformation.  What is measured at
 * some tiles says where the others lie.
 *
 * The deformation is a Gaussian process: its two components are independent, with a squared-exponential correlation.  Its size and
 * reach, and whether the tiles' covariances are believed, are those under which the measurements are most likely (Rasmussen &
 * Williams 2006, chapters 2 and 5); the section's own parameters are unknown beforehand.
 *
 * A prediction whose rings are a little too thin or too thick fits every tile with a scale that is wrong alike, which no number of
 * tiles averages out; but the distances between tiles show the true scale, so that bias is estimated along with the rest. */
#ifndef FNR_REGISTER_DEFORM_H
#define FNR_REGISTER_DEFORM_H

#include "src/geom/transform.h"

enum { FNR_DEFORM_VALUES = 4 }; /* of a tile: centre x, y [IF px], rotation [rad], log scale; all relative to one first guess */

typedef struct {
    /* In. */
    fnr_point centre, half_x, half_y; /* under the first guess: the centre, half the tile's width and height as vectors [IF px] */
    bool known;                       /* measured: value and its covariance, row-major */
    double value[4], cov[16];
    /* Out: the same from the other tiles only. */
    double mean[4], mean_cov[16];
    double chi2; /* of a known tile against that, 4 degrees of freedom */
} fnr_deform_tile;

typedef struct {
    double sd_px, reach_px; /* of the deformation, per axis [IF px] */
    double noise;           /* by which the covariances (variances) are multiplied */
    double log_scale_bias;  /* of the tiles' own fits, taken away from their values */
} fnr_deform_model;

/* section_parameters: 3 rigid, 4 similarity, 6 affine.  Known tiles that contradict the others get less weight. */
bool fnr_deform_predict(fnr_deform_tile *tiles, size_t n, double if_nm, int section_parameters, fnr_deform_model *model, fnr_error *err);

#endif
