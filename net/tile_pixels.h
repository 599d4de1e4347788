/* Pixels of a tile: read from an image and mirrored beyond its ends, and the core of the result put where it belongs.  Internal to
 * prediction. */
#ifndef FNR_NET_TILE_PIXELS_H
#define FNR_NET_TILE_PIXELS_H

#include "net/predict.h"
#include "net/tiling.h"

/* A rectangle of an image, or of a volume. */
typedef struct {
    int z, y, x, d, h, w;
} fnr_tile_box;

typedef struct {
    fnr_series_source read; /* NULL: `array` */
    void *ctx;
    size_t number;      /* of the image in its series */
    const float *array; /* (channels, d, h, w) */
    int channels, d, h, w; /* of the whole image */
} fnr_tile_input;

/* Rows [y0, y0 + h) of the output: all of them, or a band. */
typedef struct {
    float *data; /* (channels, d, h, w) */
    int channels, d, h, w, y0;
} fnr_tile_output;

/* What tile (iz, iy, ix) sees, and the part of the output that it gives. */
fnr_tile_box fnr_tile_box_of(const fnr_tiling *t, int iz, int iy, int ix);
fnr_tile_box fnr_tile_core_of(const fnr_tiling *t, int iz, int iy, int ix);

/* in: (channels, d, h, w) of the tile.  raw: as much again, for what was read when the tile reaches beyond the image. */
bool fnr_tile_fill(const fnr_tile_input *image, const fnr_tile_box *tile, float *raw, float *in, fnr_error *err);
/* result: (channels, d, h, w) of the tile. */
void fnr_tile_keep_core(const fnr_tile_box *tile, const fnr_tile_box *core, const float *result, const fnr_tile_output *to);

#endif
