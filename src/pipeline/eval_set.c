/* Reading of placements: tables and TrakEM2 projects. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/core/csv.h"
#include "src/core/fs.h"
#include "src/core/mem.h"
#include "src/core/text.h"
#include "src/pipeline/evaluate.h"
#include "src/pipeline/pairs.h"

void fnr_eval_free(fnr_eval_set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->rows[i].tile);
        free(s->rows[i].path);
        free(s->rows[i].mbp);
    }
    free(s->rows);
    *s = (fnr_eval_set){0};
}

static double cell_number(const fnr_csv *t, size_t row, int column, double otherwise)
{
    const char *text = fnr_csv_cell(t, row, column);
    char *end;
    const double v = strtod(text, &end);
    return end == text ? otherwise : v;
}

/* Extent of a tile [px]; 0 when the cell holds none. */
static int cell_extent(const fnr_csv *t, size_t row, int column)
{
    const double v = cell_number(t, row, column, 0);
    return v >= 1 && v <= 1e6 ? (int)v : 0;
}

/* Which columns of a table to read. */
typedef struct {
    int tile, transform, mbp;
    bool whole_tile; /* the cell identifies the tile as it is; else the file name in it does */
} columns;

static bool name_row(fnr_eval_row *row, const char *tile, const char *path, const char *mbp, fnr_error *err)
{
    row->tile = fnr_strdup(tile, err);
    row->path = fnr_strdup(path, err);
    row->mbp = fnr_strdup(mbp, err);
    return row->tile && row->path && row->mbp;
}

static bool read_csv_row(const fnr_csv *t, const columns *c, size_t i, fnr_eval_row *row, const char *path, fnr_error *err)
{
    const char *text = fnr_csv_cell(t, i, c->transform), *tile = fnr_csv_cell(t, i, c->tile);
    if (!name_row(row, c->whole_tile ? tile : fnr_path_base(tile), tile, fnr_csv_cell(t, i, c->mbp), err)) {
        return false;
    }
    fnr_text_unescape(row->tile); /* our tables hold names that are not UTF-8 this way */
    fnr_text_unescape(row->path);
    snprintf(row->verdict, sizeof row->verdict, "%s", fnr_csv_cell(t, i, fnr_csv_column(t, "verdict")));
    row->w = cell_extent(t, i, fnr_csv_column(t, "width"));
    row->h = cell_extent(t, i, fnr_csv_column(t, "height"));
    row->myelin_fraction = cell_number(t, i, fnr_csv_column(t, "myelin_fraction"), NAN);
    row->has_transform = text[0] != 0;
    if (row->has_transform && !fnr_transform_parse(text, FNR_FRAME_TILE, FNR_FRAME_IF, &row->t, err)) {
        fnr_error_prefix(err, "%s row %zu", path, i + 2);
        return false;
    }
    return true;
}

static bool read_csv(const char *path_and_column, const char *tile_column, fnr_eval_set *out, fnr_error *err)
{
    char path[FNR_PATH_MAX];
    fnr_csv table;
    snprintf(path, sizeof path, "%s", path_and_column);
    char *colon = fnr_is_file(path) ? NULL : strrchr(path, ':');
    if (colon) {
        *colon = 0;
    }
    if (!fnr_csv_read(path, &table, err)) {
        return false;
    }
    const char *tile = tile_column ? tile_column : "tile", *transform = colon ? colon + 1 : "transform";
    const columns c = {fnr_csv_column(&table, tile), fnr_csv_column(&table, transform), fnr_csv_column(&table, "mbp_file"),
                       tile_column != NULL};
    bool ok = true;
    if (c.tile < 0 || c.transform < 0) {
        ok = fnr_fail(err, FNR_E_FORMAT, "%s: the header has no column \"%s\"; name others with FILE:COLUMN and --tile-column",
                      path, c.tile < 0 ? tile : transform);
    }
    fnr_eval_set set = {.rows = ok ? fnr_calloc(table.rows, sizeof *set.rows, "list of tiles", err) : NULL};
    ok = ok && set.rows;
    for (size_t i = 0; ok && i + 1 < table.rows; i++) {
        set.count++;
        ok = read_csv_row(&table, &c, i, &set.rows[i], path, err);
    }
    fnr_csv_free(&table);
    if (!ok) {
        fnr_eval_free(&set);
        return false;
    }
    *out = set;
    return true;
}

static bool read_project(const char *path, const char *mbp_match, fnr_eval_set *out, fnr_error *err)
{
    fnr_config config = {.data.annotators = FNR_ANNOTATORS_EACH};
    fnr_placements placements;
    snprintf(config.images.mbp_match, sizeof config.images.mbp_match, "%s", mbp_match);
    if (!fnr_placements_read(&path, 1, &config, NULL, &placements, err)) {
        return false;
    }
    fnr_eval_set set = {.rows = fnr_calloc(placements.count, sizeof *set.rows, "list of tiles", err)};
    bool ok = set.rows != NULL;
    for (size_t i = 0; ok && i < placements.count; i++) {
        const fnr_placement *p = &placements.items[i];
        set.rows[i] = (fnr_eval_row){
            .has_transform = true, .t = p->tile_to_if, .w = p->em_width, .h = p->em_height, .myelin_fraction = NAN};
        set.count++;
        ok = name_row(&set.rows[i], fnr_path_base(p->em_path), p->em_path, p->mbp_path, err);
    }
    fnr_placements_free(&placements);
    if (!ok) {
        fnr_eval_free(&set);
        return false;
    }
    *out = set;
    return true;
}

bool fnr_eval_is_project(const char *path)
{
    const size_t n = strlen(path);
    return (n > 4 && !strcasecmp(path + n - 4, ".xml")) || (n > 7 && !strcasecmp(path + n - 7, ".xml.gz"));
}

bool fnr_eval_read(const char *path, const char *mbp_match, const char *tile_column, fnr_eval_set *out, fnr_error *err)
{
    return fnr_eval_is_project(path) ? read_project(path, mbp_match, out, err) : read_csv(path, tile_column, out, err);
}

/* How many parts of two paths agree, from the file name on. */
static int shared_parts(const char *a, const char *b)
{
    const char *p = a + strlen(a), *q = b + strlen(b);
    int parts = 0;
    while (p > a && q > b && p[-1] == q[-1]) {
        p--;
        q--;
        parts += *p == '/';
    }
    return parts + ((p == a || p[-1] == '/') && (q == b || q[-1] == '/'));
}

bool fnr_eval_find(const fnr_eval_set *s, const fnr_eval_row *like, const fnr_eval_row **found, fnr_error *err)
{
    const fnr_eval_row *best = NULL;
    int shared = -1;
    bool unclear = false;
    for (size_t i = 0; i < s->count; i++) {
        const fnr_eval_row *r = &s->rows[i];
        if (strcmp(r->tile, like->tile)) {
            continue;
        }
        const int parts = shared_parts(r->path, like->path);
        if (parts > shared) {
            best = r;
            shared = parts;
            unclear = false;
        } else if (parts == shared && strcmp(r->path, best->path)) {
            unclear = true;
        }
    }
    *found = best;
    return !unclear || fnr_fail(err, FNR_E_FORMAT,
                                "there are several tiles named %s in different folders, e.g. %s: compare one section at a time",
                                like->tile, best->path);
}
