/* How an image is cut into tiles whose predictions join without a seam.  Internal to prediction: arithmetic only.
 *
 * Along each axis the image is padded to a multiple of the grid and cut twice.  Regions follow from the extents of the image: where
 * a backend computes outputs in blocks, these begin at a region's corner, and which numbers come out depends, in the last bits, on
 * the regions.  Tiles of a region are what is computed at a time; within a region they change no bit.
 *
 * Piece i of a cut gives the core [i * core, (i + 1) * core) of the output and looks at `extent` input pixels.  All have the same
 * extent, so that one compiled program serves them all: near the ends a piece is moved inwards instead of being made smaller. */
#ifndef FNR_NET_TILING_H
#define FNR_NET_TILING_H

#include "net/shape.h"

typedef struct {
    int core;   /* multiple of the grid: output pixels of a piece */
    int extent; /* its input pixels: the core and what it looks at on both sides, or all that is cut where that is less */
    int halo;   /* at least the receptive field, multiple of the grid */
    int align;  /* pieces begin at multiples of this; a multiple of the grid */
    int count;  /* pieces */
} fnr_cut;

typedef struct {
    int size;        /* of the image */
    int padded;      /* multiple of the grid */
    fnr_cut regions; /* of the padded image */
    fnr_cut tiles;   /* of each region; they cover its core alone */
    int count;       /* tiles of all regions */
} fnr_tile_axis;

typedef struct {
    fnr_tile_axis z, y, x; /* z has size 1 in 2D */
} fnr_tiling;

/* What a tile may take. */
typedef struct {
    double max_bytes;
    double most_px;          /* of a tile's input; 0: as many as there is memory for */
    double bytes_per_px;     /* of a tile's input */
    double bytes_per_row_px; /* of the band of output rows that is collected; 0 when the output is the caller's */
} fnr_tile_budget;

/* First input pixel of tile i. */
int fnr_tile_start(const fnr_tile_axis *a, int i);
/* Output pixels [*begin, *end) of tile i, cut at the image's end. */
void fnr_tile_core(const fnr_tile_axis *a, int i, int *begin, int *end);

/* Regions of `core` px, a multiple of the grid, the same along all axes (in z only in 3D); each is one tile. */
void fnr_tiling_of_core(const fnr_netdesc *desc, int d, int h, int w, int core, fnr_tiling *out);
/* The regions that compute the fewest pixels within the budget; each is one tile.  False when not even the smallest fits; *out is
 * that one. */
bool fnr_tiling_choose(const fnr_netdesc *desc, int d, int h, int w, const fnr_tile_budget *budget, fnr_tiling *out);
/* Cuts the regions of *t into tiles of `core` px.  On every level blocks lie in a tile as they do in its region, and along y and x
 * each convolution looks as far as the inputs of whole blocks. */
void fnr_tiling_divide(const fnr_netdesc *desc, fnr_blocks blocks, int core, fnr_tiling *t);
/* The same image in regions of half the extent (or as near to it as the halo leaves) along their longest side that can still become
 * smaller; each is one tile.  False when none can; *t stays as it is. */
bool fnr_tiling_halve(const fnr_netdesc *desc, fnr_tiling *t);

#endif
