/* Internal to register/: normal equations of sum w (gain T(pose) + offset - I)^2, linearised around a pose.
 *
 * Unknowns: the pose's parameters (pose.h), then gain, then offset. */
#ifndef FNR_REGISTER_NORMAL_H
#define FNR_REGISTER_NORMAL_H

#include "register/match.h"

enum { FNR_NORMAL_UNKNOWNS = FNR_POSE_PARAMETERS + 2 };

typedef struct {
    double h[FNR_NORMAL_UNKNOWNS][FNR_NORMAL_UNKNOWNS], g[FNR_NORMAL_UNKNOWNS]; /* lower triangle; right-hand side */
} fnr_normal;

/* Where and how to linearise: gain and offset fit best at the pose. */
typedef struct {
    fnr_pose pose;
    fnr_window win;
    int level, parameters;
    double gain, offset;
} fnr_normal_frame;

/* Sums over what the scratch holds (drawn, weight, value, valid); area: sum of the weights, montage or not. */
void fnr_normal_sums(const fnr_scratch *s, size_t n, fnr_sums *sums, double *area);

fnr_normal_frame fnr_normal_frame_of(const fnr_pose *pose, const fnr_window *win, int level, int parameters, const fnr_sums *sums);
/* Derivatives of one pixel's model value by the unknowns, and its residual; returns its weight, 0: nothing filled. */
double fnr_normal_row(const fnr_normal_frame *f, const fnr_scratch *s, int i, int j, double row[FNR_NORMAL_UNKNOWNS], double *residual);

/* The scratch holds the drawing of `pose` with its derivatives. */
void fnr_normal_make(const fnr_pose *pose, const fnr_window *win, int level, int parameters, const fnr_scratch *s, const fnr_sums *sums,
                     fnr_normal *eq);

/* Solves (H + lambda diag H) x = g by Cholesky; false when it is not positive definite. */
bool fnr_normal_solve(const fnr_normal *n, int size, double lambda, double x[FNR_NORMAL_UNKNOWNS]);

#endif
