#include "montage/neighbours.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#include "src/core/fs.h"
#include "src/core/mem.h"

/* Where neighbours of a grid may lie before anything is known, in sizes of a tile: steps along the row or column (the last one of a
 * section is often pushed back over its neighbour), and how far the stage may run askew. */
static const double STEP_MIN = 0.03, STEP_MAX = 0.99, ASKEW = 0.2;
/* Overlap of nominal positions, with tiles enlarged by REACH, from which on two tiles are compared: leaves out the corners of
 * diagonal neighbours in narrow overlaps. */
static const double REACH = 0.04, STAGE_OVERLAP_MIN = 0.02;

/* ---- sites -----------------------------------------------------------------------------------------------------------------------*/

enum { WHOLE_SET, BY_FOLDER, BY_NAMING, SITE_LEVELS };
enum { KEY_MAX = FNR_PATH_MAX + 16 };

/* What the names of one site have in common, at one of three levels; level BY_NAMING leaves row and column out. */
static void site_key(const fnr_tile *t, int level, char key[KEY_MAX])
{
    size_t begin, end;
    int row, col;
    key[0] = '\0';
    if (level == BY_FOLDER) {
        snprintf(key, KEY_MAX, "%.*s", (int)(t->name - t->path), t->path);
    } else if (level == BY_NAMING && fnr_tile_grid_token(t->name, &begin, &end, &row, &col)) {
        snprintf(key, KEY_MAX, "%.*s*%s", (int)(t->name - t->path) + (int)begin, t->path, t->name + end);
    }
}

typedef struct {
    int tile, row, col;
    char *key;
} grid_entry;

static int by_site_and_cell(const void *pa, const void *pb)
{
    const grid_entry *a = pa, *b = pb;
    const int by_key = strcmp(a->key, b->key);
    return by_key ? by_key : a->row != b->row ? (a->row > b->row) - (a->row < b->row) : (a->col > b->col) - (a->col < b->col);
}

/* site[i] of the tiles with row and column, at one level; *unique: no cell holds two tiles. */
static bool number_sites(const fnr_tileset *set, int level, int *site, bool *unique, fnr_error *err)
{
    grid_entry *entries = fnr_calloc(set->count + 1, sizeof *entries, "the tiles' grid", err);
    size_t n = 0;
    bool ok = entries;
    for (size_t i = 0; ok && i < set->count; i++) {
        const fnr_tile *t = &set->tiles[i];
        char key[KEY_MAX];
        if (t->row >= 0 && t->col >= 0) {
            site_key(t, level, key);
            entries[n] = (grid_entry){.tile = (int)i, .row = t->row, .col = t->col, .key = fnr_strdup(key, err)};
            ok = entries[n++].key;
        }
    }
    *unique = true;
    if (ok) {
        qsort(entries, n, sizeof *entries, by_site_and_cell);
    }
    for (size_t i = 0; ok && i < n; i++) {
        const bool same = i > 0 && strcmp(entries[i].key, entries[i - 1].key) == 0;
        site[entries[i].tile] = i == 0 ? 0 : site[entries[i - 1].tile] + !same;
        *unique = *unique && !(same && by_site_and_cell(&entries[i], &entries[i - 1]) == 0);
    }
    for (size_t i = 0; i < n; i++) {
        free(entries[i].key);
    }
    free(entries);
    return ok;
}

/* ---- pairs -----------------------------------------------------------------------------------------------------------------------*/

static double fraction_overlapping(const fnr_tile *a, const fnr_tile *b)
{
    const double dx = b->nominal_x - a->nominal_x, dy = b->nominal_y - a->nominal_y;
    const double w = fmin(a->w, b->w + dx) - fmax(0, dx) + REACH * a->w, h = fmin(a->h, b->h + dy) - fmax(0, dy) + REACH * a->h;
    return w > 0 && h > 0 ? w * h / fmin((double)a->w * a->h, (double)b->w * b->h) : 0;
}

static fnr_offset_box box_around(double x, double y, double rx, double ry)
{
    return (fnr_offset_box){x - rx, x + rx, y - ry, y + ry};
}

