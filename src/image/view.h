/* Pixels: fnr_view borrows, fnr_image owns.  Integer coordinates are pixel centres; x right, y down, z into the stack. */
#ifndef FNR_IMAGE_VIEW_H
#define FNR_IMAGE_VIEW_H

#include <stddef.h>
#include <stdint.h>
#include "src/core/err.h"

typedef enum { FNR_U8, FNR_U16, FNR_F32 } fnr_dtype;

static inline size_t fnr_dtype_size(fnr_dtype t)
{
    return t == FNR_U8 ? 1 : t == FNR_U16 ? 2 : 4;
}

typedef struct {
    int w, h, d, c;           /* extents: x, y, z, channel; all >= 1 */
    fnr_dtype dtype;
    ptrdiff_t sx, sy, sz, sc; /* strides in bytes */
    double nm;                /* pixel size in x and y [nm]; 0 = unknown */
    void *px;                 /* borrowed */
} fnr_view;

typedef struct {
    fnr_view v; /* v.px is owned (free) */
} fnr_image;

/* Zeroed, dense, planar (channel, z, y, x; x fastest). Refuses overflow and sizes above `FNR_IMAGE_MAX_BYTES`. */
#define FNR_IMAGE_MAX_BYTES ((size_t)1 << 36)
bool fnr_image_new(fnr_image *out, int w, int h, int d, int c, fnr_dtype dtype, fnr_error *err);
void fnr_image_free(fnr_image *im); /* also resets to all zero; NULL is fine */

/* Address of a pixel. */
static inline void *fnr_at(const fnr_view *v, int x, int y, int z, int c)
{
    return (char *)v->px + (ptrdiff_t)x * v->sx + (ptrdiff_t)y * v->sy + (ptrdiff_t)z * v->sz + (ptrdiff_t)c * v->sc;
}
/* Value as float, whatever the dtype (slow; for tests and single pixels). */
float fnr_pixel(const fnr_view *v, int x, int y, int z, int c);

/* A dense 2D float view over caller memory of w*h floats. */
static inline fnr_view fnr_view_f32(float *px, int w, int h)
{
    return (fnr_view){.w = w, .h = h, .d = 1, .c = 1, .dtype = FNR_F32, .sx = 4, .sy = (ptrdiff_t)w * 4,
                      .sz = (ptrdiff_t)w * h * 4, .sc = (ptrdiff_t)w * h * 4, .px = px};
}
/* Sub-rectangle, clipped by assertion: 0 <= x, x+w <= v->w, same for y. */
fnr_view fnr_view_crop(const fnr_view *v, int x, int y, int w, int h);
fnr_view fnr_view_plane(const fnr_view *v, int z, int c);

/* count pixels of row (y, z, c) from x on, as float. */
void fnr_row_to_f32(const fnr_view *v, int x, int y, int z, int c, int count, float *dst);

/* New dense float copy of plane (z, c), values unchanged; keeps nm. */
bool fnr_image_to_f32(const fnr_view *v, int z, int c, fnr_image *out, fnr_error *err);

#endif
