/* What `fnet-register evaluate -o DIR` leaves: tiles.csv, summary.csv, summary.json, histogram.svg, evaluation.html, and
 * audit.csv when projects were looked at. */
#ifndef FNR_PIPELINE_EVALUATE_REPORT_H
#define FNR_PIPELINE_EVALUATE_REPORT_H

#include "src/pipeline/audit.h"

typedef struct {
    const char *result;                     /* path; NULL in an audit alone */
    const fnr_eval_comparison *comparisons; /* the result against each person, then people against each other */
    size_t n;
    fnr_eval_options options;
    const fnr_audit *audit; /* NULL or without findings: nothing to say */
} fnr_eval_report;

/* Makes `dir`. */
bool fnr_eval_report_write(const char *dir, const fnr_eval_report *r, fnr_error *err);

/* ---- parts ----------------------------------------------------------------------------------------------------------------- */

/* evaluate_tables.c */
void fnr_eval_write_tiles(FILE *out, const fnr_eval_report *r);
void fnr_eval_write_summary(FILE *out, const fnr_eval_report *r);
void fnr_eval_write_audit(FILE *out, const fnr_eval_report *r);
bool fnr_eval_write_json(const char *path, const fnr_eval_report *r, fnr_error *err);
/* Errors between people, all pairs together [IF px]: how close a result can be expected to come.  n is 0 when there was one
 * person. */
fnr_eval_stats fnr_eval_floor(const fnr_eval_report *r, fnr_error *err);

/* evaluate_chart.c: how displacements are distributed, as figure 2c of the paper; one outline per comparison, in per cent of its
 * tiles; what lies beyond the axis is one bar at its end. */
void fnr_eval_write_histogram(FILE *out, const fnr_eval_report *r);

/* evaluate_page.c */
void fnr_eval_write_page(FILE *out, const fnr_eval_report *r);

#endif
