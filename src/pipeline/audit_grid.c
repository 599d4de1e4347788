/* File names such as Tile_r3-c2.tif tell where tiles lie relative to each other: two that were exchanged, or one that was put
 * where another belongs, stand out although each looks well placed by itself. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "montage/tileset.h"
#include "src/core/fs.h"
#include "src/core/mem.h"
#include "src/pipeline/audit_parts.h"

/* Further off than this part of a tile is another place.  Two measures must agree: against even steps, which finds exchanged
 * tiles in small grids too, and against the tile's own row and column, which forgives a last column that overlaps more than the
 * others. */
static const double off_steps = 0.5, off_lines = 0.25;
enum { LEAST = 4, SWEEPS = 8 };

typedef struct {
    const fnr_eval_row *row;
    int r, c;
    fnr_point centre; /* [IF px] */
    fnr_point rest;   /* of the centre, turned back, after what its row and column share [EM px] */
} member;

typedef struct {
    member *all;
    size_t n;
    double *x, *y;               /* room for n * n numbers each */
    fnr_point by_column, by_row; /* from one tile to the next [EM px] */
} grid;

static fnr_point turn(const fnr_transform *t, fnr_point p)
{
    return (fnr_point){t->m00 * p.x + t->m01 * p.y, t->m10 * p.x + t->m11 * p.y};
}

static fnr_point turn_back(const fnr_transform *t, fnr_point p)
{
    const double det = t->m00 * t->m11 - t->m01 * t->m10;
    return (fnr_point){(t->m11 * p.x - t->m01 * p.y) / det, (-t->m10 * p.x + t->m00 * p.y) / det};
}

/* Median step between tiles of one row (or column) of the grid [EM px]; false when no two lie in one. */
static bool find_step(grid *g, bool along_row, fnr_point *step)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++) {
        for (size_t k = 0; k < g->n; k++) {
            const member *a = &g->all[i], *b = &g->all[k];
            const int apart = along_row ? b->c - a->c : b->r - a->r;
            if (apart > 0 && (along_row ? a->r == b->r : a->c == b->c)) {
                const fnr_point d = turn_back(&a->row->t, (fnr_point){b->centre.x - a->centre.x, b->centre.y - a->centre.y});
                g->x[n] = d.x / apart;
                g->y[n++] = d.y / apart;
            }
        }
    }
    *step = (fnr_point){fnr_audit_median(g->x, n), fnr_audit_median(g->y, n)};
    return n > 0;
}

/* Where the others put cell (r, c) of the grid: the median of what each says [IF px]. */
static fnr_point expected(grid *g, const member *self)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++) {
        const member *m = &g->all[i];
        const double dc = self->c - m->c, dr = self->r - m->r;
        if (m == self) {
            continue;
        }
        const fnr_point d =
            turn(&m->row->t, (fnr_point){dc * g->by_column.x + dr * g->by_row.x, dc * g->by_column.y + dr * g->by_row.y});
        g->x[n] = m->centre.x + d.x;
        g->y[n++] = m->centre.y + d.y;
    }
    return (fnr_point){fnr_audit_median(g->x, n), fnr_audit_median(g->y, n)};
}

/* Subtracts from every row (or column) of the grid what its tiles have in common. */
static void sweep(grid *g, bool rows)
{
    for (size_t i = 0; i < g->n; i++) {
        const int line = rows ? g->all[i].r : g->all[i].c;
        size_t n = 0;
        bool first = true;
        for (size_t k = 0; k < g->n; k++) {
            const member *m = &g->all[k];
            if ((rows ? m->r : m->c) == line) {
                first = first && k >= i;
                g->x[n] = m->rest.x;
                g->y[n++] = m->rest.y;
            }
        }
        const fnr_point common = {fnr_audit_median(g->x, n), fnr_audit_median(g->y, n)};
        for (size_t k = 0; first && k < g->n; k++) {
            member *m = &g->all[k];
            if ((rows ? m->r : m->c) == line) {
                m->rest.x -= common.x;
                m->rest.y -= common.y;
            }
        }
    }
}

