/* What the matched pairs of a grid tell about the others: the direction of rows and columns, and the step of every line. */
#include "montage/neighbours.h"

#include <math.h>
#include <stdlib.h>

#include <gsl/gsl_sort_double.h>

/* A pair of one line may differ from the line's median by this fraction of a tile. */
static const double LINE_TOLERANCE = 0.15;

enum { RIGHT, LEFT, DOWN, UP, DIRECTIONS }; /* order of the boxes of a grid's pair */

static int direction_of(const fnr_link *l)
{
    return fabs(l->dx) > fabs(l->dy) ? (l->dx > 0 ? RIGHT : LEFT) : (l->dy > 0 ? DOWN : UP);
}

/* The directions of rows and columns, at right angles, that most of the matches support. */
static void vote(const fnr_neighbours *list, int directions[2])
{
    double votes[2][DIRECTIONS] = {{0}};
    for (size_t i = 0; i < list->count; i++) {
        const fnr_neighbour_pair *p = &list->pairs[i];
        if (p->accepted && p->kind != FNR_PAIR_STAGE) {
            votes[p->kind == FNR_PAIR_IN_COL][direction_of(&p->link)] += p->link.significance;
        }
    }
    double best = -1;
    for (int row = 0; row < DIRECTIONS; row++) {
        for (int col = 0; col < DIRECTIONS; col++) {
            const double sum = votes[0][row] + votes[1][col];
            if ((row < DOWN) != (col < DOWN) && sum > best) {
                best = sum;
                directions[0] = row;
                directions[1] = col;
            }
        }
    }
}

typedef struct {
    double x, y;
    size_t count; /* of matches it is the median of */
} typical_step;

/* Median over the accepted pairs of one kind and line; every line: line < 0. */
static typical_step median_step(const fnr_neighbours *list, fnr_neighbour_kind kind, int line, double *work)
{
    typical_step s = {0};
    for (int d = 0; d < 2; d++) {
        s.count = 0;
        for (size_t i = 0; i < list->count; i++) {
            const fnr_neighbour_pair *p = &list->pairs[i];
            if (p->accepted && p->kind == kind && (line < 0 || p->line == line)) {
                work[s.count++] = d ? p->link.dy : p->link.dx;
            }
        }
        gsl_sort(work, 1, s.count);
        *(d ? &s.y : &s.x) = s.count > 0 ? 0.5 * (work[(s.count - 1) / 2] + work[s.count / 2]) : 0;
    }
    return s;
}

static bool far_from(const fnr_link *l, const typical_step *s, const fnr_tileset *set)
{
    const fnr_tile *t = &set->tiles[l->a];
    return fabs(l->dx - s->x) > LINE_TOLERANCE * t->w || fabs(l->dy - s->y) > LINE_TOLERANCE * t->h;
}

static void take_back_contradictions(fnr_neighbours *list, const fnr_tileset *set, double *work)
{
    enum { ENOUGH = 3 };
    int directions[2] = {RIGHT, DOWN};
    vote(list, directions);
    for (size_t i = 0; i < list->count; i++) {
        fnr_neighbour_pair *p = &list->pairs[i];
        if (p->kind != FNR_PAIR_STAGE && direction_of(&p->link) != directions[p->kind == FNR_PAIR_IN_COL]) {
            p->accepted = false;
        }
    }
    for (size_t i = 0; i < list->count; i++) {
        fnr_neighbour_pair *p = &list->pairs[i];
        if (p->accepted && p->kind != FNR_PAIR_STAGE) {
            const typical_step s = median_step(list, p->kind, p->line, work);
            p->accepted = s.count < ENOUGH || !far_from(&p->link, &s, set);
        }
    }
}

size_t fnr_neighbours_learn_steps(fnr_neighbours *list, const fnr_tileset *set, const fnr_stitch_options *opt)
{
    size_t located = 0;
    double *work = malloc((list->count + 1) * sizeof *work);
    if (!work) {
        return 0;
    }
    take_back_contradictions(list, set, work);
    for (size_t i = 0; i < list->count; i++) {
        fnr_neighbour_pair *p = &list->pairs[i];
        if (p->accepted || p->kind == FNR_PAIR_STAGE) {
            continue;
        }
        typical_step s = median_step(list, p->kind, p->line, work);
        if (s.count == 0) {
            s = median_step(list, p->kind, -1, work);
        }
        if (s.count > 0) {
            const fnr_tile *t = &set->tiles[p->link.a];
            const double rx = opt->stage_error * t->w, ry = opt->stage_error * t->h;
            p->boxes[0] = (fnr_offset_box){s.x - rx, s.x + rx, s.y - ry, s.y + ry};
            p->n_boxes = 1;
            p->located = true;
            located++;
        }
    }
    free(work);
    return located;
}
