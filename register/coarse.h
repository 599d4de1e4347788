/* Internal to register/: the parts of the coarse search.
 *
 * The montage is cut into overlapping square blocks, so memory does not grow with it and time grows with its area.  Tiles are drawn
 * once for all blocks, as spectra of kernels whose middle is pixel (0, 0): the conjugate spectrum is then the tile turned by 180
 * degrees, and a square tile has the same outline after a quarter turn, so one item (a rotation in the first quarter turn, a scale)
 * costs two transforms for the normalisation and one for each of its four rotations.
 *
 * The normalisation is exact at the montage's borders: there the tile's own sums are taken over the part that lies inside, from
 * summed-area tables.  Pixels missing inside the montage count as background here; the refinement leaves them out exactly. */
#ifndef FNR_REGISTER_COARSE_H
#define FNR_REGISTER_COARSE_H

#include "register/match.h"
#include "src/cv/fft.h"

enum { FNR_TURNS = 4, FNR_PEAKS = 12, FNR_COARSE_SCALES = 64 };

/* One block: pixel (0, 0) is the level's pixel (x0, y0); centres (half ... side - half - 1) of it have all of a tile's footprint in
 * it. */
typedef struct {
    int x0, y0;
    float *image, *square; /* spectra of the block and of its squares; in one allocation owned by image */
} fnr_coarse_block;

/* The tile drawn at one rotation and scale, for that rotation and the opposite one: weighted mean 0, energy 1. */
typedef struct {
    float *content;   /* spectrum of weight * value; NULL where the tile is flat; owned */
    float *outline;   /* spectrum of the weight; the first quarter turn's is shared by the second when the tile is square */
    double *table[3]; /* summed-area tables of weight, weight * t, weight * t^2: (foot + 1)^2 each; owned by table[0] */
    double n;         /* sum of weights */
} fnr_coarse_tile;

/* Rotations r, r + 90, r + 180, r + 270 degrees at one scale. */
typedef struct {
    double rotation, scale;
    fnr_coarse_tile tile[2]; /* drawn at r and r + 90 */
} fnr_coarse_item;

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

/* One thread's maps over the block, by the position of the tile's centre (side x side). */
typedef struct {
    float *spectrum, *map;
    float *sum, *square; /* of the montage and its squares under the tile's outline */
    float *inverse;      /* 1 / the montage's deviation there, for windows inside the montage */
    float *buffer;       /* owned */
} fnr_coarse_maps;

typedef struct {
    const fnr_match *m;
    fnr_fft *fft;
    int level, foot, side, starts; /* footprint (odd), transform side, centres per axis of a block */
    int n_rotations;               /* in the first quarter turn */
    double rotation_step;
    int n_scales;
    double scale[FNR_COARSE_SCALES];
    float floor; /* peaks below it are not wanted any more */
} fnr_coarse;

/* --- coarse_block.c.  *empty: the block holds nothing but background; no spectra then. */
bool fnr_coarse_block_new(const fnr_coarse *s, int x0, int y0, fnr_coarse_block *out, bool *empty, fnr_error *err);
void fnr_coarse_block_free(fnr_coarse_block *b);

/* --- coarse_tile.c: draws item number `index` of all rotations and scales. */
bool fnr_coarse_item_new(const fnr_coarse *s, size_t index, fnr_coarse_item *out, fnr_error *err);
void fnr_coarse_item_free(fnr_coarse_item *item);
size_t fnr_coarse_item_bytes(const fnr_coarse *s);

/* --- coarse_score.c: turns a map of correlations with t, turned by 180 degrees if `opposite`, into scores; -1 where too little of the
 * tile lies on the montage.  Only centres on the montage are touched: they are what fnr_coarse_centres gives. */
typedef struct {
    int xa, xb, ya, yb; /* [xa, xb) x [ya, yb) of the block */
} fnr_coarse_range;
fnr_coarse_range fnr_coarse_centres(const fnr_coarse *s, const fnr_coarse_block *b);
void fnr_coarse_score(const fnr_coarse *s, const fnr_coarse_block *b, const fnr_coarse_tile *t, bool opposite, fnr_coarse_maps *w);

/* --- coarse_search.c: one item over one block; fills lists[FNR_TURNS]. */
bool fnr_coarse_maps_new(const fnr_coarse *s, fnr_coarse_maps *out, fnr_error *err);
void fnr_coarse_maps_free(fnr_coarse_maps *w);
void fnr_coarse_search_item(const fnr_coarse *s, const fnr_coarse_block *b, const fnr_coarse_item *item, fnr_coarse_maps *w,
                            fnr_peak_list lists[FNR_TURNS]);

#endif
