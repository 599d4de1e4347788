/* An EM tile as the network sees it: float, network pixel size, z-scored, with the exact map between the two pixel grids. */
#ifndef FNR_PIPELINE_TILE_H
#define FNR_PIPELINE_TILE_H

#include "src/core/fs.h"
#include "src/geom/transform.h"
#include "src/image/tiff.h"
#include "src/image/view.h"

typedef struct {
    int w, h;              /* of the file [EM px] */
    double em_nm;          /* pixel size used */
    fnr_image net;         /* float, z-scored, v.nm = network pixel size; owned */
    fnr_transform to_net;  /* TILE -> NET: p' = (p + 0.5) f - 0.5, f = em_nm / net_nm */
    fnr_dtype dtype;       /* of the file */
    double grey_lo, grey_hi; /* display range of the grey values */
} fnr_em_tile;

/* em_nm 0 = from the file; neither known is an error that says how to give it.  Refuses tiles that are constant or smaller than
 * 16 network pixels, with the reason. */
bool fnr_tile_load(const char *path, double em_nm, double net_nm, fnr_em_tile *out, fnr_error *err);
void fnr_tile_free(fnr_em_tile *t);

/* Pixel size to use for a file: `given` when > 0, else the file's own; `option` ("--em-nm") is named in the error. */
bool fnr_pixel_size(const char *path, double given, const char *option, double *nm, fnr_error *err);

/* Tile files of a folder: .tif and .tiff in any case, sorted.  An empty result is an error that says what the folder holds. */
bool fnr_tile_list(const char *dir, fnr_listing *out, fnr_error *err);

#endif
