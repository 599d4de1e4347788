/* Greyscale TIFF that ImageJ, TrakEM2 and OpenCV all open: strips, contiguous, no predictor (ImageJ ignores the predictor tag
 * of deflate data and would show noise). */
#include "src/image/tiff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/image/tiff_file.h"

/* Above this many bytes of pixels offsets may not fit 32 bits: compression can make noise a little larger. */
static const double classic_max = 3.9e9;
enum { STRIP_BYTES = 1 << 18 };

struct fnr_tiff_writer {
    TIFF *tif;
    fnr_tiff_log log;
    fnr_atomic target;
    int w, h, row; /* row: the next to be written */
    fnr_dtype dtype;
    double nm;
    bool compress, failed;
    size_t row_bytes;
    int rows_per_strip, buffered;
    char *strip;
};

static bool fail_write(fnr_tiff_writer *wr, fnr_error *err)
{
    char why[FNR_TIFF_SUFFIX_MAX];
    const int fault = errno;
    wr->failed = true;
    fnr_tiff_log_suffix(&wr->log, why);
    if (fault) { /* libtiff does not say why a write failed */
        return fnr_fail_errno(err, fault, "cannot write %s%s", wr->target.path, why);
    }
    return fnr_fail(err, FNR_E_IO, "cannot write %s%s", wr->target.path, why);
}

static bool set_tags(fnr_tiff_writer *wr, const char *description)
{
    TIFF *tif = wr->tif;
    bool ok = TIFFSetField(tif, TIFFTAG_IMAGEWIDTH, (uint32_t)wr->w) && TIFFSetField(tif, TIFFTAG_IMAGELENGTH, (uint32_t)wr->h) &&
              TIFFSetField(tif, TIFFTAG_BITSPERSAMPLE, (int)(8 * fnr_dtype_size(wr->dtype))) &&
              TIFFSetField(tif, TIFFTAG_SAMPLEFORMAT, wr->dtype == FNR_F32 ? SAMPLEFORMAT_IEEEFP : SAMPLEFORMAT_UINT) &&
              TIFFSetField(tif, TIFFTAG_SAMPLESPERPIXEL, 1) && TIFFSetField(tif, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK) &&
              TIFFSetField(tif, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) &&
              TIFFSetField(tif, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT) &&
              TIFFSetField(tif, TIFFTAG_COMPRESSION, wr->compress ? COMPRESSION_ADOBE_DEFLATE : COMPRESSION_NONE) &&
              TIFFSetField(tif, TIFFTAG_ROWSPERSTRIP, (uint32_t)wr->rows_per_strip);
    if (ok && wr->nm > 0) {
        const double per_cm = 1e7 / wr->nm;
        ok = TIFFSetField(tif, TIFFTAG_RESOLUTIONUNIT, RESUNIT_CENTIMETER) && TIFFSetField(tif, TIFFTAG_XRESOLUTION, per_cm) &&
             TIFFSetField(tif, TIFFTAG_YRESOLUTION, per_cm);
    }
    return ok && (!description || TIFFSetField(tif, TIFFTAG_IMAGEDESCRIPTION, description));
}

static bool flush_strip(fnr_tiff_writer *wr, fnr_error *err)
{
    if (wr->buffered == 0) {
        return true;
    }
    const uint32_t index = (uint32_t)((wr->row - 1) / wr->rows_per_strip);
    const tmsize_t bytes = (tmsize_t)(wr->row_bytes * (size_t)wr->buffered);
    wr->buffered = 0;
    errno = 0;
    return TIFFWriteEncodedStrip(wr->tif, index, wr->strip, bytes) == bytes || fail_write(wr, err);
}

/* Space for the next row in the strip; NULL when writing the full strip before it failed. */
static void *next_row(fnr_tiff_writer *wr, fnr_error *err)
{
    if (wr->buffered == wr->rows_per_strip && !flush_strip(wr, err)) {
        return NULL;
    }
    wr->row++;
    return wr->strip + wr->row_bytes * (size_t)wr->buffered++;
}

static bool finish_page(fnr_tiff_writer *wr, fnr_error *err)
{
    if (!flush_strip(wr, err)) {
        return false;
    }
    errno = 0;
    wr->row = 0;
    return TIFFWriteDirectory(wr->tif) || fail_write(wr, err);
}

