/* Several people's placements of the same tiles against each other. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/fs.h"
#include "src/core/mem.h"
#include "src/pipeline/audit_parts.h"

/* Beyond this two people do not mean the same place [IF px]. */
static const double other_place_px = 5;
/* Unusual: this many robust standard deviations above the median, and at least so much [IF px]. */
static const double outlier_sigmas = 5, outlier_least_px = 1;
static const double mad_to_sd = 1.4826;
/* A montage's tiles that differ by more than this in one direction were shifted together [IF px]. */
static const double shift_px = 1;
enum { SHIFT_LEAST = 3, NAMED_MAX = 5 };

typedef struct {
    const fnr_eval_row *a, *b;
    double px;        /* mean distance over the tile [IF px] */
    fnr_point offset; /* of the centres, a - b [IF px] */
    bool shifted;     /* part of a shift of the whole montage */
} common_tile;

typedef struct {
    common_tile *all;
    size_t n;
    const char *name_a, *name_b;
} people;

static bool find_common(const fnr_eval_set *a, const fnr_eval_set *b, int tile_px, people *p, fnr_error *err)
{
    for (size_t i = 0; i < a->count; i++) {
        const fnr_eval_row *r = &a->rows[i], *q;
        if (!fnr_eval_find(b, r, &q, err)) {
            return false;
        }
        if (!q || !r->has_transform || !q->has_transform) {
            continue;
        }
        const fnr_point c = fnr_audit_centre(r, tile_px), d = fnr_audit_centre(q, tile_px);
        p->all[p->n++] =
            (common_tile){r,
                          q,
                          fnr_transform_mean_distance(&r->t, &q->t, fnr_audit_width(r, tile_px), fnr_audit_height(r, tile_px)),
                          {c.x - d.x, c.y - d.y},
                          false};
    }
    return true;
}

/* Where differences become unusual [IF px]. */
static double unusual_px(const people *p, double *room)
{
    for (size_t i = 0; i < p->n; i++) {
        room[i] = p->all[i].px;
    }
    const double middle = fnr_audit_median(room, p->n);
    for (size_t i = 0; i < p->n; i++) {
        room[i] = fabs(p->all[i].px - middle);
    }
    return fmax(outlier_least_px, middle + outlier_sigmas * mad_to_sd * fnr_audit_median(room, p->n));
}

static const char *base(const char *path)
{
    return path[0] ? fnr_path_base(path) : "the MBP image";
}

/* All tiles over the montage of all[first] lie off in one direction: somebody moved the montage after placing them. */
static bool check_shift(people *p, size_t first, fnr_audit *a, fnr_error *err)
{
    size_t n = 0;
    double sx = 0, sy = 0, sxx = 0;
    const char *mbp = p->all[first].a->mbp;
    for (size_t i = 0; i < p->n; i++) {
        const common_tile *t = &p->all[i];
        if (strcmp(t->a->mbp, mbp)) {
            continue;
        }
        if (i < first) {
            return true; /* looked at already */
        }
        n++;
        sx += t->offset.x;
        sy += t->offset.y;
        sxx += t->offset.x * t->offset.x + t->offset.y * t->offset.y;
    }
    const double count = (double)n, mean = hypot(sx, sy) / count, spread = sqrt(fmax(0, sxx / count - mean * mean));
    if (n < SHIFT_LEAST || mean <= shift_px || spread > mean / 2) {
        return true;
    }
    for (size_t i = first; i < p->n; i++) {
        p->all[i].shifted |= !strcmp(p->all[i].a->mbp, mbp);
    }
    const fnr_audit_about about = {FNR_AUDIT_ERROR,
                                   "shifted together",
                                   NULL,
                                   p->name_a,
                                   mean,
                                   "IF px",
                                   "Most likely the MBP image was moved in one of the two after the tiles were placed: find out "
                                   "in which, and leave that one out."};
    return fnr_audit_add(a, &about, err,
                         "all %zu tiles over %s lie %.1f IF px (%+.1f, %+.1f) from where %s has them, in one direction", n,
                         base(mbp), mean, sx / count, sy / count, p->name_b);
}

