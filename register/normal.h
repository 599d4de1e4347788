/* Internal to register/: the montage and the tile drawn under a pose, both without their local means, and the linear least-squares
 * problem of moving the tile: minimise sum w (gain T(pose) - I)^2.
 *
 * The local mean (weighted, Gaussian) takes what the two images do not share with it: background and light from out of focus.  On the
 * montage's own pixels the intensities are not compressed there, which would lift the camera's noise and widen bright rings; instead
 * the gain is local too: a sheath that is brighter or fainter than predicted pulls at nothing.  It is the regression of I on T around
 * each pixel, never negative. */
#ifndef FNR_REGISTER_NORMAL_H
#define FNR_REGISTER_NORMAL_H

#include "register/match.h"

enum { FNR_NORMAL_UNKNOWNS = FNR_POSE_PARAMETERS + 1 }; /* the pose's parameters (pose.h), then a gain for the whole tile */

/* Everything at one pose; the pixels are in the scratch: image, drawn and row[] without local means, weight times valid. */
typedef struct {
    fnr_pose pose;
    fnr_window win;
    int level, parameters;
    bool linear;     /* not compressed, local gain; otherwise one gain */
    fnr_sums global; /* of the images as they are */
    fnr_sums detail; /* without local means */
    double overlap;  /* fraction of the tile's area on montage pixels */
    double match;    /* correlation without local means, after the gain: 1 when T explains everything, 0 nothing */
} fnr_view_of_pose;

typedef struct {
    double h[FNR_NORMAL_UNKNOWNS][FNR_NORMAL_UNKNOWNS], g[FNR_NORMAL_UNKNOWNS]; /* lower triangle; right-hand side */
} fnr_normal;

/* Fills value and valid (0: no pixel, up to 1: how much it counts) of the scratch with the montage, as fnr_normal_view wants it. */
bool fnr_normal_montage(const fnr_match *m, int level, const fnr_window *win, const fnr_scratch *s, fnr_error *err);

/* Draws the tile under v->pose, whose window is in the scratch; gain holds each pixel's.  rows: also the derivatives of T, and pull,
 * with which they make the gradient. */
bool fnr_normal_view(const fnr_match *m, const fnr_scratch *s, bool rows, fnr_view_of_pose *v, fnr_error *err);

/* Turns the rows into the derivatives of gain times T, without what a change of the gain would explain. */
bool fnr_normal_project(const fnr_match *m, const fnr_view_of_pose *v, const fnr_scratch *s, fnr_error *err);

static inline int fnr_normal_unknowns(const fnr_view_of_pose *v)
{
    return v->parameters + !v->linear;
}

void fnr_normal_make(const fnr_view_of_pose *v, const fnr_scratch *s, fnr_normal *eq);

/* Solves (H + lambda diag H) x = g by Cholesky; false when it is not positive definite. */
bool fnr_normal_solve(const fnr_normal *n, int size, double lambda, double x[FNR_NORMAL_UNKNOWNS]);

#endif
