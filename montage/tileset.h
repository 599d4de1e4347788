/* The electron micrographs of one section, and where they lie relative to each other.
 *
 * One position is the place of a tile's pixel (0, 0), in px of the tiles, x right, y down; tiles share rotation and scale, so a
 * point p of tile a is the point p + pose(a) - pose(b) of tile b. */
#ifndef FNR_MONTAGE_TILESET_H
#define FNR_MONTAGE_TILESET_H

#include "src/core/cancel.h"
#include "src/image/view.h"

typedef struct {
    char *path;
    const char *name;            /* file name, inside path */
    int w, h;                    /* 0 until the tile was loaded */
    int row, col;                /* from the file name, -1 unknown */
    bool has_nominal;            /* a stage position is known */
    double nominal_x, nominal_y; /* [px] */
    double x, y;                 /* solved; positions compare within one group only */
    int group;                   /* 0, 1, ...: tiles joined by links; -1: joined to no other tile */
    char problem[200];           /* why the tile could not be loaded, or "" */
} fnr_tile;

/* A measured offset: pose(b) - pose(a) = (dx, dy). */
typedef struct {
    int a, b;
    double dx, dy;       /* [px] */
    double sd;           /* standard deviation of dx and dy that noise explains [px] */
    double correlation;  /* of the overlap, band-passed, -1 to 1 */
    double significance; /* peak of the correlation surface, in standard deviations of the surface */
    double second;       /* highest other peak / peak, by significance; 0 when there is no other */
    double overlap;      /* area / area of the smaller tile */
    double residual;     /* distance between the measured and the solved offset [px] */
    bool used;           /* false: dropped, because it contradicts the others */
} fnr_link;

typedef struct {
    fnr_tile *tiles;
    size_t count, capacity;
    fnr_link *links; /* accepted matches, by (a, b) */
    size_t n_links;
    int groups;           /* of at least two tiles */
    size_t isolated;      /* tiles in none */
    double rms_residual;  /* over the links used [px]; 0 without links */
    double max_residual;
} fnr_tileset;

/* Appends a tile; row and column come from its name.  The file is not looked at. */
bool fnr_tileset_add(fnr_tileset *set, const char *path, fnr_error *err);
void fnr_tileset_free(fnr_tileset *set); /* resets to all zero */

/* Finds row and column in a file name such as Tile_r3-c2.tif, r03_c02.tif, x_r2-c1_S_000_1_flip.tif, row3_col2, Tile_003-002:
 * letters r or row, digits, up to one of "-_. ", c or col, digits.  False when there is none. */
bool fnr_tile_grid_from_name(const char *name, int *row, int *col);

/* Stage positions from a table with the columns tile,stage_x,stage_y (x,y are accepted as well) [px]; `tile` is a file name,
 * with or without extension.  Rows for tiles that are not in the set are passed over.  *matched (may be NULL) counts tiles. */
bool fnr_tileset_read_positions(fnr_tileset *set, const char *csv_path, size_t *matched, fnr_error *err);

/* Stage positions from a TrakEM2 project whose patches name the same files (translation of each patch). */
bool fnr_tileset_read_trakem2(fnr_tileset *set, const char *xml_path, size_t *matched, fnr_error *err);

typedef struct {
    /* Fills *out with tile i of the set, any dtype, 2D.  NULL: fnr_tiff_read(path).  Called from several threads at once. */
    bool (*load)(void *ctx, size_t i, fnr_image *out, fnr_error *err);
    void *load_ctx;
    size_t memory;           /* for the reduced copies of all tiles [bytes] */
    double stage_error;      /* how far tiles may lie from their nominal offsets, fraction of the tile's size */
    double min_overlap;      /* area / tile area of an overlap that is looked at */
    double min_significance; /* of a match found without knowing where to look */
    double max_second;       /* second peak / peak above which a match is ambiguous */
    double max_residual;     /* links further from the solution are dropped [px] */
} fnr_stitch_options;
#define FNR_STITCH_DEFAULTS \
    ((fnr_stitch_options){.memory = (size_t)192 << 20, .stage_error = 0.12, .min_overlap = 0.01, .min_significance = 8.0, \
                          .max_second = 0.75, .max_residual = 4.0})

/* Loads the tiles, matches neighbours (by nominal position, else by grid names), solves for the positions; fills w, h, x, y, group
 * and problem of the tiles, and links, groups, residuals of the set.  opt NULL: defaults.  A set in which nothing matches, or
 * nobody knows who is whose neighbour, succeeds without links, its tiles in no group.  A tile that cannot be loaded is left out
 * with its problem.  Positions of a group with nominal positions are shifted to agree with these in the mean; without, its
 * smallest x and y are 0.  Runs on fnr_threads_get() threads; the result does not depend on their number. */
bool fnr_tileset_stitch(fnr_tileset *set, const fnr_stitch_options *opt, const fnr_cancel *cancel, fnr_error *err);

#endif
