/* EM pixels as the network wants them, from any raster: network pixel size, z-scored over the whole image.  Any rectangle can be
 * asked for, so images larger than memory work, and all paths (training, registration, `predict`) see the same numbers. */
#ifndef FNR_PIPELINE_EM_SOURCE_H
#define FNR_PIPELINE_EM_SOURCE_H

#include "src/geom/transform.h"
#include "src/image/raster.h"

typedef struct {
    fnr_raster *raster;   /* borrowed */
    double f;             /* network pixels per file pixel: em_nm / net_nm; exactly 1 when they differ by less than 0.01 % */
    int w, h;             /* network pixels */
    float fill;           /* grey value used for non-finite pixels: the mean of the finite ones */
    double mean, sd;      /* of the resampled grey values */
    double lo, hi;        /* display range: mean -+ 2.5 sd, within the range of the grey values */
    fnr_transform to_net; /* TILE -> NET */
} fnr_em_source;

/* Size at the network's pixel size of an image of w x h px of em_nm.  Refuses what only a wrong pixel size explains; `path` is for
 * that message. */
bool fnr_em_source_extent(const char *path, int w, int h, double em_nm, double net_nm, int *net_w, int *net_h, fnr_error *err);

/* Reads the image once or twice to measure it.  `path` is for messages.  Fails when nothing finite varies in it, or when its size
 * at the network's pixel size is absurd. */
bool fnr_em_source_open(fnr_em_source *s, fnr_raster *raster, const char *path, double em_nm, double net_nm, fnr_error *err);

/* Rectangle inside [0, w) x [0, h), z-scored, into dst (rw*rh floats). */
bool fnr_em_source_read(fnr_em_source *s, int x, int y, int rw, int rh, float *dst, fnr_error *err);

#endif
