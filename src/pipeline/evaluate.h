/* `fnet-register evaluate`: how far are a result's transforms from known ones? */
#ifndef FNR_PIPELINE_EVALUATE_H
#define FNR_PIPELINE_EVALUATE_H

#include <stdio.h>

#include "src/geom/transform.h"
#include "src/pipeline/config.h"

/* One set of placements: a transforms.csv of ours, a truth.csv, or a TrakEM2 project. */
typedef struct {
    char *tile;              /* file name without folder; owned */
    char verdict[24];        /* "" when the set has none */
    bool has_transform;
    fnr_transform t;         /* TILE -> IF */
    int w, h;                /* tile [EM px], 0 unknown */
    double myelin_fraction;  /* NaN unknown */
} fnr_eval_row;

typedef struct {
    fnr_eval_row *rows;
    size_t count;
} fnr_eval_set;

/* CSV columns used: tile, transform, and when present verdict, width, height, myelin_fraction.  "FILE.csv:COLUMN" takes the transforms
 * from another column; tile_column (NULL: "tile", file names without folders) names the column that identifies tiles. */
bool fnr_eval_read(const char *path, const char *mbp_match, const char *tile_column, fnr_eval_set *out, fnr_error *err);
void fnr_eval_free(fnr_eval_set *s);

typedef struct {
    double min_myelin;  /* only tiles above this fraction count for the figures (where it is known) */
    double success_px;  /* a tile counts as found within this error [IF px] */
    int tile_px;        /* extent of tiles whose size is in neither set; 0 = an error then */
    double if_nm;       /* for the error in nm; 0 = left out */
} fnr_eval_options;

typedef struct {
    size_t counted, with_transform, within; /* tiles with known truth above min_myelin; of those ... */
    double mean, sd, median, p95, worst;    /* of errors within success_px [IF px]; NaN when there are none */
    double mean_lo, mean_hi;                /* 95 % bootstrap interval of the mean (2,000 resamples) */
    size_t registered, registered_wrong;    /* verdict registered, over all tiles; of those beyond success_px */
    size_t missing;                         /* tiles with known truth that the result does not mention */
} fnr_eval_summary;

/* Compares by tile name; prints a table of tiles and the figures to `out`.  The error of a tile is the mean displacement over its
 * area between the two transforms [IF px].  Fails when the two sets have no tile in common. */
bool fnr_evaluate(const fnr_eval_set *result, const fnr_eval_set *truth, const fnr_eval_options *options, FILE *out, fnr_eval_summary *summary,
                  fnr_error *err);

#endif
