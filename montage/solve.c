/* Positions of tiles from offsets between them: each component of the graph of links is one weighted least-squares problem, whose
 * normal equations are the graph's Laplacian.  Tiles are numbered breadth first, which keeps the matrix of a grid in a narrow
 * band. */
#include "montage/solve.h"

#include <math.h>
#include <stdlib.h>

#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>

#include "src/core/mem.h"

enum { ROUNDS = 30 }; /* of reweighting */
static const double SD_FLOOR = 0.1;  /* tiles are distorted a little: no offset is known better [px] */
static const double CAUCHY = 2.0;    /* residual at which a link counts half, in standard deviations of the residuals */
static const double CONVERGED = 1e-4; /* [px] */

typedef struct {
    fnr_tileset *set;
    int *first, *adjacent; /* links of tile i: adjacent[first[i] .. first[i + 1] - 1] */
    int *order, *place;    /* tiles by breadth-first number, and back; -1 not reached */
    double *weight;        /* of each link */
    gsl_matrix *band;
    gsl_vector *rhs[2], *solution;
} solver;

static void solver_free(solver *s)
{
    free(s->first);
    free(s->adjacent);
    free(s->order);
    free(s->place);
    free(s->weight);
}

static bool solver_new(solver *s, fnr_tileset *set, fnr_error *err)
{
    *s = (solver){.set = set};
    if (!(s->first = fnr_calloc(set->count + 2, sizeof *s->first, "the tiles' positions", err)) ||
        !(s->adjacent = fnr_calloc(2 * set->n_links + 1, sizeof *s->adjacent, "the tiles' positions", err)) ||
        !(s->order = fnr_calloc(set->count + 1, sizeof *s->order, "the tiles' positions", err)) ||
        !(s->place = fnr_calloc(set->count + 1, sizeof *s->place, "the tiles' positions", err)) ||
        !(s->weight = fnr_calloc(set->n_links + 1, sizeof *s->weight, "the tiles' positions", err))) {
        solver_free(s);
        return false;
    }
    for (size_t i = 0; i < set->n_links; i++) {
        s->first[set->links[i].a + 2]++;
        s->first[set->links[i].b + 2]++;
    }
    for (size_t i = 2; i < set->count + 2; i++) {
        s->first[i] += s->first[i - 1];
    }
    for (size_t i = 0; i < set->n_links; i++) { /* first[t + 1] runs from the begin of t's links to their end */
        s->adjacent[s->first[set->links[i].a + 1]++] = (int)i;
        s->adjacent[s->first[set->links[i].b + 1]++] = (int)i;
    }
    return true;
}

/* Numbers the component of `seed` from order[start] on; gives the number behind its last tile. */
static int number_component(solver *s, int seed, int start, int group)
{
    int end = start;
    s->order[end] = seed;
    s->place[seed] = end++;
    for (int i = start; i < end; i++) {
        const int tile = s->order[i];
        s->set->tiles[tile].group = group;
        for (int k = s->first[tile]; k < s->first[tile + 1]; k++) {
            const fnr_link *l = &s->set->links[s->adjacent[k]];
            const int other = l->a == tile ? l->b : l->a;
            if (l->used && s->place[other] < 0) {
                s->order[end] = other;
                s->place[other] = end++;
            }
        }
    }
    return end;
}

static size_t bandwidth(const solver *s, int start, int end)
{
    int widest = 0;
    for (int i = start; i < end; i++) {
        for (int k = s->first[s->order[i]]; k < s->first[s->order[i] + 1]; k++) {
            const fnr_link *l = &s->set->links[s->adjacent[k]];
            const int d = l->used ? abs(s->place[l->a] - s->place[l->b]) : 0;
            widest = d > widest ? d : widest;
        }
    }
    /* the first tile is fixed: between the others, numbers differ by less */
    return (size_t)(widest < end - start - 2 ? widest : end - start - 2);
}

