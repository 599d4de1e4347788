#include "src/pipeline/report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include "src/core/fs.h"
#include "src/core/mem.h"
#include "src/pipeline/report_parts.h"

/* 25 MB for 500 tiles, words and arrows included; a few tiles may be shown larger. */
enum { TOTAL_BYTES = 24 * 1000 * 1000, TILE_BYTES_MAX = 400 * 1000, TILE_BYTES_MIN = 12 * 1000 };
enum { WORDS_BYTES = 5000, ARROW_BYTES = 50 }; /* of a tile's card, by experience */
enum { SIDE_DEFAULT = 512, SIDE_MIN = 96 };
static const double bytes_per_pixel = 1.0; /* of the five pictures together, as text, by experience */

struct fnr_report {
    char *title, *version;
    fnr_report_table table;
    fnr_report_range mbp, prediction;
    char *montage_jpeg;
    const fnr_report_calibration *calibration;
    int montage_w, montage_h;
    int side;          /* longer side of the pictures [px] */
    size_t tile_bytes; /* of one tile's pictures */
    fnr_atomic file, cards;
};

static void free_report(fnr_report *r)
{
    for (size_t i = 0; i < r->table.n_rows; i++) {
        free(r->table.rows[i].name);
        free(r->table.rows[i].reason);
        free(r->table.rows[i].decision);
        free(r->table.rows[i].note);
        free(r->table.rows[i].time);
    }
    free(r->table.rows);
    free(r->montage_jpeg);
    free(r->title);
    free(r->version);
    free(r);
}

static void choose_size(fnr_report *r, const fnr_report_head *head)
{
    const size_t share = TOTAL_BYTES / (head->n_tiles ? head->n_tiles : 1);
    r->tile_bytes = share > TILE_BYTES_MAX ? TILE_BYTES_MAX : share < TILE_BYTES_MIN ? TILE_BYTES_MIN : share;
    const double side = fmax(SIDE_MIN, sqrt((double)r->tile_bytes / bytes_per_pixel));
    const int wanted = head->picture_px > 0 ? head->picture_px : SIDE_DEFAULT;
    r->side = side < wanted ? (int)side : wanted;
}

fnr_report *fnr_report_open(const char *path, const fnr_report_head *head, fnr_error *err)
{
    fnr_report *r = fnr_calloc(1, sizeof *r, "the report", err);
    if (!r) {
        return NULL;
    }
    char cards[FNR_PATH_MAX];
    choose_size(r, head);
    r->calibration = head->calibration;
    r->prediction = (fnr_report_range){head->prediction_lo, head->prediction_hi};
    r->title = fnr_strdup(head->title ? head->title : "", err);
    r->version = fnr_strdup(head->version ? head->version : "", err);
    if (!r->title || !r->version) {
        goto fail;
    }
    if (head->montage) {
        r->montage_w = head->montage->w;
        r->montage_h = head->montage->h;
        if (!fnr_report_montage_figure(head->montage, &r->mbp, &r->montage_jpeg, err)) {
            goto fail;
        }
    }
    if (snprintf(cards, sizeof cards, "%s.cards", path) >= (int)sizeof cards) {
        fnr_fail(err, FNR_E_IO, "%s: the path is too long", path);
        goto fail;
    }
    if (!fnr_atomic_open(&r->file, path, err)) {
        goto fail;
    }
    if (!fnr_atomic_open(&r->cards, cards, err)) {
        fnr_atomic_abort(&r->file);
        goto fail;
    }
    return r;
fail:
    free_report(r);
    return NULL;
}

static bool keep_row(fnr_report *r, const fnr_report_tile *t, fnr_error *err)
{
    fnr_report_table *table = &r->table;
    if (!fnr_grow(&table->rows, &table->capacity, table->n_rows, sizeof *table->rows, "rows of the report", err)) {
        return false;
    }
    fnr_report_row row = {.w = t->w,
                          .h = t->h,
                          .verdict = t->verdict,
                          .has_transform = t->has_transform,
                          .tile_to_if = t->tile_to_if,
                          .scale = t->scale,
                          .rotation_deg = t->rotation_deg,
                          .score = t->score,
                          .peak_ratio = t->peak_ratio,
                          .content = t->content,
                          .flow_inliers = t->flow_inliers,
                          .flow_rms_px = t->flow_rms_px,
                          .expected_error_px = t->expected_error_px,
                          .truth_error_px = t->truth_error_px,
                          .probability = t->probability};
    char **const copies[] = {&row.name, &row.reason, &row.decision, &row.note, &row.time};
    const char *const texts[] = {t->name, t->reason, t->decision, t->note, t->time};
    bool ok = true;
    for (int i = 0; i < 5; i++) {
        *copies[i] = fnr_strdup(texts[i] ? texts[i] : "", err);
        ok = ok && *copies[i];
    }
    table->rows[table->n_rows] = row; /* freed with the table, whole or not */
    table->n_rows++;
    return ok;
}

