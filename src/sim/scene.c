#include "src/sim/scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "src/core/mem.h"
#include "src/sim/cells.h"
#include "src/sim/noise.h"

/* Random streams of the scene, apart from those of the tiles and the montage. */
enum { STREAM_CELLS = 0x5CE0, STREAM_PLACES, STREAM_PARTS, STREAM_FIELD };

/* What is where, on a coarse grid: cells must not overlap, and myelin must keep out of bare ground. */
enum { TAKEN = 1, BARE = 2, OUTSIDE_SECTION = 4 };
typedef struct {
    fnr_sim_rect area;
    fnr_sim_rect imaged; /* the section and a rim, so that cells cross the edge of the tiles */
    double step;         /* [nm] */
    int w, h;
    uint8_t *flags;
} ground;

static bool ground_holds(const fnr_sim_rect *r, double x, double y)
{
    return x >= r->x0 && x <= r->x1 && y >= r->y0 && y <= r->y1;
}

static bool ground_new(ground *g, const fnr_sim_plan *plan, double step, fnr_error *err)
{
    const double rim = 6000.0;
    const fnr_sim_rect *area = &plan->world, *s = &plan->section;
    *g = (ground){.area = *area, .imaged = {s->x0 - rim, s->y0 - rim, s->x1 + rim, s->y1 + rim}, .step = step};
    g->w = 1 + (int)ceil((area->x1 - area->x0) / step);
    g->h = 1 + (int)ceil((area->y1 - area->y0) / step);
    g->flags = fnr_calloc((size_t)g->w * (size_t)g->h, 1, "the map of simulated tissue", err);
    return g->flags != NULL;
}

/* Where myelin grows: one smooth field, high inside nerve fascicles.  In the section it also falls along one direction, so that
 * the empty part is one region that holds whole tiles, as at the edge of a real section. */
