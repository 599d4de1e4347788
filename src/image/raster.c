#include "src/image/raster.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/image/tiff_file.h"

void fnr_raster_release(fnr_raster *r)
{
    if (r) {
        if (r->release) {
            r->release(r);
        }
        *r = (fnr_raster){0};
    }
}

/* ---- memory ---- */

static bool read_view(fnr_raster *r, int x, int y, int w, int h, float *dst, fnr_error *err)
{
    (void)err;
    assert(x >= 0 && y >= 0 && w >= 1 && h >= 1 && w <= r->w - x && h <= r->h - y); /* allowed: a bug of the caller, no file can cause it */
    for (int i = 0; i < h; i++) {
        fnr_row_to_f32(r->priv, x, y + i, 0, 0, w, dst + (size_t)i * (size_t)w);
    }
    return true;
}

static void release_view(fnr_raster *r)
{
    free(r->priv);
}

bool fnr_raster_from_view(fnr_raster *out, const fnr_view *v, fnr_error *err)
{
    *out = (fnr_raster){0};
    if (v->d != 1 || v->c != 1) {
        return fnr_fail(err, FNR_E_INTERNAL, "a raster needs one plane and one channel, not %d and %d", v->d, v->c);
    }
    fnr_view *copy = fnr_calloc(1, sizeof *copy, "a raster", err);
    if (!copy) {
        return false;
    }
    *copy = *v;
    *out = (fnr_raster){.w = v->w, .h = v->h, .nm = v->nm, .read = read_view, .release = release_view, .priv = copy};
    return true;
}

/* ---- TIFF file ---- */

/* A decoded block, as libtiff gives it: one bit per pixel stays one bit. */
typedef struct {
    int bx, by;
    uint64_t used; /* clock of the last use */
    void *raw;     /* block_bytes, allocated on first use */
} slot;

typedef struct {
    fnr_tiff_file *file;
    fnr_tiff_page page;
    slot *slots;
    size_t count, filled;
    size_t newest; /* the slot of the last hit: neighbouring rows come from the same block */
    uint64_t clock;
    void *row; /* one row of a block in page.dtype */
} tiff_raster;

static slot *find_slot(tiff_raster *t, int bx, int by)
{
    for (size_t i = 0; i < t->filled; i++) {
        slot *s = &t->slots[(t->newest + i) % t->filled];
        if (s->bx == bx && s->by == by) {
            t->newest = (size_t)(s - t->slots);
            return s;
        }
    }
    return NULL;
}

static slot *slot_to_fill(tiff_raster *t, fnr_error *err)
{
    if (t->filled < t->count) {
        slot *s = &t->slots[t->filled];
        s->raw = fnr_alloc_aligned(t->page.block_bytes, 1, "a decoded TIFF strip or tile", err);
        if (!s->raw) {
            return NULL;
        }
        t->filled++;
        return s;
    }
    slot *oldest = t->slots;
    for (size_t i = 1; i < t->filled; i++) {
        oldest = t->slots[i].used < oldest->used ? &t->slots[i] : oldest;
    }
    return oldest;
}

static const void *block(tiff_raster *t, int bx, int by, fnr_error *err)
{
    slot *s = find_slot(t, bx, by);
    if (!s) {
        s = slot_to_fill(t, err);
        if (!s) {
            fnr_error_prefix(err, "%s", t->file->path);
            return NULL;
        }
        s->bx = s->by = -1; /* until the decoder has succeeded, the slot holds nothing */
        s->used = 0;
        if (!fnr_tiff_block_decode(t->file, &t->page, bx, by, s->raw, err)) {
            return NULL;
        }
        s->bx = bx;
        s->by = by;
    }
    s->used = ++t->clock;
    return s->raw;
}

typedef struct {
    int x, y, w, h;
} rect;

/* Copies what block (bx, by) holds of `want` to dst, a dense image of want.w x want.h. */
static bool copy_block(tiff_raster *t, int bx, int by, rect want, float *dst, fnr_error *err)
{
    const fnr_tiff_page *p = &t->page;
    const void *raw = block(t, bx, by, err);
    if (!raw) {
        return false;
    }
    const int left = bx * p->block_w, top = by * p->block_h;
    const int x0 = want.x > left ? want.x : left, y0 = want.y > top ? want.y : top;
    const int64_t right = (int64_t)left + p->block_w, bottom = (int64_t)top + p->block_h;
    const int x1 = want.x + want.w < right ? want.x + want.w : (int)right;
    const int y1 = want.y + want.h < bottom ? want.y + want.h : (int)bottom;
    const fnr_view row = {
        .w = x1 - x0, .h = 1, .d = 1, .c = 1, .dtype = p->dtype, .sx = (ptrdiff_t)fnr_dtype_size(p->dtype), .px = t->row};
    for (int y = y0; y < y1; y++) {
        fnr_tiff_row_convert(p, (const char *)raw + (size_t)(y - top) * p->row_bytes, x0 - left, x1 - x0, t->row);
        fnr_row_to_f32(&row, 0, 0, 0, 0, x1 - x0, dst + (size_t)(y - want.y) * (size_t)want.w + (x0 - want.x));
    }
    return true;
}

static bool read_tiff(fnr_raster *r, int x, int y, int w, int h, float *dst, fnr_error *err)
{
    tiff_raster *t = r->priv;
    const fnr_tiff_page *p = &t->page;
    assert(x >= 0 && y >= 0 && w >= 1 && h >= 1 && w <= r->w - x && h <= r->h - y); /* allowed: a bug of the caller, no file can cause it */
    for (int by = y / p->block_h; by <= (y + h - 1) / p->block_h; by++) {
        for (int bx = x / p->block_w; bx <= (x + w - 1) / p->block_w; bx++) {
            if (!copy_block(t, bx, by, (rect){x, y, w, h}, dst, err)) {
                return false;
            }
        }
    }
    return true;
}

static void free_tiff_raster(tiff_raster *t)
{
    if (t) {
        for (size_t i = 0; i < t->filled; i++) {
            free(t->slots[i].raw);
        }
        free(t->slots);
        free(t->row);
        fnr_tiff_file_close(t->file);
        free(t);
    }
}

static void release_tiff(fnr_raster *r)
{
    free_tiff_raster(r->priv);
}

bool fnr_raster_from_tiff(fnr_raster *out, const char *path, int page, size_t cache_bytes, fnr_error *err)
{
    fnr_tiff_info info = {0};
    *out = (fnr_raster){0};
    tiff_raster *t = fnr_calloc(1, sizeof *t, "a raster", err);
    if (!t || !(t->file = fnr_tiff_file_open(path, err))) {
        goto fail;
    }
    fnr_tiff_read_metadata(t->file, &info);
    if (!fnr_tiff_page_open(t->file, page, &t->page, err)) {
        goto fail;
    }
    const fnr_tiff_page *p = &t->page;
    const size_t blocks = (size_t)p->across * (size_t)p->down, fit = cache_bytes / p->block_bytes;
    t->count = fit < 1 ? 1 : fit < blocks ? fit : blocks;
    t->slots = fnr_calloc(t->count, sizeof *t->slots, "the cache of a raster", err);
    t->row = fnr_alloc_aligned((size_t)p->block_w, fnr_dtype_size(p->dtype), "a row of a raster", err);
    if (!t->slots || !t->row) {
        fnr_error_prefix(err, "%s", path);
        goto fail;
    }
    *out = (fnr_raster){.w = p->w, .h = p->h, .nm = info.nm, .read = read_tiff, .release = release_tiff, .priv = t};
    return true;
fail:
    free_tiff_raster(t);
    return false;
}
