#include "src/image/view.h"

#include <assert.h>
#include <stdlib.h>

#include "src/core/mem.h"

bool fnr_image_new(fnr_image *out, int w, int h, int d, int c, fnr_dtype dtype, fnr_error *err)
{
    *out = (fnr_image){0};
    if (w < 1 || h < 1 || d < 1 || c < 1) {
        return fnr_fail(err, FNR_E_INTERNAL, "an image of %d x %d x %d pixels and %d channels cannot exist", w, h, d, c);
    }
    /* Four ints and an element size multiply to at most 2^126. */
    const unsigned __int128 bytes =
        (unsigned __int128)((uint64_t)w * (uint64_t)h) * ((uint64_t)d * (uint64_t)c) * fnr_dtype_size(dtype);
    if (bytes > FNR_IMAGE_MAX_BYTES) {
        return fnr_fail(err, FNR_E_LIMIT, "an image of %d x %d x %d pixels and %d channels needs %.1f GiB; the limit is %.0f GiB",
                        w, h, d, c, (double)bytes / 0x1p30, (double)FNR_IMAGE_MAX_BYTES / 0x1p30);
    }
    void *px = fnr_calloc((size_t)bytes, 1, "pixels of an image", err);
    if (!px) {
        return false;
    }
    const ptrdiff_t sx = (ptrdiff_t)fnr_dtype_size(dtype), sy = sx * w, sz = sy * h, sc = sz * d;
    out->v = (fnr_view){.w = w, .h = h, .d = d, .c = c, .dtype = dtype, .sx = sx, .sy = sy, .sz = sz, .sc = sc, .px = px};
    return true;
}

void fnr_image_free(fnr_image *im)
{
    if (im) {
        free(im->v.px);
        *im = (fnr_image){0};
    }
}

float fnr_pixel(const fnr_view *v, int x, int y, int z, int c)
{
    const void *p = fnr_at(v, x, y, z, c);
    switch (v->dtype) {
    case FNR_U8:
        return *(const uint8_t *)p;
    case FNR_U16:
        return *(const uint16_t *)p;
    case FNR_F32:
        break;
    }
    return *(const float *)p;
}

fnr_view fnr_view_crop(const fnr_view *v, int x, int y, int w, int h)
{
    assert(x >= 0 && y >= 0 && w >= 1 && h >= 1 && w <= v->w - x && h <= v->h - y); /* allowed: a bug of the caller, no file can cause it */
    fnr_view crop = *v;
    crop.px = fnr_at(v, x, y, 0, 0);
    crop.w = w;
    crop.h = h;
    return crop;
}

fnr_view fnr_view_plane(const fnr_view *v, int z, int c)
{
    assert(z >= 0 && z < v->d && c >= 0 && c < v->c); /* allowed: a bug of the caller, no file can cause it */
    fnr_view plane = *v;
    plane.px = fnr_at(v, 0, 0, z, c);
    plane.d = plane.c = 1;
    return plane;
}

bool fnr_image_to_f32(const fnr_view *v, int z, int c, fnr_image *out, fnr_error *err)
{
    if (!fnr_image_new(out, v->w, v->h, 1, 1, FNR_F32, err)) {
        return false;
    }
    out->v.nm = v->nm;
    for (int y = 0; y < v->h; y++) {
        fnr_row_to_f32(v, 0, y, z, c, v->w, fnr_at(&out->v, 0, y, 0, 0));
    }
    return true;
}

void fnr_row_to_f32(const fnr_view *v, int x, int y, int z, int c, int count, float *dst)
{
    const char *p = fnr_at(v, x, y, z, c);
    switch (v->dtype) {
    case FNR_U8:
        for (int i = 0; i < count; i++, p += v->sx) {
            dst[i] = *(const uint8_t *)p;
        }
        return;
    case FNR_U16:
        for (int i = 0; i < count; i++, p += v->sx) {
            dst[i] = *(const uint16_t *)(const void *)p;
        }
        return;
    case FNR_F32:
        for (int i = 0; i < count; i++, p += v->sx) {
            dst[i] = *(const float *)(const void *)p;
        }
        return;
    }
}
