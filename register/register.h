/* Registration of one predicted tile to an MBP montage.
 *
 * Frames: NET = prediction pixels (network pixel size), IF = montage pixels.  All results are maps NET -> IF. */
#ifndef FNR_REGISTER_REGISTER_H
#define FNR_REGISTER_REGISTER_H

#include "src/core/cancel.h"
#include "src/geom/transform.h"
#include "src/image/view.h"

typedef enum {
    FNR_REGISTERED,
    FNR_DOUBTFUL,
    FNR_NO_CONTENT,
    FNR_FAILED,
    FNR_BY_NEIGHBOURS, /* placed by the rest of the section: given by the caller that knows it, never by fnr_register_tile */
    FNR_UNFINISHED,    /* not looked at yet: given by the caller that was stopped */
    FNR_VERDICTS       /* how many there are */
} fnr_verdict;
const char *fnr_verdict_name(fnr_verdict v); /* "registered", "doubtful", "no-content", "failed", "by-neighbours", "unfinished" */

typedef struct {
    double scale_min, scale_max;               /* relative to nominal: 0.92 .. 1.03 */
    double rotation_min_deg, rotation_max_deg; /* -180 .. 180: all */
    double content_level, content_fraction;    /* paper: more than 1 % of pixels above 50 % of the maximum */
    int candidates;                            /* coarse peaks kept */
    double min_score;                          /* final correlation below this is doubtful */
    double min_peak_ratio;                     /* best / second coarse candidate below this is doubtful */
    double max_flow_px;                        /* residual flow considered [IF px] */
    int model;                                 /* fnr_model_kind of the final fit; rigid keeps the scale nominal */
    /* Zero means the default for those below, but not for content_contrast. */
    double content_contrast; /* maximum over background that counts as myelin [units of the prediction]; 0 takes anything */
    double min_overlap;      /* fraction of a tile that must lie on the montage */
    double min_flow_inliers; /* smaller is doubtful */
    double min_probability;       /* of being right within 1 px: smaller is doubtful; 0 asks for none */
    double max_expected_error_px; /* a place known less well than this is doubtful */
    bool invert;             /* bright and dark are exchanged in the montage */
    bool blur_known;         /* the montage's blur beyond the prediction's is blur_px, found from other tiles; else each tile finds its own */
    double blur_px;          /* [IF px] */
    double compression_knee; /* intensities x become x / (x + knee * typical sheath) before they are compared */
} fnr_register_options;

/* What the program uses unless told otherwise. */
fnr_register_options fnr_register_defaults(void);

/* A montage prepared once for many tiles: normalised float pixels, pyramid, spectra, masked sums. Read-only afterwards, so tiles
 * may run in parallel. */
typedef struct fnr_target fnr_target;
/* Copies what it needs of the montage (any dtype, single channel). if_nm: pixel size. Fails when it is empty or constant. */
fnr_target *fnr_target_new(const fnr_view *montage, double if_nm, const fnr_register_options *opt, fnr_error *err);
void fnr_target_free(fnr_target *t);

typedef struct {
    fnr_transform t; /* NET -> IF */
    double scale;    /* relative to nominal */
    double rotation_deg;
    double score; /* masked normalised cross-correlation in [-1, 1] */
} fnr_candidate;

#define FNR_MAX_CANDIDATES 16

typedef struct {
    fnr_verdict verdict;
    char reason[1024]; /* as long as an error's message */
    fnr_transform t; /* NET -> IF; meaningful when has_transform */
    bool has_transform;
    double scale; /* relative to nominal */
    double rotation_deg;
    double score;        /* final correlation of prediction and montage under t */
    double peak_ratio;   /* best / second distinct candidate */
    double content;      /* fraction of pixels above content_level of the maximum */
    double flow_inliers; /* fraction of flow vectors within 1 IF px of the fit; NaN when not run */
    double flow_rms_px;  /* rms residual of the inliers [IF px] */
    double flow_apart_px; /* between what the flow alone says and the final fit, mean over the tile [IF px]; NaN when not run */
    double overlap;      /* fraction of the tile on montage pixels */
    double blur_px;           /* the montage is this much blurrier than the prediction (Gaussian sigma [IF px]) */
    bool has_covariance;      /* the tile's content fixes all four parameters */
    double covariance[16];    /* of {centre x, y [IF px], rotation [rad], log scale}, row-major */
    double expected_error_px; /* rms displacement over the tile that it stands for [IF px]; NaN without */
    double probability, probability_5px; /* that t is right within 1 px, within 5 px */
    fnr_candidate candidates[FNR_MAX_CANDIDATES];
    int n_candidates;
} fnr_registration;

/* content test -> coarse search -> local refinement of candidates -> residual flow -> robust fit -> verdict.  prediction: float
 * view with v.nm set.  Returns false only for errors of the program or cancellation; a tile that cannot be registered is a
 * verdict.  Thread-safe over tiles. */
bool fnr_register_tile(const fnr_target *target, const fnr_view *prediction, const fnr_register_options *opt,
                       const fnr_cancel *cancel, fnr_registration *out, fnr_error *err);

/* Can a tile of w_nm x h_nm be found at all, by its size?  False when too little of it can lie on the montage, when it would cover
 * next to nothing of it, or so many pixels that the search would take hours; then `why` tells ("it ...", no file names). */
bool fnr_register_possible(const fnr_target *target, double w_nm, double h_nm, const fnr_register_options *opt, char *why, size_t size);

/* How far off a place may be whose expected error (rms) is known: displacements in two dimensions, each axis normal (Rayleigh).
 * `share` in (0, 1): the error that is not exceeded with this probability. */
double fnr_error_quantile_px(double expected_error_px, double share);
double fnr_error_probability(double expected_error_px, double limit_px); /* that the error is below limit_px */

/* How often stated probabilities of being right within 1 px came true, in the trials that gave the coefficients (probability.c). */
typedef struct {
    size_t trials;
    double stated, right; /* mean probability, fraction of trials that were right */
} fnr_reliability;
enum { FNR_RELIABILITY_BINS = 7 };
extern const fnr_reliability fnr_reliability_1px[FNR_RELIABILITY_BINS];

/* The measurements that probability rests on; the first is 1. */
enum { FNR_EVIDENCE = 7 };
void fnr_evidence_of(const fnr_registration *r, double x[FNR_EVIDENCE]);

/* Why does nothing register?  The tile once more as if it were ... */
typedef enum {
    FNR_PROBE_MIRRORED, /* ... a mirror image */
    FNR_PROBE_DOUBLE,   /* ... on a montage whose pixels are twice as large as was said */
    FNR_PROBE_HALF,     /* ... half as large */
    FNR_PROBES
} fnr_probe;
/* As fnr_register_tile.  A verdict of FNR_REGISTERED in *out says that the guess is right; its transform is of the changed tile. */
bool fnr_register_probe(const fnr_target *target, const fnr_view *prediction, fnr_probe what, const fnr_register_options *opt,
                        const fnr_cancel *cancel, fnr_registration *out, fnr_error *err);

/* The best place near `start` (NET -> IF) alone: fine registration without a search.  Fills what fnr_register_tile fills, but leaves
 * verdict and reason to the caller, who knows why it should lie there; has_transform is false when the prediction is constant or
 * the fit left the montage. */
bool fnr_register_near(const fnr_target *target, const fnr_view *prediction, const fnr_transform *start, const fnr_register_options *opt,
                       fnr_registration *out, fnr_error *err);

#endif
