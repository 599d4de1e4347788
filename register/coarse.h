/* Internal to register/: the parts of the coarse search.
 *
 * The montage is cut into overlapping square blocks, so memory does not grow with it and time grows with its area.  Four
 * rotations a quarter turn apart share the transform of one drawn tile, because turning the block by -90 degrees instead costs
 * nothing per tile.
 *
 * The normalisation is exact at the montage's borders: there the tile's own sums are taken over the part that lies inside, from
 * summed-area tables.  Pixels missing inside the montage count as background here; the refinement leaves them out exactly. */
#ifndef FNR_REGISTER_COARSE_H
#define FNR_REGISTER_COARSE_H

#include "register/match.h"

enum { FNR_TURNS = 4, FNR_PEAKS = 12, FNR_COARSE_SCALES = 64 };

/* One block: window starts (x0 .. x0 + starts - 1, y0 ...) [level px]; all arrays are side x side. */
typedef struct {
    int x0, y0;
    float *image[FNR_TURNS]; /* spectra of the block turned by -90 degrees k times */
    float *square[2];        /* spectra of its squares, turned by 0 and -90 */
    float *buffer;           /* owned */
} fnr_coarse_block;

typedef struct {
    float score;
    float x, y; /* centre [level px] */
    float rotation_deg, scale;
} fnr_peak;

/* Peaks of one pose in one block, best first. */
typedef struct {
    fnr_peak p[FNR_PEAKS];
    int n;
} fnr_peak_list;

typedef struct {
    const fnr_match *m;
    int level, foot, side, starts; /* footprint (odd), transform side, window starts per axis */
    int n_rotations;               /* in the first quarter turn */
    double rotation0, rotation_step;
    int n_scales;
    double scale[FNR_COARSE_SCALES];
    const fnr_coarse_block *b; /* the current one */
    fnr_peak_list *lists;      /* [n_scales][n_rotations][FNR_TURNS] */
    fnr_error *errors;         /* one per item */
} fnr_coarse;

/* Pixel (x, y) of an image of (last + 1)^2 pixels turned by -90 degrees `turns` times comes from pixel (ox, oy) of the original.
 */
void fnr_coarse_turn(int turns, int last, int x, int y, int *ox, int *oy);

/* --- coarse_block.c: spectra of the block whose first window start is (x0, y0).  *empty: it holds nothing but background; no
 * spectra then. */
bool fnr_coarse_block_new(const fnr_coarse *s, int x0, int y0, fnr_coarse_block *out, bool *empty, fnr_error *err);
void fnr_coarse_block_free(fnr_coarse_block *b);

/* --- coarse_item.c: the tile at one rotation (and the three a quarter turn apart) and scale over the current block; fills
 * s->lists[item * FNR_TURNS ...]. */
bool fnr_coarse_item(const fnr_coarse *s, size_t item, fnr_error *err);

#endif
