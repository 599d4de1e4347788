/* Shared by the parts of the report writer: report.c (order of things), report_html.c (words and numbers), report_figures.c
 * (pictures), report_style.c (CSS and JavaScript). */
#ifndef FNR_PIPELINE_REPORT_PARTS_H
#define FNR_PIPELINE_REPORT_PARTS_H

#include <stdio.h>
#include "src/pipeline/report.h"

/* What stays in memory of a tile. */
typedef struct {
    char *name, *reason; /* owned */
    int w, h;
    fnr_verdict verdict;
    bool has_transform;
    fnr_transform tile_to_if;
    double scale, rotation_deg, score, peak_ratio, content, flow_inliers, flow_rms_px, expected_error_px, truth_error_px, probability;
    char *decision, *note, *time; /* owned, "" without */
} fnr_report_row;

typedef struct {
    fnr_report_row *rows;
    size_t n_rows, capacity;
} fnr_report_table;

/* Pictures as base64 JPEG, NULL where there is none; owned. */
typedef struct {
    char *em, *prediction, *mbp, *overlay; /* in the tile's frame, w x h */
    char *placed;                          /* in the montage's frame, placed_w x placed_h */
    int w, h, placed_w, placed_h;
} fnr_report_figures;

typedef struct {
    double lo, hi; /* shown as black and full */
} fnr_report_range;

/* The montage as the map's background, at most 1100 px wide; `range` is what the MBP crops use too. */
bool fnr_report_montage_figure(const fnr_view *montage, fnr_report_range *range, char **jpeg, fnr_error *err);
/* Longer side at most `side` px, all together at most `bytes` of text (quality gives way first, then size). */
bool fnr_report_tile_figures(const fnr_report_tile *t, const fnr_report_range *mbp, const fnr_report_range *prediction, int side,
                             size_t bytes, fnr_report_figures *out, fnr_error *err);
void fnr_report_figures_free(fnr_report_figures *f);

/* A verdict as a word (also its CSS class) and as a shape. */
typedef struct {
    const char *word, *shape;
} fnr_report_sign;
extern const fnr_report_sign fnr_report_signs[FNR_VERDICTS];

/* Text for elements and attributes: the five special characters become entities; control characters and bytes that are not UTF-8
 * become \xHH. */
void fnr_report_text(FILE *out, const char *text);

/* A number with its unit, or a dash. */
void fnr_report_number(FILE *out, double v, const char *format, const char *unit);
void fnr_report_badge(FILE *out, fnr_verdict v);

/* Numbers of a tile that table and card show; table rows know which columns the table has. */
typedef struct {
    const char *title, *unit, *help, *format;
    double factor;
    size_t offset; /* of the number in the row */
    bool in_table;
} fnr_report_column;
extern const fnr_report_column fnr_report_columns[];
extern const size_t fnr_report_n_columns;
double fnr_report_value(const fnr_report_row *row, const fnr_report_column *c);

/* report_html.c; `id` tells this report's decisions from another's, NULL for pages without. */
void fnr_report_write_begin(FILE *out, const char *title, const char *version, const char *id);
void fnr_report_write_facts(FILE *out, const fnr_report_fact *facts, size_t n);
void fnr_report_write_table(FILE *out, const fnr_report_table *t);
void fnr_report_write_end(FILE *out);
/* report_summary.c */
void fnr_report_write_summary(FILE *out, const fnr_report_table *t);
/* report_map.c: jpeg may be NULL: no map. */
void fnr_report_write_map(FILE *out, const fnr_report_table *t, const char *jpeg, int w, int h);
void fnr_report_outline(FILE *out, const char *class, const fnr_transform *tile_to_if, int w, int h);
/* report_card.c; montage_w, montage_h: 0 without a map. */
void fnr_report_write_card(FILE *out, const fnr_report_row *row, const fnr_report_tile *t, size_t number, const fnr_report_figures *f, int montage_w,
                           int montage_h);
/* report_help.c: what the verdicts mean, how to review, and how far probabilities can be trusted (NULL: not told). */
void fnr_report_write_help(FILE *out, const fnr_report_table *t);
void fnr_report_write_calibration(FILE *out, const fnr_report_calibration *c);
/* What to do with a tile of this verdict. */
const char *fnr_report_advice(fnr_verdict v);

extern const char fnr_report_css[];
extern const char fnr_report_sort_script[]; /* the table with id "tiles"; the other one needs it before itself */
extern const char fnr_report_script[], fnr_report_review_script[];

#endif