static double fascicle_field(uint64_t seed, const fnr_sim_rect *section, double x, double y)
{
    fnr_rng rng = fnr_rng_at(seed, STREAM_FIELD, 0);
    const double angle = 6.283185307179586 * fnr_rng_uniform(&rng);
    const double w = section->x1 - section->x0, h = section->y1 - section->y0;
    const double across = ((x - section->x0) / w - 0.5) * cos(angle) + ((y - section->y0) / h - 0.5) * sin(angle);
    return across + 0.45 * (double)fnr_sim_fractal(fnr_rng_u64(&rng), x / (0.5 * w), y / (0.5 * h));
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The level of the field below which `fraction` of the section lies. */
static double field_level(uint64_t seed, const fnr_sim_rect *section, double fraction)
{
    enum { N = 48 };
    double value[N * N];
    for (int i = 0; i < N * N; i++) {
        const double x = section->x0 + (section->x1 - section->x0) * (i % N + 0.5) / N;
        const double y = section->y0 + (section->y1 - section->y0) * (i / N + 0.5) / N;
        value[i] = fascicle_field(seed, section, x, y);
    }
    qsort(value, N * N, sizeof value[0], ascending);
    const int k = (int)(fraction * N * N);
    return k <= 0 ? -INFINITY : k >= N * N ? INFINITY : value[k];
}

static void mark_bare(ground *g, uint64_t seed, const fnr_sim_plan *plan)
{
    const double level = field_level(seed, &plan->section, plan->empty_fraction);
    const fnr_sim_rect *s = &plan->section;
    const double patch = 0.35 * (s->x1 - s->x0 + s->y1 - s->y0); /* fascicles of about the section's size elsewhere */
    for (int j = 0; j < g->h; j++) {
        for (int i = 0; i < g->w; i++) {
            const double x = g->area.x0 + i * g->step, y = g->area.y0 + j * g->step;
            bool bare = fascicle_field(seed, s, x, y) < level;
            const bool imaged = ground_holds(&g->imaged, x, y);
            if (!imaged) { /* elsewhere there are other fascicles and empty resin */
                bare = (double)fnr_sim_fractal(seed ^ STREAM_FIELD, x / patch, y / patch) < -0.02;
            }
            g->flags[(size_t)j * (size_t)g->w + (size_t)i] = (uint8_t)((bare ? BARE : 0) | (imaged ? 0 : OUTSIDE_SECTION));
        }
    }
}

static double ground_share(const ground *g, int flags)
{
    size_t n = 0;
    const size_t all = (size_t)g->w * (size_t)g->h;
    for (size_t i = 0; i < all; i++) {
        n += (g->flags[i] & flags) == 0;
    }
    return (double)n * g->step * g->step;
}

/* Visits the grid points the cell covers (with a margin); returns false when one carries a forbidden flag, and sets `mark`. */
static bool ground_cover(ground *g, const fnr_sim_cell *c, double margin, int forbidden, int mark)
{
    const double reach = (double)c->reach + margin;
    const int i0 = (int)floor((c->outline.x - reach - g->area.x0) / g->step),
              i1 = (int)ceil((c->outline.x + reach - g->area.x0) / g->step);
    const int j0 = (int)floor((c->outline.y - reach - g->area.y0) / g->step),
              j1 = (int)ceil((c->outline.y + reach - g->area.y0) / g->step);
    for (int j = j0 < 0 ? 0 : j0; j <= j1 && j < g->h; j++) {
        for (int i = i0 < 0 ? 0 : i0; i <= i1 && i < g->w; i++) {
            uint8_t *flags = &g->flags[(size_t)j * (size_t)g->w + (size_t)i];
            if (!(*flags & forbidden) && !mark) {
                continue;
            }
            const fnr_sim_near near = fnr_sim_shape_near(&c->outline, g->area.x0 + i * g->step, g->area.y0 + j * g->step);
            if ((double)(near.distance - fnr_sim_cell_skirt(c, near.turn)) > margin) {
                continue;
            }
            if (*flags & forbidden) {
                return false;
            }
            *flags = (uint8_t)(*flags | mark);
        }
    }
    return true;
}

typedef struct {
    fnr_sim_kind kind;
    double coverage; /* of the free ground, wanted */
    double per_um2;  /* or a number per area, when coverage is 0 */
    double margin;   /* to others [nm], relative gaps between cells */
    int forbidden;   /* flags */
    int tries;
    double touching; /* share of tries that grow next to a placed cell */
} crop;

/* Large and rare things first, so that they find room. */
static const crop crops[] = {
    {FNR_SIM_VESSEL, 0, 1.0 / 1500, 300, TAKEN | OUTSIDE_SECTION, 40, 0},
    {FNR_SIM_NUCLEUS, 0.08, 0, 150, TAKEN | OUTSIDE_SECTION, 30, 0},
    {FNR_SIM_FIBRE, 0.42, 0, 60, TAKEN | BARE, 100, 0.6},
    {FNR_SIM_BUNDLE, 0.8, 0, 60, TAKEN | BARE | OUTSIDE_SECTION, 80, 0.6},
    {FNR_SIM_PROCESS, 0.15, 0, 40, TAKEN | OUTSIDE_SECTION, 40, 0.3},
    {FNR_SIM_BODY, 0, 1.0 / 25, 0, TAKEN | OUTSIDE_SECTION, 10, 0},
};

static int larger_first(const void *a, const void *b)
{
    const fnr_sim_cell *p = a, *q = b;
    return p->reach > q->reach ? -1 : p->reach < q->reach ? 1 : (p->key > q->key) - (p->key < q->key);
}

/* Walks outwards from a placed cell until the new one fits: it then touches its neighbour. */
static bool place_beside(ground *g, const crop *rule, const fnr_sim_rect *area, const fnr_sim_cell *neighbour, fnr_sim_cell *c,
                         fnr_rng *rng)
{
    const double angle = 6.283185307179586 * fnr_rng_uniform(rng), step = 80.0;
    const double far = (double)(neighbour->reach + c->reach);
    for (double d = 0.35 * far; d <= far; d += step) {
        fnr_sim_cell_move(c, neighbour->outline.x + d * cos(angle), neighbour->outline.y + d * sin(angle));
        if (ground_holds(area, c->outline.x, c->outline.y) && ground_cover(g, c, rule->margin, rule->forbidden, 0)) {
            return true;
        }
    }
    return false;
}

/* Tries random places, and places beside cells of the same kind. */
static bool place(ground *g, const crop *rule, const fnr_sim_cell *placed, size_t n_placed, fnr_sim_cell *c, fnr_rng *rng)
{
    const fnr_sim_rect *area = rule->forbidden & OUTSIDE_SECTION ? &g->imaged : &g->area;
    for (int k = 0; k < rule->tries; k++) {
        if (n_placed && fnr_rng_uniform(rng) < rule->touching) {
            if (place_beside(g, rule, area, &placed[fnr_rng_below(rng, n_placed)], c, rng)) {
                return true;
            }
            continue;
        }
        const double x = area->x0 + (area->x1 - area->x0) * fnr_rng_uniform(rng);
        const double y = area->y0 + (area->y1 - area->y0) * fnr_rng_uniform(rng);
        fnr_sim_cell_move(c, x, y);
        if (ground_cover(g, c, rule->margin, rule->forbidden, 0)) {
            return true;
        }
    }
    return false;
}

/* Makes cells of one kind until their area reaches what the rule wants, then places them, large ones first. */
static bool sow(fnr_sim_scene *s, ground *g, const crop *rule, uint64_t stream, double grain, const fnr_cancel *cancel,
                fnr_error *err)
{
    fnr_rng rng = fnr_rng_at(s->seed, STREAM_CELLS, stream), places = fnr_rng_at(s->seed, STREAM_PLACES, stream);
    const double free_area = ground_share(g, rule->forbidden);
    const double wanted = rule->coverage > 0 ? rule->coverage * free_area : ceil(rule->per_um2 * free_area * 1e-6);
    const size_t first = s->n_cells;
    for (double sum = 0; sum < wanted;) {
        if (!fnr_grow(&s->cells, &s->cells_capacity, s->n_cells, sizeof *s->cells, "simulated cells", err)) {
            return false;
        }
        fnr_sim_cell *c = &s->cells[s->n_cells++];
        fnr_sim_cell_make(c, rule->kind, grain, &rng);
        sum += rule->coverage > 0 ? 3.14159265 * (double)c->outline.a * (double)c->outline.b : 1.0;
    }
    qsort(s->cells + first, s->n_cells - first, sizeof *s->cells, larger_first);
    size_t kept = first;
    for (size_t i = first; i < s->n_cells; i++) {
        if (fnr_cancelled(cancel)) {
            return fnr_fail(err, FNR_E_CANCELLED, "simulation stopped on request");
        }
        fnr_sim_cell c = s->cells[i];
        if (place(g, rule, s->cells + first, kept - first, &c, &places)) {
            ground_cover(g, &c, 0.0, 0, TAKEN);
            s->cells[kept++] = c;
        }
    }
    s->n_cells = kept;
    return true;
}

static int by_kind(const void *a, const void *b)
{
    const fnr_sim_cell *p = a, *q = b;
    return p->kind != q->kind ? (int)p->kind - (int)q->kind : (p->key > q->key) - (p->key < q->key);
}

bool fnr_sim_scene_build(fnr_sim_scene *out, uint64_t seed, const fnr_sim_plan *plan, const fnr_cancel *cancel, fnr_error *err)
{
    bool ok = false;
    fnr_sim_scene s = {.seed = seed};
    ground g = {0};
    fnr_rng rng = fnr_rng_at(seed, STREAM_PARTS, 0);
    const double grain = 3.14159265 * fnr_rng_uniform(&rng);
    if (!ground_new(&g, plan, 150.0, err)) {
        goto done;
    }
    mark_bare(&g, seed, plan);
    for (size_t i = 0; i < sizeof crops / sizeof crops[0]; i++) {
        if (!sow(&s, &g, &crops[i], i, grain, cancel, err)) {
            goto done;
        }
    }
    qsort(s.cells, s.n_cells, sizeof *s.cells, by_kind);
    for (size_t i = 0; i < s.n_cells; i++) {
        if (!fnr_sim_cell_fill(&s, &s.cells[i], &rng, err)) {
            goto done;
        }
    }
    *out = s;
    s = (fnr_sim_scene){0};
    ok = true;
done:
    fnr_sim_scene_free(&s);
    free(g.flags);
    return ok;
}

void fnr_sim_scene_free(fnr_sim_scene *s)
{
    free(s->cells);
    free(s->parts);
    *s = (fnr_sim_scene){0};
}
