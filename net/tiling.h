/* How an image is cut into tiles whose predictions join without a seam.  Internal to prediction: arithmetic only.
 *
 * Along each axis the image is padded to a multiple of the grid. Tile i gives the core [i * core, (i + 1) * core) of the output
 * and looks at `extent` input pixels that begin at a multiple of the grid. All tiles have the same extent, so that one compiled
 * program serves them all: near the ends a tile is moved inwards instead of being made smaller. */
#ifndef FNR_NET_TILING_H
#define FNR_NET_TILING_H

#include "net/shape.h"

typedef struct {
    int size;   /* of the image */
    int padded; /* multiple of the grid */
    int core;   /* multiple of the grid: output pixels per tile */
    int extent; /* input pixels per tile: core + 2 halo, or padded where that is less */
    int halo;   /* at least the receptive field, multiple of the grid */
    int align;  /* tiles begin at multiples of this; a multiple of the grid */
    int count;  /* tiles */
} fnr_tile_axis;

typedef struct {
    fnr_tile_axis z, y, x; /* z has size 1 in 2D */
} fnr_tiling;

/* Memory that a tiling may take, as far as it depends on it. */
typedef struct {
    double max_bytes;
    double bytes_per_px;     /* of a tile's input */
    double bytes_per_row_px; /* of the band of output rows that is collected; 0 when the output is the caller's */
} fnr_tile_budget;

/* First input pixel of tile i. */
int fnr_tile_start(const fnr_tile_axis *a, int i);
/* Output pixels [*begin, *end) of tile i, cut at the image's end. */
void fnr_tile_core(const fnr_tile_axis *a, int i, int *begin, int *end);

/* core: multiple of the grid; the same along all axes (in z only in 3D).  On every level blocks lie alike in all tiles, and
 * along y and x each convolution looks as far as the inputs of whole blocks. */
void fnr_tiling_of_core(const fnr_netdesc *desc, fnr_blocks blocks, int d, int h, int w, int core, fnr_tiling *out);
/* The tiling that computes the fewest pixels within the budget. False when not even the smallest tile fits; *out is that one. */
bool fnr_tiling_choose(const fnr_netdesc *desc, fnr_blocks blocks, int d, int h, int w, const fnr_tile_budget *budget, fnr_tiling *out);
/* The same image in tiles of half the extent (or as near to it as halo and alignment leave) along their longest side that can
 * still become smaller.  False when none can; *t stays as it is. */
bool fnr_tiling_halve(const fnr_netdesc *desc, fnr_blocks blocks, fnr_tiling *t);

#endif
