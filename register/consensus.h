/* What the tiles of one section know together: they share rotation and scale and lie on a known or stitched grid.
 *
 * Frames: TILE = EM tile pixels, SECTION = EM pixels of the section (tile pixel + position), IF = montage pixels. */
#ifndef FNR_REGISTER_CONSENSUS_H
#define FNR_REGISTER_CONSENSUS_H

#include <stddef.h>
#include "src/geom/transform.h"

enum { FNR_CONSENSUS_PLACES = 16 };

typedef struct {
    /* In. */
    bool on_grid;  /* x, y are known */
    double x, y;   /* tile pixel (0, 0) in the section [EM px] */
    int w, h;      /* [EM px] */
    int n_places;  /* candidate places, best first */
    fnr_transform places[FNR_CONSENSUS_PLACES]; /* TILE -> IF */
    double scores[FNR_CONSENSUS_PLACES];        /* in [-1, 1] */
    double sd_px[FNR_CONSENSUS_PLACES];         /* how well each place is known [IF px] */
    double cov[FNR_CONSENSUS_PLACES][16];       /* of {centre x, y [IF px], rotation [rad], log scale}; all 0: taken from sd_px */
    /* Out. */
    int chosen;              /* the place that agrees with the section, -1 none */
    bool has_prediction;     /* the section says where this tile lies */
    fnr_transform predicted; /* TILE -> IF, from the other tiles only ... */
    double predicted_cov[16]; /* ... and how far it may be off */
} fnr_consensus_tile;

typedef struct {
    double tolerance_px;    /* places within this mean distance of the section's prediction agree [IF px] */
    double min_score;       /* places below it have no say */
    double least_sd_px;     /* no place counts as known better than this: the section is deformed */
    double min_independent; /* least support, in tiles' worth of section area that does not overlap */
    int model;              /* fnr_model_kind of the section */
    double nominal_scale;   /* IF px per EM px, which a rigid section keeps */
    double if_nm;
} fnr_consensus_options;

typedef struct {
    bool found;            /* enough tiles agree; without it the tiles' outputs say nothing */
    fnr_transform section; /* SECTION -> IF, least squares over the chosen places */
    int agreeing;          /* tiles with a chosen place */
    double independent;    /* area they cover together, in tiles */
    double rival;          /* support of the best other place of the section, relative to this one's: near 1 = ambiguous */
    double sd_px;             /* cross-validated: how far the chosen places' centres lie from what the other tiles predict (rms per axis) */
    double deformation_px, deformation_reach_px; /* of the section beyond that (deform.h) */
    double log_scale_bias;    /* that the tiles' own fits have in common; predictions are free of it, places are not */
} fnr_consensus;

fnr_consensus_options fnr_consensus_defaults(void);

/* Finds the similarity SECTION -> IF that most tiles support with one of their places, chooses those places, and predicts every
 * tile on the grid from the others.  Tiles off the grid are left alone.  Deterministic. */
bool fnr_consensus_find(fnr_consensus_tile *tiles, size_t n, const fnr_consensus_options *opt, fnr_consensus *out, fnr_error *err);
/* The section and the predictions again, after places or choices were changed. */
bool fnr_consensus_predict(fnr_consensus_tile *tiles, size_t n, const fnr_consensus_options *opt, fnr_consensus *out, fnr_error *err);

/* t moved in the montage: its centre by change[0], change[1], turned about it by change[2] rad, enlarged by exp(change[3]). */
fnr_transform fnr_transform_moved(const fnr_transform *t, int w, int h, const double change[4]);

/* Two estimates of one similarity, each with a covariance of {centre x, y [IF px], rotation [rad], log scale} about the tile's
 * centre (row-major 4 x 4): the inverse-variance mean and its covariance; a shear is a's.  Fails when a covariance is not positive definite. */
bool fnr_fuse_similarities(const fnr_transform *a, const double cov_a[16], const fnr_transform *b, const double cov_b[16], int w, int h,
                           fnr_transform *out, double cov_out[16], fnr_error *err);

/* Root mean square displacement over a w x h tile that a covariance stands for [IF px]; scale: IF px per tile px. */
double fnr_covariance_rms_px(const double cov[16], int w, int h, double scale);

#endif