/* Adds weight w times (pose(b) - pose(a) - offset)^2; numbers count from the component's second tile, the first is fixed at 0. */
static void add_link(solver *s, const fnr_link *l, int start, double w)
{
    const int a = s->place[l->a] - start - 1, b = s->place[l->b] - start - 1;
    const double offset[2] = {l->dx, l->dy};
    if (a >= 0) {
        *gsl_matrix_ptr(s->band, (size_t)a, 0) += w;
    }
    if (b >= 0) {
        *gsl_matrix_ptr(s->band, (size_t)b, 0) += w;
    }
    if (a >= 0 && b >= 0) {
        *gsl_matrix_ptr(s->band, (size_t)(a < b ? a : b), (size_t)abs(a - b)) -= w;
    }
    for (int d = 0; d < 2; d++) {
        if (a >= 0) {
            *gsl_vector_ptr(s->rhs[d], (size_t)a) -= w * offset[d];
        }
        if (b >= 0) {
            *gsl_vector_ptr(s->rhs[d], (size_t)b) += w * offset[d];
        }
    }
}

/* One weighted solution of a component with its first tile at (0, 0); *moved is the largest change of a position. */
static bool solve_once(solver *s, int start, int end, double *moved, fnr_error *err)
{
    gsl_matrix_set_zero(s->band);
    gsl_vector_set_zero(s->rhs[0]);
    gsl_vector_set_zero(s->rhs[1]);
    for (int i = start; i < end; i++) {
        for (int k = s->first[s->order[i]]; k < s->first[s->order[i] + 1]; k++) {
            const fnr_link *l = &s->set->links[s->adjacent[k]];
            if (l->used && l->a == s->order[i]) {
                add_link(s, l, start, s->weight[s->adjacent[k]]);
            }
        }
    }
    int status = gsl_linalg_cholesky_band_decomp(s->band);
    *moved = 0;
    for (int d = 0; d < 2 && !status; d++) {
        status = gsl_linalg_cholesky_band_solve(s->band, s->rhs[d], s->solution);
        for (int i = start; i < end && !status; i++) {
            fnr_tile *t = &s->set->tiles[s->order[i]];
            double *position = d ? &t->y : &t->x;
            const double value = i == start ? 0 : gsl_vector_get(s->solution, (size_t)(i - start - 1));
            *moved = fmax(*moved, fabs(value - *position));
            *position = value;
        }
    }
    return !status || fnr_fail(err, FNR_E_NUMERIC, "the positions of %d tiles cannot be computed (%s)", end - start, gsl_strerror(status));
}

static double residual(const fnr_tileset *set, const fnr_link *l)
{
    const fnr_tile *a = &set->tiles[l->a], *b = &set->tiles[l->b];
    return hypot(b->x - a->x - l->dx, b->y - a->y - l->dy);
}

static double link_sd(const fnr_link *l)
{
    return hypot(l->sd, SD_FLOOR);
}

/* Cauchy weights from the residuals of the present solution. */
static void reweight(solver *s)
{
    for (size_t i = 0; i < s->set->n_links; i++) {
        const fnr_link *l = &s->set->links[i];
        const double sd = link_sd(l), r = residual(s->set, l) / (CAUCHY * sd);
        s->weight[i] = 1.0 / (sd * sd * (1.0 + r * r));
    }
}

static bool allocate_system(solver *s, size_t unknowns, size_t width, fnr_error *err)
{
    if ((double)unknowns * (double)(width + 1) * sizeof(double) > 2e9) {
        return fnr_fail(err, FNR_E_LIMIT, "%zu linked tiles are too many to solve for their positions", unknowns);
    }
    s->band = gsl_matrix_alloc(unknowns, width + 1);
    s->rhs[0] = gsl_vector_alloc(unknowns);
    s->rhs[1] = gsl_vector_alloc(unknowns);
    s->solution = gsl_vector_alloc(unknowns);
    return (s->band && s->rhs[0] && s->rhs[1] && s->solution) || fnr_fail(err, FNR_E_LIMIT, "no memory for the tiles' positions");
}

