/* A raster fills any rectangle on request: from memory, from a TIFF file, later from a montage blended on demand. */
#ifndef FNR_IMAGE_RASTER_H
#define FNR_IMAGE_RASTER_H

#include "src/image/view.h"

typedef struct fnr_raster fnr_raster;
struct fnr_raster {
    int w, h;
    double nm; /* 0 = unknown */
    /* Fills dst (w*h floats, dense) with the pixels of [x, x+w) x [y, y+h), which lies inside the raster. Not thread-safe. */
    bool (*read)(fnr_raster *r, int x, int y, int w, int h, float *dst, fnr_error *err);
    void (*release)(fnr_raster *r);
    void *priv;
};

/* Memory raster over a borrowed single-channel 2D view that outlives it. */
bool fnr_raster_from_view(fnr_raster *out, const fnr_view *v, fnr_error *err);

/* File raster: decodes strips or tiles on demand and keeps at most cache_bytes of them, but always one. Same pixel rules as
 * fnr_tiff_read; a strip or tile that does not decode fails every read that needs it. */
bool fnr_raster_from_tiff(fnr_raster *out, const char *path, int page, size_t cache_bytes, fnr_error *err);

void fnr_raster_release(fnr_raster *r); /* NULL or all-zero is fine */

#endif