/* Median polish (Tukey 1977): robust positions of rows and columns, however far apart they lie. */
static void polish(grid *g)
{
    for (size_t i = 0; i < g->n; i++) {
        g->x[i] = g->all[i].row->t.m00;
        g->y[i] = g->all[i].row->t.m10;
    }
    const double a = fnr_audit_median(g->x, g->n), b = fnr_audit_median(g->y, g->n);
    const fnr_transform pose = {.m00 = a, .m10 = b, .m01 = -b, .m11 = a};
    for (size_t i = 0; i < g->n; i++) {
        g->all[i].rest = turn_back(&pose, g->all[i].centre);
    }
    for (int k = 0; k < SWEEPS; k++) {
        sweep(g, k % 2);
    }
}

static bool check_member(grid *g, const member *m, const char *file, int tile_px, fnr_audit *a, fnr_error *err)
{
    const fnr_point e = expected(g, m);
    const double px = hypot(m->centre.x - e.x, m->centre.y - e.y);
    const int w = fnr_audit_width(m->row, tile_px), h = fnr_audit_height(m->row, tile_px);
    const double side = w < h ? w : h;
    if (!(px > off_steps * side * fnr_transform_scale(&m->row->t) && hypot(m->rest.x, m->rest.y) > off_lines * side)) {
        return true;
    }
    const fnr_audit_about about = {FNR_AUDIT_ERROR,
                                   "wrong place",
                                   m->row->tile,
                                   file,
                                   px,
                                   "IF px",
                                   "Compare it with the tile that belongs there; perhaps two tiles were exchanged."};
    return fnr_audit_add(a, &about, err,
                         "it lies %.0f IF px from where the row and column in its name put it among its %zu neighbours", px,
                         g->n - 1);
}

static bool same_group(const fnr_eval_row *a, const fnr_eval_row *b)
{
    const size_t n = (size_t)(fnr_path_base(a->path) - a->path);
    return !strcmp(a->mbp, b->mbp) && n == (size_t)(fnr_path_base(b->path) - b->path) && !strncmp(a->path, b->path, n);
}

/* Tiles of the folder and montage of `first`; the group belongs to the first of its members in the set. */
static bool collect(const fnr_eval_set *set, size_t first, int tile_px, grid *g)
{
    g->n = 0;
    for (size_t i = 0; i < set->count; i++) {
        const fnr_eval_row *r = &set->rows[i];
        member m = {.row = r};
        if (!r->has_transform || !(fnr_transform_scale(&r->t) > 0) ||
            !fnr_tile_grid_from_name(fnr_path_base(r->path), &m.r, &m.c) || !same_group(r, &set->rows[first])) {
            continue;
        }
        if (i < first) {
            return false;
        }
        m.centre = fnr_audit_centre(r, tile_px);
        g->all[g->n++] = m;
    }
    return g->n >= LEAST && g->all[0].row == &set->rows[first];
}

static bool check_group(grid *g, const char *name, int tile_px, fnr_audit *audit, fnr_error *err)
{
    g->x = fnr_calloc(g->n * g->n, sizeof *g->x, "steps of the grid", err);
    g->y = fnr_calloc(g->n * g->n, sizeof *g->y, "steps of the grid", err);
    bool ok = g->x && g->y;
    if (ok && find_step(g, true, &g->by_column) && find_step(g, false, &g->by_row)) {
        polish(g);
        for (size_t i = 0; ok && i < g->n; i++) {
            ok = check_member(g, &g->all[i], name, tile_px, audit, err);
        }
    }
    free(g->x);
    free(g->y);
    return ok;
}

bool fnr_audit_grid(const fnr_eval_set *set, const char *name, int tile_px, fnr_audit *audit, fnr_error *err)
{
    grid g = {.all = fnr_calloc(set->count + 1, sizeof *g.all, "tiles of the grid", err)};
    bool ok = g.all != NULL;
    for (size_t first = 0; ok && first < set->count; first++) {
        ok = !collect(set, first, tile_px, &g) || check_group(&g, name, tile_px, audit, err);
    }
    free(g.all);
    return ok;
}