static void free_system(solver *s)
{
    gsl_matrix_free(s->band);
    gsl_vector_free(s->rhs[0]);
    gsl_vector_free(s->rhs[1]);
    gsl_vector_free(s->solution);
    s->band = NULL;
    s->rhs[0] = s->rhs[1] = s->solution = NULL;
}

static bool solve_component(solver *s, int start, int end, fnr_error *err)
{
    bool ok = allocate_system(s, (size_t)(end - start - 1), bandwidth(s, start, end), err);
    double moved = INFINITY;
    for (int round = 0; ok && round < ROUNDS && moved > CONVERGED; round++) {
        ok = solve_once(s, start, end, &moved, err);
        reweight(s);
    }
    free_system(s);
    return ok;
}

/* All components of the links still in use; groups get numbers in the order of their first tile. */
static bool solve_all(solver *s, fnr_error *err)
{
    fnr_tileset *set = s->set;
    int placed = 0;
    set->groups = 0;
    set->isolated = 0;
    for (size_t i = 0; i < set->count; i++) {
        s->place[i] = -1;
        set->tiles[i].group = -1;
        set->tiles[i].x = set->tiles[i].y = 0;
    }
    for (size_t i = 0; i < set->n_links; i++) {
        const double sd = link_sd(&set->links[i]);
        s->weight[i] = 1.0 / (sd * sd);
    }
    for (size_t i = 0; i < set->count; i++) {
        if (s->place[i] >= 0) {
            continue;
        }
        const int end = number_component(s, (int)i, placed, set->groups);
        if (end == placed + 1) {
            set->tiles[i].group = -1;
            set->isolated++;
        } else {
            set->groups++;
            if (!solve_component(s, placed, end, err)) {
                return false;
            }
        }
        placed = end;
    }
    return true;
}

/* The used link that lies worst, in its standard deviations, among those further off than max_residual; NULL: none does. */
static fnr_link *worst_link(fnr_tileset *set, double max_residual)
{
    fnr_link *worst = NULL;
    double most = 0;
    for (size_t i = 0; i < set->n_links; i++) {
        fnr_link *l = &set->links[i];
        if (l->used && residual(set, l) > max_residual && residual(set, l) / link_sd(l) > most) {
            most = residual(set, l) / link_sd(l);
            worst = l;
        }
    }
    return worst;
}

static void summarize(fnr_tileset *set)
{
    double sum = 0;
    size_t used = 0;
    set->max_residual = 0;
    for (size_t i = 0; i < set->n_links; i++) {
        fnr_link *l = &set->links[i];
        const bool joined = set->tiles[l->a].group >= 0 && set->tiles[l->a].group == set->tiles[l->b].group;
        l->residual = joined ? residual(set, l) : NAN;
        if (l->used) {
            sum += l->residual * l->residual;
            used++;
            set->max_residual = fmax(set->max_residual, l->residual);
        }
    }
    set->rms_residual = used > 0 ? sqrt(sum / (double)used) : 0;
}

bool fnr_tileset_solve(fnr_tileset *set, double max_residual, fnr_error *err)
{
    solver s;
    if (!solver_new(&s, set, err)) {
        return false;
    }
    gsl_error_handler_t *handler = gsl_set_error_handler_off();
    for (size_t i = 0; i < set->n_links; i++) {
        set->links[i].used = true;
    }
    bool ok = solve_all(&s, err);
    for (fnr_link *bad = worst_link(set, max_residual); ok && bad; bad = worst_link(set, max_residual)) {
        bad->used = false;
        ok = solve_all(&s, err);
    }
    gsl_set_error_handler(handler);
    if (ok) {
        summarize(set);
    }
    solver_free(&s);
    return ok;
}
