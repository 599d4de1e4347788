#include "src/image/tiff_file.h"

#include <stdlib.h>

#include "src/core/mem.h"
#include "src/image/tiff.h"

static bool same_kind(const fnr_tiff_page *a, const fnr_tiff_page *b)
{
    return a->w == b->w && a->h == b->h && a->dtype == b->dtype;
}

static bool allocate(const fnr_tiff_file *f, const fnr_tiff_page *p, int depth, size_t max_bytes, fnr_image *out, fnr_error *err)
{
    const unsigned __int128 bytes =
        (unsigned __int128)((uint64_t)p->w * (uint64_t)p->h) * (unsigned)depth * fnr_dtype_size(p->dtype);
    if (max_bytes > 0 && bytes > max_bytes) {
        return fnr_fail(err, FNR_E_LIMIT, "%s: %d x %d pixels and %d pages need %.1f MiB; the limit is %.1f MiB", f->path, p->w,
                        p->h, depth, (double)bytes / 0x1p20, (double)max_bytes / 0x1p20);
    }
    if (!fnr_image_new(out, p->w, p->h, depth, 1, p->dtype, err)) {
        fnr_error_prefix(err, "%s", f->path);
        return false;
    }
    return true;
}

static bool read_page(fnr_tiff_file *f, const fnr_tiff_page *p, const fnr_view *out, int z, fnr_error *err)
{
    void *raw = fnr_alloc_aligned(p->block_bytes, 1, "a TIFF strip or tile", err);
    bool ok = raw != NULL;
    if (!ok) {
        fnr_error_prefix(err, "%s", f->path);
    }
    for (int by = 0; ok && by < p->down; by++) {
        const int rows = fnr_tiff_block_rows(p, by);
        for (int bx = 0; bx < p->across && ok; bx++) {
            const int x = bx * p->block_w, y = by * p->block_h; /* inside the image, so no overflow */
            const int columns = p->w - x < p->block_w ? p->w - x : p->block_w;
            ok = fnr_tiff_block_decode(f, p, bx, by, raw, err);
            for (int i = 0; ok && i < rows; i++) {
                fnr_tiff_row_convert(p, (char *)raw + (size_t)i * p->row_bytes, 0, columns, fnr_at(out, x, y + i, z, 0));
            }
        }
    }
    free(raw);
    return ok;
}

bool fnr_tiff_read(const char *path, const fnr_tiff_read_options *opt, fnr_image *out, fnr_error *err)
{
    static const fnr_tiff_read_options defaults = {0};
    const fnr_tiff_read_options *o = opt ? opt : &defaults;
    const int depth = o->depth > 0 ? o->depth : 1;
    fnr_image image = {0};
    fnr_tiff_info info = {0};
    fnr_tiff_page first, page;
    bool ok = false;
    *out = (fnr_image){0};
    fnr_tiff_file *f = fnr_tiff_file_open(path, err);
    if (!f) {
        return false;
    }
    fnr_tiff_read_metadata(f, &info);
    if (!fnr_tiff_page_open(f, o->page, &first, err) || !allocate(f, &first, depth, o->max_bytes, &image, err)) {
        goto done;
    }
    for (int z = 0; z < depth; z++) {
        if (!fnr_tiff_page_open(f, o->page + z, &page, err)) {
            goto done;
        }
        if (!same_kind(&page, &first)) {
            fnr_fail(err, FNR_E_FORMAT, "%s: page %d (%d x %d) has another size or type than page %d (%d x %d)", path,
                     o->page + z, page.w, page.h, o->page, first.w, first.h);
            goto done;
        }
        if (!read_page(f, &page, &image.v, z, err)) {
            goto done;
        }
    }
    image.v.nm = info.nm;
    *out = image;
    image = (fnr_image){0};
    ok = true;
done:
    fnr_image_free(&image);
    fnr_tiff_file_close(f);
    return ok;
}
