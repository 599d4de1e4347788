/* report.html: one self-contained file for a person: summary, map of the montage, sortable table, and per tile the EM, the
 * prediction, the MBP under the found transform and an overlay.  No network, no other files; works in light and dark, prints.
 *
 * Written tile by tile: memory holds one tile's pictures and a short row per tile, whatever their number.  Pictures wait in a
 * temporary file beside the report, because the summary stands before them. */
#ifndef FNR_PIPELINE_REPORT_H
#define FNR_PIPELINE_REPORT_H

#include "register/register.h"
#include "src/geom/transform.h"
#include "src/image/view.h"

typedef struct fnr_report fnr_report;

/* How often verdicts with a probability were right, on data with known truth. */
typedef struct {
    const double *predicted, *observed; /* of each bin: mean probability, fraction of right ones, both in [0, 1] */
    const size_t *count;                /* tiles in each bin */
    size_t bins;
    const char *source; /* what it was measured on */
} fnr_report_calibration;

typedef struct {
    const char *title;                   /* e.g. the EM folder's name */
    const char *version;                 /* of the program */
    size_t n_tiles;                      /* expected; the size of the pictures follows from it (25 MB in all for 500 tiles) */
    int picture_px;                      /* longer side of a tile's pictures at most; 0 = 512 */
    const fnr_view *montage;             /* MBP, any dtype, only used during the call; NULL = no map */
    const fnr_report_calibration *calibration; /* NULL: no reliability diagram; must live until the report is closed */
    double prediction_lo, prediction_hi; /* display range of predictions; equal = each tile's own */
} fnr_report_head;

typedef struct {
    fnr_transform tile_to_if;
    double score;
} fnr_report_candidate;

/* How far the MBP lies from the prediction at one place of the tile, after registration.  All in parts of the tile's width. */
typedef struct {
    double x, y, dx, dy;
} fnr_report_arrow;

typedef struct {
    const char *name; /* file name */
    int w, h;         /* of the file [EM px] */
    fnr_verdict verdict;
    const char *reason;
    bool has_transform;
    fnr_transform tile_to_if; /* meaningful when has_transform */
    /* Numbers of fnr_registration; NaN = unknown, shown as a dash. */
    double scale, rotation_deg, score, peak_ratio, content, flow_inliers, flow_rms_px;
    double expected_error_px; /* how far off the place may be, rms over the tile, as the program judges it [IF px] */
    double truth_error_px; /* mean error where the truth is known, else NaN [IF px] */
    double probability;    /* that the place is right, NaN unknown */
    const char *decision, *note, *time; /* of a person: "accept", "reject" or NULL */
    const fnr_report_candidate *candidates; /* places that came into question, best first; may be NULL */
    size_t n_candidates;
    const fnr_report_arrow *arrows; /* may be NULL */
    size_t n_arrows;
    double if_px_wide; /* the tile's width [IF px], for the length of the arrows */
    /* Pictures in the tile's frame, any dtype and size with the tile's aspect; NULL = not to be had. */
    const fnr_view *em, *prediction, *mbp;
    /* Pictures in the montage's frame, of one size: MBP around the tile, and the prediction warped there; NULL = not to be had. */
    const fnr_view *around, *placed;
} fnr_report_tile;

typedef struct {
    const char *name, *value; /* "model", "nerve-mbp-fast.safetensors" */
} fnr_report_fact;

/* NULL on failure.  `path` appears only when the report is closed. */
fnr_report *fnr_report_open(const char *path, const fnr_report_head *head, fnr_error *err);
/* Copies what it needs.  After a failure the report can still be closed or aborted. */
bool fnr_report_add_tile(fnr_report *r, const fnr_report_tile *tile, fnr_error *err);
/* Facts (inputs, settings, times) go behind the summary.  Commits (atomic) and frees, also on failure. */
bool fnr_report_close(fnr_report *r, const fnr_report_fact *facts, size_t n_facts, fnr_error *err);
void fnr_report_abort(fnr_report *r); /* NULL is fine */

#endif
