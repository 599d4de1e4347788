/* Internal to montage/: the measured offset between two tiles. */
#ifndef FNR_MONTAGE_OVERLAP_H
#define FNR_MONTAGE_OVERLAP_H

#include "montage/plane.h"
#include "montage/tileset.h"

/* Offsets pose(b) - pose(a) that are possible, inclusive [px of the tiles]. */
typedef struct {
    double x0, x1, y0, y1;
} fnr_offset_box;

/* Finds the offset inside any of the boxes at which the overlap correlates best, for all offsets at once through FFT, and refines
 * it to a fraction of a pixel.  `out` gets everything but a, b, residual and used; significance 0 when nothing was found. */
bool fnr_overlap_measure(const fnr_tile_copy *a, const fnr_tile_copy *b, fnr_reduction r, const fnr_offset_box *boxes, int n_boxes,
                         double min_overlap, fnr_link *out, fnr_error *err);

/* The second half: from (out->dx, out->dy), good to about 2 coarse pixels, to the maximum; fills dx, dy, sd, correlation, overlap.
 * Leaves significance 0 when there is no maximum nearby. */
bool fnr_overlap_refine(const fnr_plane *a, const fnr_plane *b, int factor, int search, fnr_link *out, fnr_error *err);

#endif
