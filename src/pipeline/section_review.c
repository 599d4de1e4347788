/* Decisions that a person made in report.html (review.csv): accepted tiles keep the place that was looked at, rejected ones have
 * none, and neither what was rejected nor its candidates speak for their neighbours. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/core/csv.h"
#include "src/core/text.h"
#include "src/pipeline/section.h"

/* Measures of the tile's own fit say nothing about a place further from it than this [IF px]. */
static const double same_place_px = 1;

enum { NAMED_MAX = 5 };

const char *fnr_review_name(fnr_review_decision d)
{
    static const char *const names[] = {[FNR_UNREVIEWED] = "", [FNR_ACCEPTED] = "accepted", [FNR_REJECTED] = "rejected"};
    return names[d];
}

static fnr_section_tile *find_tile(fnr_section *s, const char *name)
{
    for (size_t i = 0; i < s->n_tiles; i++) {
        if (!strcmp(s->tiles[i].name, name)) {
            return &s->tiles[i];
        }
    }
    return NULL;
}

static bool parse_decision(const char *text, fnr_review_decision *out)
{
    static const char *const words[] = {"accept", "accepted", "reject", "rejected"};
    *out = FNR_UNREVIEWED;
    for (int i = 0; i < 4; i++) {
        if (!strcasecmp(text, words[i])) {
            *out = i < 2 ? FNR_ACCEPTED : FNR_REJECTED;
        }
    }
    return *out != FNR_UNREVIEWED || !*text; /* a note alone decides nothing */
}

typedef struct {
    int tile, decision, note, time, transform;
} columns;

static bool read_row(const fnr_csv *table, size_t row, const columns *c, const char *path, fnr_review *out, fnr_error *err)
{
    const char *decision = fnr_csv_cell(table, row, c->decision), *place = fnr_csv_cell(table, row, c->transform);
    *out = (fnr_review){0};
    if (!parse_decision(decision, &out->decision)) {
        return fnr_fail(err, FNR_E_FORMAT, "%s row %zu: the decision is \"%s\", neither accept nor reject", path, row + 2,
                        decision);
    }
    snprintf(out->note, sizeof out->note, "%s", fnr_csv_cell(table, row, c->note));
    snprintf(out->time, sizeof out->time, "%s", fnr_csv_cell(table, row, c->time));
    out->has_place = *place != 0;
    if (out->has_place && !fnr_transform_parse(place, FNR_FRAME_TILE, FNR_FRAME_IF, &out->place, err)) {
        fnr_error_prefix(err, "%s row %zu", path, row + 2);
        return false;
    }
    return !out->has_place || fnr_transform_scale(&out->place) > 0 ||
           fnr_fail(err, FNR_E_FORMAT, "%s row %zu: the transform squeezes the tile to nothing", path, row + 2);
}

/* A review of another section, or a misspelt name: a decision must not get lost unseen. */
static bool unknown_tiles(const char *path, const char *names, size_t n, const char *em_dir, fnr_error *err)
{
    return n == 0 || fnr_fail(err, FNR_E_USAGE, "%s: %zu of the tiles it decides on %s not in %s: %s%s", path, n,
                              n == 1 ? "is" : "are", em_dir, names, n > NAMED_MAX ? ", ..." : "");
}

bool fnr_section_read_review(fnr_section *s, fnr_error *err)
{
    const char *path = s->job.review_path;
    char names[256] = "";
    size_t unknown = 0;
    fnr_csv table;
    if (!path) {
        return true;
    }
    if (!fnr_csv_read(path, &table, err)) {
        return false;
    }
    const columns c = {fnr_csv_column(&table, "tile"), fnr_csv_column(&table, "decision"), fnr_csv_column(&table, "note"),
                       fnr_csv_column(&table, "time"), fnr_csv_column(&table, "transform")};
    bool ok =
        (c.tile >= 0 && c.decision >= 0) || fnr_fail(err, FNR_E_FORMAT, "%s: the columns tile and decision are needed", path);
    for (size_t i = 0; ok && i + 1 < table.rows; i++) {
        char *name = table.cells[(i + 1) * table.columns + (size_t)c.tile];
        fnr_review review;
        fnr_text_unescape(name);
        fnr_section_tile *t = find_tile(s, name);
        ok = read_row(&table, i, &c, path, &review, err);
        if (ok && t) {
            t->review = review;
        } else if (ok && unknown++ < NAMED_MAX) {
            const size_t used = strlen(names);
            snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", name);
        }
    }
    ok = ok && unknown_tiles(path, names, unknown, s->job.em_dir, err);
    fnr_csv_free(&table);
    return ok;
}

