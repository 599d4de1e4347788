/* Internal to register/: the montage and the tile drawn under a pose, both without their local means, and the linear least-squares
 * problem of moving the tile: minimise sum w (gain T(pose) - I)^2.
 *
 * The local mean (weighted, Gaussian) takes what the two images do not share with it: background, light from out of focus, and a
 * sheath that is brighter than predicted. */
#ifndef FNR_REGISTER_NORMAL_H
#define FNR_REGISTER_NORMAL_H

#include "register/match.h"

enum { FNR_NORMAL_UNKNOWNS = FNR_POSE_PARAMETERS + 1 }; /* the pose's parameters (pose.h), then the gain */

/* Everything at one pose; the pixels are in the scratch: image, drawn and row[] without local means, weight times valid. */
typedef struct {
    fnr_pose pose;
    fnr_window win;
    int level, parameters;
    fnr_sums global; /* of the images as they are */
    fnr_sums detail; /* without local means */
    double overlap;  /* fraction of the tile's area on montage pixels */
    double gain;
} fnr_view_of_pose;

typedef struct {
    double h[FNR_NORMAL_UNKNOWNS][FNR_NORMAL_UNKNOWNS], g[FNR_NORMAL_UNKNOWNS]; /* lower triangle; right-hand side */
} fnr_normal;

/* The scratch holds the montage in value and valid; draws the tile under v->pose.  rows: also the derivatives. */
bool fnr_normal_view(const fnr_match *m, const fnr_scratch *s, bool rows, fnr_view_of_pose *v, fnr_error *err);

void fnr_normal_make(const fnr_view_of_pose *v, const fnr_scratch *s, fnr_normal *eq);

/* Solves (H + lambda diag H) x = g by Cholesky; false when it is not positive definite. */
bool fnr_normal_solve(const fnr_normal *n, int size, double lambda, double x[FNR_NORMAL_UNKNOWNS]);

#endif
