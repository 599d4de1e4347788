/* Shared by the parts of the audit: audit.c (the list), audit_project.c (patches), audit_tiles.c, audit_grid.c, audit_people.c.
 */
#ifndef FNR_PIPELINE_AUDIT_PARTS_H
#define FNR_PIPELINE_AUDIT_PARTS_H

#include "src/pipeline/audit.h"

typedef struct {
    fnr_audit_grade grade;
    const char *kind, *tile, *file;
    double amount;
    const char *unit, *advice;
} fnr_audit_about;

/* Appends a finding; the words are copied. */
bool fnr_audit_add(fnr_audit *a, const fnr_audit_about *about, fnr_error *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Tiles that the grid of their file names puts elsewhere. */
bool fnr_audit_grid(const fnr_eval_set *set, const char *name, int tile_px, fnr_audit *audit, fnr_error *err);

/* Centre of a tile in the montage [IF px]; `tile_px` where the set does not tell its size. */
fnr_point fnr_audit_centre(const fnr_eval_row *r, int tile_px);
int fnr_audit_width(const fnr_eval_row *r, int tile_px);
int fnr_audit_height(const fnr_eval_row *r, int tile_px);

/* Sorts; NaN of nothing. */
double fnr_audit_median(double *v, size_t n);

#endif
