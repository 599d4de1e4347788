/* Internal to register/: the montage and the tile drawn under a pose, both without their local means, and how well and in which
 * direction the tile should move: minimise sum w (gain T(pose) - I)^2.
 *
 * The local mean (weighted, Gaussian) takes what the two images do not share with it: background and light from out of focus.  On the
 * montage's own pixels the intensities are not compressed there, which would lift the camera's noise and widen bright rings; instead
 * the gain is local too: a sheath that is brighter or fainter than predicted pulls at nothing.  It is the regression of I on T around
 * each pixel, never negative. */
#ifndef FNR_REGISTER_NORMAL_H
#define FNR_REGISTER_NORMAL_H

#include "register/match.h"

/* Everything at one pose; the pixels are in the scratch: image and drawn without local means, weight times valid. */
typedef struct {
    fnr_pose pose;
    fnr_window win;
    int level, parameters;
    bool linear;     /* not compressed, local gain; otherwise one gain */
    fnr_sums global; /* of the images as they are; not filled when linear */
    fnr_sums detail; /* without local means */
    double overlap;  /* fraction of the tile's area on montage pixels */
    double match;    /* correlation without local means, after the gain: 1 when T explains everything, 0 nothing */
} fnr_view_of_pose;

/* About the pose's parameters (pose.h): minus half the gradient, and the Gauss-Newton matrix (lower triangle). */
typedef struct {
    double g[FNR_POSE_PARAMETERS], h[FNR_POSE_PARAMETERS][FNR_POSE_PARAMETERS];
} fnr_normal;

/* Fills value and valid (0: no pixel, up to 1: how much it counts) of the scratch with the montage, as fnr_normal_view wants it. */
bool fnr_normal_montage(const fnr_match *m, int level, const fnr_window *win, const fnr_scratch *s, fnr_error *err);

/* Draws the tile under v->pose, whose window is in the scratch; gain holds each pixel's.  slopes: also gx, gy and pull, with which
 * fnr_normal_gradient works. */
bool fnr_normal_view(const fnr_match *m, const fnr_scratch *s, bool slopes, fnr_view_of_pose *v, fnr_error *err);

/* g[0 ... parameters - 1]: minus half the gradient of sum w (gain T - I)^2, gains and local means following the pose, weights not. */
void fnr_normal_gradient(const fnr_view_of_pose *v, const fnr_scratch *s, double g[FNR_POSE_PARAMETERS]);

/* row[]: the derivatives of T without local means, one row per parameter, from gx and gy. */
bool fnr_normal_rows(const fnr_match *m, const fnr_view_of_pose *v, const fnr_scratch *s, fnr_error *err);

/* From the rows: sum w (gain dT)(gain dT)', without what one common gain would explain where there is one. */
void fnr_normal_curvature(const fnr_view_of_pose *v, const fnr_scratch *s, double h[FNR_POSE_PARAMETERS][FNR_POSE_PARAMETERS]);

/* Turns the rows into the derivatives of gain times T, without what a change of the gain would explain. */
bool fnr_normal_project(const fnr_match *m, const fnr_view_of_pose *v, const fnr_scratch *s, fnr_error *err);

/* Solves (H + lambda diag H) x = g for the first `size` parameters by Cholesky; false when it is not positive definite. */
bool fnr_normal_solve(const fnr_normal *n, int size, double lambda, double x[FNR_POSE_PARAMETERS]);

#endif