/* With pages of data in total; writes the tags of the first page. */
static fnr_tiff_writer *open_writer(const char *path, const fnr_view *v, bool compress, const char *description, fnr_error *err)
{
    const double bytes = (double)v->w * v->h * v->d * (double)fnr_dtype_size(v->dtype);
    if (v->w < 1 || v->h < 1 || v->d < 1) {
        fnr_fail(err, FNR_E_INTERNAL, "%s: an image of %d x %d x %d pixels cannot be written", path, v->w, v->h, v->d);
        return NULL;
    }
    fnr_tiff_writer *wr = fnr_calloc(1, sizeof *wr, "a TIFF writer", err);
    if (!wr || !fnr_atomic_name(&wr->target, path, err)) {
        free(wr);
        return NULL;
    }
    wr->w = v->w;
    wr->h = v->h;
    wr->dtype = v->dtype;
    wr->nm = v->nm;
    wr->compress = compress;
    wr->row_bytes = (size_t)v->w * fnr_dtype_size(v->dtype);
    const size_t rows = STRIP_BYTES / wr->row_bytes;
    wr->rows_per_strip = rows < 1 ? 1 : rows > (size_t)v->h ? v->h : (int)rows;
    wr->strip = fnr_alloc_aligned((size_t)wr->rows_per_strip, wr->row_bytes, "a TIFF strip", err);
    TIFFOpenOptions *options = wr->strip ? fnr_tiff_options(&wr->log, path, err) : NULL;
    if (options) {
        errno = 0;
        wr->tif = TIFFOpenExt(wr->target.temp, bytes > classic_max ? "w8" : "w", options);
        TIFFOpenOptionsFree(options);
        if (!wr->tif || !set_tags(wr, description)) {
            fail_write(wr, err);
        }
    }
    if (!options || wr->failed) {
        fnr_tiff_writer_abort(wr);
        return NULL;
    }
    return wr;
}

fnr_tiff_writer *fnr_tiff_writer_open(const char *path, int w, int h, fnr_dtype dtype, double nm, bool compress, fnr_error *err)
{
    const fnr_view v = {.w = w, .h = h, .d = 1, .c = 1, .dtype = dtype, .nm = nm};
    return open_writer(path, &v, compress, NULL, err);
}

bool fnr_tiff_writer_rows(fnr_tiff_writer *wr, const void *rows, int count, fnr_error *err)
{
    if (wr->failed) {
        return fnr_fail(err, FNR_E_IO, "cannot write %s: an earlier write failed", wr->target.path);
    }
    if (count < 0 || count > wr->h - wr->row) {
        wr->failed = true;
        return fnr_fail(err, FNR_E_INTERNAL, "%s: %d rows after the first %d of %d", wr->target.path, count, wr->row, wr->h);
    }
    for (int i = 0; i < count; i++) {
        void *dst = next_row(wr, err);
        if (!dst) {
            return false;
        }
        memcpy(dst, (const char *)rows + (size_t)i * wr->row_bytes, wr->row_bytes);
    }
    return true;
}

/* TIFFClose() returns nothing, but it may write: what fails in it is in the log. */
static bool close_and_commit(fnr_tiff_writer *wr, fnr_error *err)
{
    errno = 0;
    fnr_tiff_log_clear(&wr->log);
    TIFFClose(wr->tif);
    wr->tif = NULL;
    if (wr->log.first_error[0]) {
        return fail_write(wr, err);
    }
    return fnr_atomic_commit(&wr->target, err);
}

bool fnr_tiff_writer_close(fnr_tiff_writer *wr, fnr_error *err)
{
    bool ok = !wr->failed;
    if (!ok) {
        fnr_fail(err, FNR_E_IO, "cannot write %s: an earlier write failed", wr->target.path);
    } else if (wr->row != wr->h) {
        ok = fnr_fail(err, FNR_E_INTERNAL, "%s: only %d of %d rows were written", wr->target.path, wr->row, wr->h);
    }
    ok = ok && finish_page(wr, err) && close_and_commit(wr, err);
    fnr_tiff_writer_abort(wr);
    return ok;
}

void fnr_tiff_writer_abort(fnr_tiff_writer *wr)
{
    if (wr) {
        if (wr->tif) {
            TIFFClose(wr->tif);
        }
        fnr_atomic_abort(&wr->target);
        free(wr->strip);
        free(wr);
    }
}

static void gather_row(const fnr_view *v, int y, int z, char *dst)
{
    const size_t size = fnr_dtype_size(v->dtype);
    const char *src = fnr_at(v, 0, y, z, 0);
    if (v->sx == (ptrdiff_t)size) {
        memcpy(dst, src, (size_t)v->w * size);
        return;
    }
    for (int x = 0; x < v->w; x++, src += v->sx, dst += size) {
        memcpy(dst, src, size);
    }
}

static bool write_page(fnr_tiff_writer *wr, const fnr_view *v, int z, fnr_error *err)
{
    for (int y = 0; y < v->h; y++) {
        void *dst = next_row(wr, err);
        if (!dst) {
            return false;
        }
        gather_row(v, y, z, dst);
    }
    return finish_page(wr, err);
}

bool fnr_tiff_write(const char *path, const fnr_view *v, const fnr_tiff_write_options *opt, fnr_error *err)
{
    fnr_tiff_writer *wr = open_writer(path, v, opt && opt->compress, opt ? opt->description : NULL, err);
    bool ok = wr != NULL;
    for (int z = 0; ok && z < v->d; z++) {
        errno = 0;
        ok = (z == 0 || set_tags(wr, NULL) || fail_write(wr, err)) && write_page(wr, v, z, err);
    }
    ok = ok && close_and_commit(wr, err);
    fnr_tiff_writer_abort(wr);
    return ok;
}
