/* Internal to montage/: reduced, band-passed copies of tiles, in which overlaps are measured. */
#ifndef FNR_MONTAGE_PLANE_H
#define FNR_MONTAGE_PLANE_H

#include "src/image/view.h"

typedef struct {
    int w, h;
    float *px; /* dense, owned; NULL when the tile could not be loaded */
} fnr_plane;

/* Reduction factors, the same for all tiles of a set: powers of two, fine <= coarse. */
typedef struct {
    int fine, coarse;
} fnr_reduction;

/* One tile.  Pixel i of a copy lies at factor * i + (factor - 1) / 2 of the tile. */
typedef struct {
    fnr_plane fine, coarse;
} fnr_tile_copy;

/* Coarse: the larger side of a tile has at most 512 px.  Fine: half the tile's resolution when `memory` holds all copies. */
fnr_reduction fnr_reduction_choose(int w, int h, size_t tiles, size_t memory);

/* Reduces plane (0, 0) of the image; scales both copies to mean 0 and standard deviation 1 and clips speckles.  Fine: the finest
 * noise blurred.  Coarse: without what varies slowly (brightness differs across a tile).  Pixels that are not finite count as the
 * mean.  A constant tile becomes all zero. */
bool fnr_tile_copy_new(fnr_tile_copy *out, const fnr_view *image, fnr_reduction r, fnr_error *err);
void fnr_tile_copy_free(fnr_tile_copy *c);

#endif
