/* Internal to register/: one tile against one montage; the score, and the steps of the search. */
#ifndef FNR_REGISTER_MATCH_H
#define FNR_REGISTER_MATCH_H

#include "register/target.h"
#include "register/template.h"

/* What every step looks at. Read-only. */
typedef struct {
    const fnr_target *target;
    const fnr_template *tpl;
    const fnr_register_options *opt;
    const fnr_cancel *cancel;
    bool local; /* the fine fit looks at what differs from its surroundings (normal.h); false while many candidates are compared */
} fnr_match;

/* Weighted sums over the pixels that both images have. */
typedef struct {
    double n, t, i, tt, ii, ti;
} fnr_sums;

/* Standard deviation of montage intensities that counts as noise: keeps flat areas from scoring high by chance. */
#define FNR_NOISE_FLOOR 0.02

/* How far beyond the range of scales the last steps may go: a scale that ends there is at the edge, and doubtful. */
#define FNR_SCALE_SLACK 0.005

/* Normalised cross-correlation in [-1, 1]; 0 when there is nothing to correlate. */
double fnr_sums_score(const fnr_sums *s);

/* The sums over n pixels, in an order that depends on nothing else. */
fnr_sums fnr_sums_of(const float *weight, const float *t, const float *i, size_t n);

/* Buffers for one window; grows as needed. */
typedef struct {
    size_t capacity;
    float *block;                                    /* owned */
    float *value, *valid, *drawn, *weight, *gx, *gy; /* capacity floats each */
    float *image, *mass, *work, *room, *gain, *energy, *pull, *row[FNR_POSE_PARAMETERS]; /* of normal.h */
} fnr_scratch;
bool fnr_scratch_fit(fnr_scratch *s, size_t pixels, fnr_error *err);
void fnr_scratch_free(fnr_scratch *s);

typedef struct {
    fnr_pose pose;
    double score;
    double detail;  /* the same without each image's local mean: what the fine fit maximises; 0 before it */
    double overlap; /* fraction of the tile's area on montage pixels */
} fnr_hit;

/* Score of hit->pose at a level (>= 0), written into hit. */
bool fnr_match_score(const fnr_match *m, int level, fnr_hit *hit, fnr_scratch *s, fnr_error *err);

/* --- coarse.c: every rotation, scale and place at the target's coarsest level.  *hits: best first, distinct in place or
 * rotation, at most `keep`; caller frees. */
bool fnr_coarse_search(const fnr_match *m, int keep, fnr_hit **hits, size_t *count, fnr_error *err);

/* --- refine.c: moves hit to the best whole-pixel shift within `reach` pixels of a level. */
bool fnr_refine_shift(const fnr_match *m, int level, int reach, fnr_hit *hit, fnr_scratch *s, fnr_error *err);

/* --- fine.c: maximises the score over the model's first `parameters` parameters with sub-pixel steps, within the range of
 * scales, until a step moves the tile by less than `tolerance_px` [IF px]; never makes it worse. */
bool fnr_fine(const fnr_match *m, int level, int parameters, double tolerance_px, fnr_hit *hit, fnr_scratch *s, fnr_error *err);

/* --- uncertainty.c: covariance of {centre x, y [IF px], rotation [rad], log scale} at a fitted pose, from the residuals themselves.
 * *determined is false when the content does not fix all four. */
bool fnr_pose_covariance(const fnr_match *m, const fnr_pose *pose, double cov[16], bool *determined, fnr_error *err);

/* --- flow.c */
typedef struct {
    bool found;     /* false: no texture to stand on, and nothing else is filled */
    fnr_pose pose;  /* robust fit of the flow */
    double inliers; /* weighted fraction of vectors within 1 IF px of it */
    double rms_px;  /* of those, weighted [IF px] */
} fnr_flow_fit;
/* Residual optical flow between the tile drawn under `pose` and the montage, at half an IF pixel, and the model that explains it. */
bool fnr_flow(const fnr_match *m, const fnr_pose *pose, fnr_flow_fit *out, fnr_error *err);

/* --- sharpness.c: the fit on the montage's own pixels, under the blur of the prediction that suits the montage.
 *
 * A montage may be blurrier than the one the network learnt from (wide field instead of deconvolved).  Matched against the sharp
 * prediction, its rings look larger than they are, and the scale comes out too large.  Fits hit under no blur and under more and more,
 * as long as that gains (or under m->opt->blur_px alone, when it is known), and keeps the best.  *blurred is used by m afterwards and
 * owned by the caller (all zero when no blur helps).  flow (NULL: not wanted): of that tile around hit as it came. */
bool fnr_match_sharpness(fnr_match *m, const fnr_view *prediction, fnr_hit *hit, fnr_template *blurred, double *blur_px, fnr_flow_fit *flow,
                         fnr_error *err);

/* --- content.c */
typedef struct {
    double fraction; /* of pixels above content_level of a typical bright structure, over the background */
    double contrast; /* brightness of that structure above the background [units of the prediction] */
} fnr_content;
bool fnr_content_measure(const fnr_view *prediction, double level, double if_nm, fnr_content *out, fnr_error *err);

/* --- probability.c: fills probability and probability_5px from the measurements in *r. */
void fnr_probability_of(fnr_registration *r);

/* --- verdict.c: fills verdict and reason from the measurements in *r. */
void fnr_verdict_decide(const fnr_register_options *opt, fnr_registration *r);

#endif