/* The place that was looked at, and what is still known about it. */
static void take_place(const fnr_section *s, fnr_section_tile *t)
{
    const double f = t->em_nm / s->net_nm;
    const fnr_transform to_tile = fnr_transform_resample(1 / f, 1 / f, FNR_FRAME_NET, FNR_FRAME_TILE), place = t->review.place;
    fnr_registration *r = &t->reg;
    fnr_transform net_to_if;
    if (!(t->em_nm > 0) || !fnr_transform_compose(&place, &to_tile, &net_to_if, NULL)) {
        return;
    }
    if (!r->has_transform || !(fnr_transform_mean_distance(&place, &t->tile_to_if, t->w, t->h) <= same_place_px)) {
        r->score = r->peak_ratio = r->flow_inliers = r->flow_rms_px = r->expected_error_px = NAN;
        r->has_covariance = false;
    }
    r->has_transform = true;
    r->t = net_to_if;
    t->tile_to_if = place;
    r->rotation_deg = fnr_transform_rotation_deg(&place);
    r->scale = fnr_transform_scale(&place) * s->if_nm / t->em_nm;
}

void fnr_section_prepare_review(fnr_section *s)
{
    for (size_t i = 0; i < s->n_tiles; i++) {
        fnr_section_tile *t = &s->tiles[i];
        if (t->review.decision == FNR_ACCEPTED && t->review.has_place && t->reg.verdict != FNR_UNFINISHED) {
            take_place(s, t);
        }
    }
}

static void accept(const fnr_section *s, fnr_section_tile *t)
{
    char by_itself[160];
    if (!t->reg.has_transform) {
        fnr_log_warn(s->run->log, "%s: %s was accepted, but neither that file nor this run says where it lies",
                     s->job.review_path, t->name);
        return;
    }
    snprintf(by_itself, sizeof by_itself, "%s%s%.120s", fnr_verdict_name(t->reg.verdict), t->reg.reason[0] ? ": " : "",
             t->reg.reason);
    snprintf(t->reg.reason, sizeof t->reg.reason, "accepted by hand%s%s (the program: %.110s)", t->review.note[0] ? ": " : "",
             t->review.note, by_itself);
    t->reg.verdict = FNR_REGISTERED;
}

static void reject(fnr_section_tile *t)
{
    fnr_registration *r = &t->reg;
    r->verdict = FNR_FAILED;
    r->has_transform = r->has_covariance = false;
    r->scale = r->rotation_deg = r->score = r->peak_ratio = r->flow_inliers = r->flow_rms_px = r->expected_error_px = NAN;
    snprintf(r->reason, sizeof r->reason, "rejected by hand%s%s", t->review.note[0] ? ": " : "", t->review.note);
}

void fnr_section_finish_review(fnr_section *s)
{
    size_t accepted = 0, rejected = 0;
    for (size_t i = 0; i < s->n_tiles; i++) {
        fnr_section_tile *t = &s->tiles[i];
        if (t->reg.verdict == FNR_UNFINISHED) { /* the run was stopped before it: the decision waits */
            continue;
        }
        if (t->review.decision == FNR_ACCEPTED) {
            accept(s, t);
            accepted++;
        } else if (t->review.decision == FNR_REJECTED) {
            reject(t);
            rejected++;
        }
    }
    if (s->job.review_path) {
        fnr_log_info(s->run->log, "%s: %zu tiles accepted and %zu rejected by hand", s->job.review_path, accepted, rejected);
    }
}