bool fnr_report_add_tile(fnr_report *r, const fnr_report_tile *tile, fnr_error *err)
{
    fnr_report_figures figures;
    const size_t words = WORDS_BYTES + ARROW_BYTES * tile->n_arrows; /* the pictures get the rest */
    const size_t bytes = words < r->tile_bytes / 2 ? r->tile_bytes - words : r->tile_bytes / 2;
    if (!fnr_report_tile_figures(tile, &r->mbp, &r->prediction, r->side, bytes, &figures, err)) {
        return false;
    }
    const bool ok = keep_row(r, tile, err);
    if (ok) {
        fnr_report_write_card(r->cards.file, &r->table.rows[r->table.n_rows - 1], tile, r->table.n_rows, &figures,
                              r->montage_jpeg ? r->montage_w : 0, r->montage_h);
    }
    fnr_report_figures_free(&figures);
    return ok;
}

/* Appends what was written to the waiting file of cards. */
static bool copy_cards(fnr_report *r, fnr_error *err)
{
    static const char what[] = "cannot write the pictures of the tiles";
    char buffer[1 << 14];
    FILE *from = r->cards.file;
    if (fflush(from) != 0 || ferror(from) || fseek(from, 0, SEEK_SET) != 0) {
        return fnr_fail_errno(err, errno, "%s: %s", r->file.path, what);
    }
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, from)) > 0;) {
        if (fwrite(buffer, 1, n, r->file.file) != n) {
            return fnr_fail_errno(err, errno, "%s: %s", r->file.path, what);
        }
    }
    return !ferror(from) || fnr_fail_errno(err, errno, "%s: %s", r->file.path, what);
}

/* Of names and places (FNV-1a): decisions about other places must not be shown as decisions about these. */
static uint64_t fingerprint(const fnr_report_table *t)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < t->n_rows; i++) {
        char text[FNR_TRANSFORM_TEXT] = "";
        if (t->rows[i].has_transform) {
            fnr_transform_format(&t->rows[i].tile_to_if, text);
        }
        const char *const parts[] = {t->rows[i].name, text};
        for (int k = 0; k < 2; k++) {
            for (const char *s = parts[k]; *s; s++) {
                h = (h ^ (unsigned char)*s) * 1099511628211u;
            }
        }
    }
    return h;
}

bool fnr_report_close(fnr_report *r, const fnr_report_fact *facts, size_t n_facts, fnr_error *err)
{
    FILE *out = r->file.file;
    char id[32];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)fingerprint(&r->table));
    fnr_report_write_begin(out, r->title, r->version, id);
    fnr_report_write_summary(out, &r->table);
    fnr_report_write_map(out, &r->table, r->montage_jpeg, r->montage_w, r->montage_h);
    fnr_report_write_table(out, &r->table);
    fnr_report_write_help(out, &r->table);
    fputs("<section id=\"cards\">\n<h2>Tiles</h2>\n", out);
    bool ok = copy_cards(r, err);
    if (ok) {
        fputs("</section>\n", out);
        fnr_report_write_calibration(out, r->calibration);
        fnr_report_write_facts(out, facts, n_facts);
        fnr_report_write_end(out);
        ok = fnr_atomic_commit(&r->file, err);
    } else {
        fnr_atomic_abort(&r->file);
    }
    fnr_atomic_abort(&r->cards);
    free_report(r);
    return ok;
}

void fnr_report_abort(fnr_report *r)
{
    if (r) {
        fnr_atomic_abort(&r->file);
        fnr_atomic_abort(&r->cards);
        free_report(r);
    }
}
