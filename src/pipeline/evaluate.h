/* `fnet-register evaluate`: how far are a result's transforms from known ones, and how far are people from each other?
 *
 * The error of a tile is the mean displacement over its area between the two transforms [IF px], as the paper measures it. */
#ifndef FNR_PIPELINE_EVALUATE_H
#define FNR_PIPELINE_EVALUATE_H

#include <stdio.h>

#include "src/geom/transform.h"
#include "src/pipeline/config.h"

/* ---- sets of placements: eval_set.c ---------------------------------------------------------------------------------------- */

typedef struct {
    char *tile;       /* file name without folder, or the whole cell when a tile column was named; owned */
    char *path;       /* as the file tells it, with folders; owned */
    char *mbp;        /* MBP image it lies over, "" unknown; owned */
    char verdict[24]; /* "" when the set has none */
    bool has_transform;
    fnr_transform t;        /* TILE -> IF */
    int w, h;               /* tile [EM px], 0 unknown */
    double myelin_fraction; /* NaN unknown */
} fnr_eval_row;

typedef struct {
    fnr_eval_row *rows;
    size_t count;
} fnr_eval_set;

/* A transforms.csv of ours, a truth.csv, or a TrakEM2 project.  CSV columns used: tile, transform, and when present verdict,
 * width, height, myelin_fraction, mbp_file.  "FILE.csv:COLUMN" takes the transforms from another column; tile_column (NULL:
 * "tile", file names without folders) names the column that identifies tiles. */
bool fnr_eval_read(const char *path, const char *mbp_match, const char *tile_column, fnr_eval_set *out, fnr_error *err);
void fnr_eval_free(fnr_eval_set *s);
bool fnr_eval_is_project(const char *path);

/* The row of `s` that speaks of the same tile: equal names, and of several the one that shares most folders at the end of its
 * path. NULL when there is none.  Fails when two differing files fit equally well. */
bool fnr_eval_find(const fnr_eval_set *s, const fnr_eval_row *like, const fnr_eval_row **found, fnr_error *err);

/* ---- comparison: evaluate.c ------------------------------------------------------------------------------------------------ */

typedef struct {
    double min_myelin; /* only tiles above this fraction count for the figures (where it is known) */
    double success_px; /* a tile counts as found within this error [IF px] */
    int tile_px;       /* extent of tiles whose size is in neither set; 0 = an error then */
    double if_nm;      /* for errors in nm; 0 = left out */
    bool as_published; /* errors as fnr_eval_published_error: to compare with the paper's figures, not to judge by */
} fnr_eval_options;

typedef struct {
    double value, lo, hi; /* with its 95 % interval */
} fnr_eval_figure;

typedef struct {
    size_t n;
    fnr_eval_figure mean, median,
        p95; /* [IF px]; NaN of nothing; intervals by the percentile bootstrap (Efron 1979), 2,000 resamples */
    double sd, worst;
} fnr_eval_stats;

typedef struct {
    const char *tile, *verdict; /* borrowed from the sets */
    double px;                  /* NaN without a transform */
    double myelin_fraction;     /* NaN unknown */
    bool has_transform, counts, within;
} fnr_eval_tile;

/* One set against another, tile by tile. */
typedef struct {
    const char *a, *b;   /* what they are called; borrowed */
    bool between_people; /* both are manual: the floor */
    fnr_eval_tile *tiles;
    size_t n_tiles;
    const char **missing; /* tiles with known truth that `a` does not mention: they were not found either */
    size_t n_missing;
    size_t counted, with_transform, within; /* tiles with known truth above min_myelin; of those ... */
    fnr_eval_figure success;                /* within / counted; Wilson's interval (1927), which is right at 0 and 100 % too */
    size_t registered, registered_wrong;    /* verdict registered, over all tiles; of those beyond success_px */
    fnr_eval_stats found, all;              /* of errors within success_px, as the paper; of all with a transform */
} fnr_eval_comparison;

/* Fails when the two sets have no tile in common.  The sets must outlive the comparison. */
bool fnr_eval_compare(const fnr_eval_set *a, const fnr_eval_set *b, const fnr_eval_options *options, fnr_eval_comparison *out,
                      fnr_error *err);
void fnr_eval_comparison_free(fnr_eval_comparison *c);

/* Table of tiles and figures for a terminal. */
void fnr_eval_print(const fnr_eval_comparison *c, const fnr_eval_options *options, FILE *out);

fnr_eval_stats fnr_eval_stats_of(const double *errors, size_t n, fnr_error *err);

/* ---- evaluate_published.c ---------------------------------------------------------------------------------------------------
 *
 * The paper's figures come from `np.sqrt(sum(a - b) ** 2)` over 1500 x 1500 pixel centres (its authors' evaluation script): the
 * square root stands around the square of the SUM dx + dy, so each pixel counts |dx + dy| instead of its displacement, between 0
 * (a shift by (1, -1)) and 1.41 times that (by (1, 1)).  Standard deviations divide by n, as NumPy's do.  On the paper's 90 tiles
 * this gives the printed 0.351 +- 0.190, 1.217 +- 0.759 and 1.109 +- 0.645 px; the mean displacement is 0.364, 1.409 and 1.403. */

/* Mean of |dx + dy| over the pixel centres of a w x h image, in units of the target frame. */
double fnr_eval_published_error(const fnr_transform *a, const fnr_transform *b, int w, int h);
/* From division by n - 1 to division by n. */
void fnr_eval_published_sd(fnr_eval_stats *s);

#endif