static bool stage_pair(const fnr_tile *a, const fnr_tile *b, double stage_error, fnr_neighbour_pair *p)
{
    if (fraction_overlapping(a, b) < STAGE_OVERLAP_MIN) {
        return false;
    }
    p->kind = FNR_PAIR_STAGE;
    p->located = true;
    p->boxes[0] = box_around(b->nominal_x - a->nominal_x, b->nominal_y - a->nominal_y, stage_error * a->w, stage_error * a->h);
    p->n_boxes = 1;
    return true;
}

/* Neither the sign nor the direction of rows and columns is known: images are often flipped or turned after they were named. */
static bool grid_pair(const fnr_tile *a, const fnr_tile *b, fnr_neighbour_pair *p)
{
    const int rows = b->row - a->row, cols = b->col - a->col;
    const double w = a->w > b->w ? a->w : b->w, h = a->h > b->h ? a->h : b->h;
    if (abs(rows) + abs(cols) != 1) {
        return false;
    }
    p->kind = cols ? FNR_PAIR_IN_ROW : FNR_PAIR_IN_COL;
    p->line = cols ? a->col : a->row;
    p->boxes[0] = (fnr_offset_box){STEP_MIN * w, STEP_MAX * w, -ASKEW * h, ASKEW * h};
    p->boxes[1] = (fnr_offset_box){-STEP_MAX * w, -STEP_MIN * w, -ASKEW * h, ASKEW * h};
    p->boxes[2] = (fnr_offset_box){-ASKEW * w, ASKEW * w, STEP_MIN * h, STEP_MAX * h};
    p->boxes[3] = (fnr_offset_box){-ASKEW * w, ASKEW * w, -STEP_MAX * h, -STEP_MIN * h};
    p->n_boxes = 4;
    return true;
}

static bool add_pair(fnr_neighbours *list, const fnr_neighbour_pair *p, fnr_error *err)
{
    if (!fnr_grow(&list->pairs, &list->capacity, list->count, sizeof *list->pairs, "the list of neighbours", err)) {
        return false;
    }
    list->pairs[list->count++] = *p;
    return true;
}

/* Appends the pair (i, j) when these two may overlap; a grid's a is the tile with the smaller row or column. */
static bool consider(fnr_neighbours *list, const fnr_tileset *set, size_t i, size_t j, const int *site, const fnr_stitch_options *opt,
                     fnr_error *err)
{
    const fnr_tile *a = &set->tiles[i], *b = &set->tiles[j];
    fnr_neighbour_pair p = {.link = {.a = (int)i, .b = (int)j}};
    bool found = false;
    if (a->has_nominal && b->has_nominal) {
        found = stage_pair(a, b, opt->stage_error, &p);
    } else if (site[i] >= 0 && site[i] == site[j]) {
        if (b->row + b->col < a->row + a->col) {
            const fnr_tile *swap = a;
            a = b;
            b = swap;
            p.link = (fnr_link){.a = (int)j, .b = (int)i};
        }
        found = grid_pair(a, b, &p);
    }
    return !found || add_pair(list, &p, err);
}

bool fnr_neighbours_find(fnr_neighbours *out, const fnr_tileset *set, const fnr_stitch_options *opt, fnr_error *err)
{
    fnr_neighbours list = {0};
    bool unique = false;
    int *site = fnr_calloc(set->count + 1, sizeof *site, "the tiles' grid", err);
    bool ok = site;
    for (size_t i = 0; ok && i < set->count; i++) {
        site[i] = -1;
    }
    for (int level = WHOLE_SET; ok && !unique && level < SITE_LEVELS; level++) {
        ok = number_sites(set, level, site, &unique, err);
    }
    for (size_t i = 0; ok && i < set->count; i++) {
        for (size_t j = i + 1; ok && j < set->count; j++) {
            if (set->tiles[i].w > 0 && set->tiles[j].w > 0 && !set->tiles[i].problem[0] && !set->tiles[j].problem[0]) {
                ok = consider(&list, set, i, j, site, opt, err);
            }
        }
    }
    free(site);
    if (!ok) {
        fnr_neighbours_free(&list);
        return false;
    }
    *out = list;
    return true;
}

void fnr_neighbours_free(fnr_neighbours *list)
{
    free(list->pairs);
    *list = (fnr_neighbours){0};
}
