/* Faults in registrations made by hand: what a person should look at again before trusting a project as truth or training on it.
 *
 * A finding says which tile of which file, what is wrong, by how much, and what to do.  Nothing is changed. */
#ifndef FNR_PIPELINE_AUDIT_H
#define FNR_PIPELINE_AUDIT_H

#include "src/pipeline/evaluate.h"

typedef enum {
    FNR_AUDIT_NOTE,    /* good to know */
    FNR_AUDIT_WARNING, /* look at it */
    FNR_AUDIT_ERROR,   /* cannot be right */
    FNR_AUDIT_GRADES
} fnr_audit_grade;
extern const char *const fnr_audit_grade_names[FNR_AUDIT_GRADES]; /* "note", "warning", "error" */

typedef struct {
    fnr_audit_grade grade;
    const char *kind;   /* a word, e.g. "mirrored"; static */
    char *tile, *file;  /* tile "" when the finding is about a whole project; owned */
    char *what;         /* a sentence; owned */
    double amount;      /* NaN when there is nothing to measure */
    const char *unit;   /* of the amount; static */
    const char *advice; /* a sentence; static */
} fnr_audit_finding;

typedef struct {
    fnr_audit_finding *items; /* in the order found */
    size_t count, capacity;
    size_t tiles, files; /* looked at */
} fnr_audit;

/* One project: patches that were moved or never placed, and all that fnr_audit_placements finds.  The placements, also those that
 * training would leave out, go to *set (NULL: not wanted). */
bool fnr_audit_project(const char *path, const char *mbp_match, fnr_audit *audit, fnr_eval_set *set, fnr_error *err);

/* Placements of one file, `name`: mirrored, sheared, turned or scaled unlike the others of their montage, not where the grid in
 * their file names puts them, listed twice, or over another montage than the rest of their folder. */
bool fnr_audit_placements(const fnr_eval_set *set, const char *name, int tile_px, fnr_audit *audit, fnr_error *err);

/* Several people's placements of the same tiles: tiles where they differ much more than usual, montages that one of them has
 * shifted as a whole, and the same tile over different montages. */
bool fnr_audit_people(const fnr_eval_set *sets, const char *const *names, size_t n, int tile_px, fnr_audit *audit,
                      fnr_error *err);

size_t fnr_audit_count(const fnr_audit *a, fnr_audit_grade grade);
/* Worst first, one finding per paragraph, and a line that counts them. */
void fnr_audit_print(const fnr_audit *a, FILE *out);
void fnr_audit_free(fnr_audit *a);

#endif
