#include "montage/tileset.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "montage/neighbours.h"
#include "src/core/csv.h"
#include "src/core/fs.h"
#include "src/core/mem.h"
#include "src/geom/trakem2.h"
#include "src/image/meta.h"

enum { GRID_MAX = 99999 };

/* ---- grids in file names ---------------------------------------------------------------------------------------------------------*/

/* Digits at *p as a number below GRID_MAX; moves *p behind them. */
static bool take_number(const char **p, int *value)
{
    int v = 0;
    if (!isdigit((unsigned char)**p)) {
        return false;
    }
    for (; isdigit((unsigned char)**p); (*p)++) {
        v = v * 10 + (**p - '0');
        if (v > GRID_MAX) {
            return false;
        }
    }
    *value = v;
    return true;
}

static bool is_separator(char c)
{
    return c && strchr("-_. ", c);
}

/* One of the words, then perhaps a separator, then digits. */
static bool take_index(const char **p, const char *const *words, int *value)
{
    for (; *words; words++) {
        const char *q = *p;
        if (strncasecmp(q, *words, strlen(*words)) == 0) {
            q += strlen(*words);
            q += is_separator(*q) || *q == '=';
            if (take_number(&q, value)) {
                *p = q;
                return true;
            }
        }
    }
    return false;
}

/* "r3-c2" at p, or "003-002" behind the word tile. */
static bool grid_at(const char *p, bool behind_tile, int *row, int *col, const char **end)
{
    static const char *const row_words[] = {"row", "r", NULL}, *const col_words[] = {"column", "col", "c", NULL};
    const char *q = p;
    if (take_index(&q, row_words, row)) {
        q += is_separator(*q);
        return take_index(&q, col_words, col) && (*end = q);
    }
    q = p;
    return behind_tile && take_number(&q, row) && (*q == '-' || *q == '_') && *++q && take_number(&q, col) && (*end = q);
}

bool fnr_tile_grid_token(const char *name, size_t *begin, size_t *end, int *row, int *col)
{
    for (const char *p = name; *p; p++) {
        /* "r3" inside a word ("thr3-c2") is no row. */
        const bool word_begins = p == name || !isalnum((unsigned char)p[-1]);
        const bool behind_tile = p - name >= 5 && strncasecmp(p - 5, "tile", 4) == 0 && is_separator(p[-1]);
        const char *behind;
        int r, c;
        if (word_begins && grid_at(p, behind_tile, &r, &c, &behind)) {
            *begin = (size_t)(p - name);
            *end = (size_t)(behind - name);
            *row = r;
            *col = c;
            return true;
        }
    }
    return false;
}

bool fnr_tile_grid_from_name(const char *name, int *row, int *col)
{
    size_t begin, end;
    return fnr_tile_grid_token(name, &begin, &end, row, col);
}

/* ---- the set ---------------------------------------------------------------------------------------------------------------------*/

bool fnr_tileset_add(fnr_tileset *set, const char *path, fnr_error *err)
{
    if (!fnr_grow(&set->tiles, &set->capacity, set->count, sizeof *set->tiles, "the list of tiles", err)) {
        return false;
    }
    char *copy = fnr_strdup(path, err);
    if (!copy) {
        return false;
    }
    fnr_tile *t = &set->tiles[set->count++];
    *t = (fnr_tile){.path = copy, .name = fnr_path_base(copy), .row = -1, .col = -1, .group = -1};
    fnr_tile_grid_from_name(t->name, &t->row, &t->col);
    return true;
}

void fnr_tileset_free(fnr_tileset *set)
{
    for (size_t i = 0; i < set->count; i++) {
        free(set->tiles[i].path);
    }
    free(set->tiles);
    free(set->links);
    *set = (fnr_tileset){0};
}

/* ---- stage positions -------------------------------------------------------------------------------------------------------------*/

typedef struct {
    char stem[256];
    double x, y;
} position;

