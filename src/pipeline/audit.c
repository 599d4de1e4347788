#include "src/pipeline/audit.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/pipeline/audit_parts.h"

const char *const fnr_audit_grade_names[FNR_AUDIT_GRADES] = {"note", "warning", "error"};

bool fnr_audit_add(fnr_audit *a, const fnr_audit_about *about, fnr_error *err, const char *fmt, ...)
{
    char *what = NULL;
    va_list args;
    va_start(args, fmt);
    const bool said = vasprintf(&what, fmt, args) >= 0;
    va_end(args);
    if (!said) {
        return fnr_fail(err, FNR_E_LIMIT, "out of memory for the findings of the audit");
    }
    fnr_audit_finding f = {.grade = about->grade,
                           .kind = about->kind,
                           .what = what,
                           .amount = about->amount,
                           .unit = about->unit ? about->unit : "",
                           .advice = about->advice};
    f.tile = fnr_strdup(about->tile ? about->tile : "", err);
    f.file = fnr_strdup(about->file, err);
    if (!f.tile || !f.file || !fnr_grow(&a->items, &a->capacity, a->count, sizeof *a->items, "findings of the audit", err)) {
        free(f.tile);
        free(f.file);
        free(f.what);
        return false;
    }
    a->items[a->count++] = f;
    return true;
}

void fnr_audit_free(fnr_audit *a)
{
    for (size_t i = 0; i < a->count; i++) {
        free(a->items[i].tile);
        free(a->items[i].file);
        free(a->items[i].what);
    }
    free(a->items);
    *a = (fnr_audit){0};
}

size_t fnr_audit_count(const fnr_audit *a, fnr_audit_grade grade)
{
    size_t n = 0;
    for (size_t i = 0; i < a->count; i++) {
        n += a->items[i].grade == grade;
    }
    return n;
}

void fnr_audit_print(const fnr_audit *a, FILE *out)
{
    for (int grade = FNR_AUDIT_GRADES - 1; grade >= 0; grade--) {
        for (size_t i = 0; i < a->count; i++) {
            const fnr_audit_finding *f = &a->items[i];
            if ((int)f->grade == grade) {
                fprintf(out, "%s: %s: %s%s%s: %s. %s\n", fnr_audit_grade_names[grade], f->file, f->tile, f->tile[0] ? ": " : "",
                        f->kind, f->what, f->advice);
            }
        }
    }
    fprintf(out, "audit of %zu placement%s in %zu file%s: %zu errors, %zu warnings, %zu notes\n", a->tiles,
            a->tiles == 1 ? "" : "s", a->files, a->files == 1 ? "" : "s", fnr_audit_count(a, FNR_AUDIT_ERROR),
            fnr_audit_count(a, FNR_AUDIT_WARNING), fnr_audit_count(a, FNR_AUDIT_NOTE));
}

int fnr_audit_width(const fnr_eval_row *r, int tile_px)
{
    return r->w > 0 ? r->w : tile_px > 0 ? tile_px : 1;
}

int fnr_audit_height(const fnr_eval_row *r, int tile_px)
{
    return r->h > 0 ? r->h : tile_px > 0 ? tile_px : 1;
}

fnr_point fnr_audit_centre(const fnr_eval_row *r, int tile_px)
{
    return fnr_transform_apply(&r->t,
                               (fnr_point){(fnr_audit_width(r, tile_px) - 1) / 2.0, (fnr_audit_height(r, tile_px) - 1) / 2.0});
}

double fnr_audit_median(double *v, size_t n)
{
    if (n == 0) {
        return NAN;
    }
    gsl_sort(v, 1, n);
    return gsl_stats_median_from_sorted_data(v, 1, n);
}