static bool check_tile(const people *p, const common_tile *t, double unusual, fnr_audit *a, fnr_error *err)
{
    if (strcmp(base(t->a->mbp), base(t->b->mbp)) && t->a->mbp[0] && t->b->mbp[0]) {
        const fnr_audit_about about = {
            FNR_AUDIT_ERROR, "two sections", t->a->tile, p->name_a, NAN, NULL, "One of the two took another section's tile."};
        return fnr_audit_add(a, &about, err, "it lies over %s here and over %s in %s", base(t->a->mbp), base(t->b->mbp),
                             p->name_b);
    }
    if (t->shifted || !(t->px > fmin(unusual, other_place_px))) {
        return true;
    }
    const fnr_audit_about about = {t->px > other_place_px ? FNR_AUDIT_ERROR : FNR_AUDIT_WARNING,
                                   "people differ",
                                   t->a->tile,
                                   p->name_a,
                                   t->px,
                                   "IF px",
                                   "Look at both placements; leave the tile out if it cannot be decided."};
    return fnr_audit_add(a, &about, err, "it lies %.1f IF px from where %s has it; usual are less than %.1f", t->px, p->name_b,
                         unusual);
}

static bool check_pair(people *p, fnr_audit *audit, fnr_error *err)
{
    double *room = fnr_calloc(p->n + 1, sizeof *room, "distances", err);
    bool ok = room != NULL;
    const double unusual = ok && p->n ? unusual_px(p, room) : NAN;
    for (size_t i = 0; ok && i < p->n; i++) {
        ok = check_shift(p, i, audit, err);
    }
    for (size_t i = 0; ok && i < p->n; i++) {
        ok = check_tile(p, &p->all[i], unusual, audit, err);
    }
    free(room);
    return ok;
}

/* Tiles that the other one placed and this one did not. */
static bool check_absent(const fnr_eval_set *a, const fnr_eval_set *b, const people *p, fnr_audit *audit, fnr_error *err)
{
    char names[256] = "";
    size_t absent = 0;
    for (size_t i = 0; i < b->count; i++) {
        const fnr_eval_row *found;
        if (!fnr_eval_find(a, &b->rows[i], &found, err)) {
            return false;
        }
        if (b->rows[i].has_transform && (!found || !found->has_transform)) {
            const size_t used = strlen(names);
            if (absent++ < NAMED_MAX) {
                snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", b->rows[i].tile);
            }
        }
    }
    if (absent == 0) {
        return true;
    }
    const fnr_audit_about about = {
        FNR_AUDIT_NOTE, "not placed", NULL, p->name_a, (double)absent, "tiles", "Nothing to do, unless they were forgotten."};
    return fnr_audit_add(audit, &about, err, "%zu tile%s of %s %s not placed here: %s%s", absent, absent == 1 ? "" : "s",
                         p->name_b, absent == 1 ? "is" : "are", names, absent > NAMED_MAX ? ", ..." : "");
}

bool fnr_audit_people(const fnr_eval_set *sets, const char *const *names, size_t n, int tile_px, fnr_audit *audit, fnr_error *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        for (size_t k = i + 1; ok && k < n; k++) {
            people p = {.name_a = names[i], .name_b = names[k]}, back = {.name_a = names[k], .name_b = names[i]};
            p.all = fnr_calloc(sets[i].count + 1, sizeof *p.all, "tiles", err);
            ok = p.all && find_common(&sets[i], &sets[k], tile_px, &p, err) && check_pair(&p, audit, err) &&
                 check_absent(&sets[i], &sets[k], &p, audit, err) && check_absent(&sets[k], &sets[i], &back, audit, err);
            free(p.all);
        }
    }
    return ok;
}