static int by_stem(const void *a, const void *b)
{
    return strcmp(((const position *)a)->stem, ((const position *)b)->stem);
}

/* Gives every tile whose name (without extension) is among the positions its place; sorts `p`. */
static bool assign(fnr_tileset *set, position *p, size_t n, const char *source, size_t *matched, fnr_error *err)
{
    size_t found = 0;
    qsort(p, n, sizeof *p, by_stem);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(p[i].stem, p[i - 1].stem) == 0 && (p[i].x != p[i - 1].x || p[i].y != p[i - 1].y)) {
            return fnr_fail(err, FNR_E_FORMAT, "%s: tile %s has two positions; keep one of them", source, p[i].stem);
        }
    }
    for (size_t i = 0; i < set->count; i++) {
        position key;
        fnr_path_stem(key.stem, sizeof key.stem, set->tiles[i].name);
        const position *hit = n ? bsearch(&key, p, n, sizeof *p, by_stem) : NULL;
        if (hit) {
            set->tiles[i].has_nominal = true;
            set->tiles[i].nominal_x = hit->x;
            set->tiles[i].nominal_y = hit->y;
            found++;
        }
    }
    if (matched) {
        *matched = found;
    }
    return true;
}

static int first_column(const fnr_csv *t, const char *name, const char *other)
{
    const int c = fnr_csv_column(t, name);
    return c >= 0 ? c : fnr_csv_column(t, other);
}

bool fnr_tileset_read_positions(fnr_tileset *set, const char *csv_path, size_t *matched, fnr_error *err)
{
    fnr_csv table;
    if (!fnr_csv_read(csv_path, &table, err)) {
        return false;
    }
    const int name = fnr_csv_column(&table, "tile"), x = first_column(&table, "stage_x", "x"), y = first_column(&table, "stage_y", "y");
    const size_t n = table.rows > 0 ? table.rows - 1 : 0;
    position *p = fnr_calloc(n + 1, sizeof *p, "stage positions", err);
    bool ok = p;
    if (ok && (name < 0 || x < 0 || y < 0)) {
        ok = fnr_fail(err, FNR_E_FORMAT, "%s: a table of stage positions needs the columns tile, stage_x, stage_y", csv_path);
    }
    for (size_t i = 0; ok && i < n; i++) {
        fnr_path_stem(p[i].stem, sizeof p[i].stem, fnr_csv_cell(&table, i, name));
        if (!fnr_parse_number(fnr_csv_cell(&table, i, x), NULL, &p[i].x) || !fnr_parse_number(fnr_csv_cell(&table, i, y), NULL, &p[i].y)) {
            ok = fnr_fail(err, FNR_E_FORMAT, "%s: the position of tile %s is no pair of numbers (\"%.40s\", \"%.40s\")", csv_path,
                          p[i].stem, fnr_csv_cell(&table, i, x), fnr_csv_cell(&table, i, y));
        }
    }
    ok = ok && assign(set, p, n, csv_path, matched, err);
    free(p);
    fnr_csv_free(&table);
    return ok;
}

bool fnr_tileset_read_trakem2(fnr_tileset *set, const char *xml_path, size_t *matched, fnr_error *err)
{
    fnr_t2_project project;
    if (!fnr_t2_read(xml_path, &project, err)) {
        return false;
    }
    position *p = fnr_calloc(project.n_patches + 1, sizeof *p, "stage positions", err);
    bool ok = p;
    for (size_t i = 0; ok && i < project.n_patches; i++) {
        const fnr_t2_patch *patch = &project.patches[i];
        const fnr_point origin = fnr_transform_apply(&patch->to_world, (fnr_point){0, 0});
        fnr_path_stem(p[i].stem, sizeof p[i].stem, patch->file_path);
        p[i].x = origin.x;
        p[i].y = origin.y;
    }
    ok = ok && assign(set, p, project.n_patches, xml_path, matched, err);
    free(p);
    fnr_t2_free(&project);
    return ok;
}
