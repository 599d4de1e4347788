/* Internal to montage/: which tiles may overlap, and where their offset is to be looked for. */
#ifndef FNR_MONTAGE_NEIGHBOURS_H
#define FNR_MONTAGE_NEIGHBOURS_H

#include "montage/overlap.h"

typedef enum {
    FNR_PAIR_STAGE,  /* nominal positions overlap */
    FNR_PAIR_IN_ROW, /* next columns of one row */
    FNR_PAIR_IN_COL  /* next rows of one column */
} fnr_neighbour_kind;

enum { FNR_NEIGHBOUR_BOXES = 4 };

typedef struct {
    fnr_neighbour_kind kind;
    int line; /* IN_ROW: column of a; IN_COL: row of a.  All pairs of one line have nearly the same offset */
    fnr_offset_box boxes[FNR_NEIGHBOUR_BOXES];
    int n_boxes;
    bool located; /* the boxes follow from stage positions or other pairs: fewer chances for a wrong peak */
    bool accepted;
    fnr_link link;
} fnr_neighbour_pair;

typedef struct {
    fnr_neighbour_pair *pairs;
    size_t count, capacity;
} fnr_neighbours;

/* Pairs of loaded tiles by nominal position; by row and column where one of them has none.  Rows and columns compare within one
 * site: tiles of one folder and one naming, when the grid would hold two tiles in one place otherwise. */
bool fnr_neighbours_find(fnr_neighbours *out, const fnr_tileset *set, const fnr_stitch_options *opt, fnr_error *err);
void fnr_neighbours_free(fnr_neighbours *list);

/* Learns from the accepted pairs of the grid how rows and columns run and how long each step is; takes back those that contradict
 * the others, and gives the pairs without a match the box where they should be.  Returns how many got one. */
size_t fnr_neighbours_learn_steps(fnr_neighbours *list, const fnr_tileset *set, const fnr_stitch_options *opt);

/* Part of a file name that is row and column: [*begin, *end).  In tileset.c. */
bool fnr_tile_grid_token(const char *name, size_t *begin, size_t *end, int *row, int *col);

#endif
