#include "src/image/tiff_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/core/mem.h"
#include "src/image/meta.h"

enum { PAGES_MAX = 65535 };

void fnr_tiff_log_clear(fnr_tiff_log *log)
{
    *log = (fnr_tiff_log){0};
}

const char *fnr_tiff_log_suffix(const fnr_tiff_log *log, char buf[FNR_TIFF_SUFFIX_MAX])
{
    const char *first = log->first_error[0] ? log->first_error : log->last_warning;
    const char *last = strcmp(first, log->last_error) == 0 ? "" : log->last_error;
    buf[0] = 0;
    if (first[0]) {
        snprintf(buf, FNR_TIFF_SUFFIX_MAX, " (libtiff: %s%s%s)", first, last[0] ? "; " : "", last);
    }
    return buf;
}

/* "module: text" on one line; the module is often just the file's name, which our messages begin with. */
static void format_message(char out[200], const char *module, const char *fmt, va_list args)
{
    const bool named = module && !strchr(module, '/') && !strchr(module, '.');
    const int used = snprintf(out, 200, "%s%s", named ? module : "", named ? ": " : "");
    if (used >= 0 && used < 200) {
        vsnprintf(out + used, (size_t)(200 - used), fmt, args);
    }
    for (char *p = out; *p; p++) {
        if ((unsigned char)*p < ' ') {
            *p = ' ';
        }
    }
}

static int on_error(TIFF *tif, void *user, const char *module, const char *fmt, va_list args)
{
    fnr_tiff_log *log = user;
    (void)tif;
    format_message(log->last_error, module, fmt, args);
    if (!log->first_error[0]) {
        memcpy(log->first_error, log->last_error, sizeof log->first_error);
    }
    return 1; /* handled: libtiff prints nothing */
}

static int on_warning(TIFF *tif, void *user, const char *module, const char *fmt, va_list args)
{
    fnr_tiff_log *log = user;
    (void)tif;
    format_message(log->last_warning, module, fmt, args);
    return 1;
}

TIFFOpenOptions *fnr_tiff_options(fnr_tiff_log *log, const char *path, fnr_error *err)
{
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options) {
        fnr_fail(err, FNR_E_LIMIT, "%s: out of memory", path);
        return NULL;
    }
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, log);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, log);
    return options;
}

/* No mmap ("m"): a file cut short while it is read would be a bus error instead of a message. */
static TIFF *open_tiff(int fd, fnr_tiff_file *f, fnr_error *err)
{
    TIFFOpenOptions *options = fnr_tiff_options(&f->log, f->path, err);
    if (!options) {
        return NULL;
    }
    /* Nothing that libtiff keeps for itself is larger than the file, but for tables and codec buffers. */
    const uint64_t most = f->size + ((uint64_t)64 << 20);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, most < INT64_MAX ? (tmsize_t)most : INT64_MAX);
    TIFF *tif = TIFFFdOpenExt(fd, fnr_path_base(f->path), "rm", options);
    TIFFOpenOptionsFree(options);
    if (!tif) {
        char why[FNR_TIFF_SUFFIX_MAX];
        fnr_fail(err, FNR_E_FORMAT, "%s: not a readable TIFF file%s", f->path, fnr_tiff_log_suffix(&f->log, why));
    }
    return tif;
}

fnr_tiff_file *fnr_tiff_file_open(const char *path, fnr_error *err)
{
    uint64_t size;
    const int fd = fnr_open_regular(path, &size, err);
    if (fd < 0) {
        return NULL;
    }
    if (size == 0) {
        close(fd);
        fnr_fail(err, FNR_E_FORMAT, "%s: the file is empty (0 bytes); copy it again", path);
        return NULL;
    }
    fnr_tiff_file *f = fnr_calloc(1, sizeof *f, "a TIFF file", err);
    if (f) {
        f->size = size;
        f->path = fnr_strdup(path, err);
        f->tif = f->path ? open_tiff(fd, f, err) : NULL;
    }
    if (!f || !f->tif) {
        close(fd); /* otherwise libtiff owns it */
        fnr_tiff_file_close(f);
        return NULL;
    }
    return f;
}

void fnr_tiff_file_close(fnr_tiff_file *f)
{
    if (f) {
        if (f->tif) {
            TIFFClose(f->tif);
        }
        free(f->path);
        free(f);
    }
}

bool fnr_tiff_goto(fnr_tiff_file *f, int page, fnr_error *err)
{
    const tdir_t now = TIFFCurrentDirectory(f->tif);
    if (now == (tdir_t)page) {
        return true;
    }
    fnr_tiff_log_clear(&f->log);
    /* The next page is one step; any other is a walk from the first. */
    const int ok = now + 1 == (tdir_t)page ? TIFFReadDirectory(f->tif) : TIFFSetDirectory(f->tif, (tdir_t)page);
    if (!ok) {
        char why[FNR_TIFF_SUFFIX_MAX];
        return fnr_fail(err, FNR_E_FORMAT, "%s: there is no readable page %d%s", f->path, page,
                        fnr_tiff_log_suffix(&f->log, why));
    }
    return true;
}

/* Planes that follow the only directory of an ImageJ stack without directories of their own; 1 for any other file. */
static int imagej_planes(fnr_tiff_file *f)
{
    char *text;
    fnr_imagej imagej;
    fnr_tiff_page page;
    if (!TIFFLastDirectory(f->tif) || !TIFFGetField(f->tif, TIFFTAG_IMAGEDESCRIPTION, &text) ||
        !fnr_imagej_parse(text, &imagej) || !fnr_tiff_page_open(f, 0, &page, NULL) || page.compression != COMPRESSION_NONE ||
        page.tiled) {
        return 1;
    }
    const uint64_t first = TIFFGetStrileOffset(f->tif, 0), last = TIFFGetStrileOffset(f->tif, (uint32_t)page.down - 1);
    if (last - first != (uint64_t)(page.down - 1) * page.block_bytes || first > f->size) {
        return 1;
    }
    const uint64_t whole = (f->size - first) / ((uint64_t)page.h * page.row_bytes);
    return imagej.images <= PAGES_MAX && (uint64_t)imagej.images <= whole ? imagej.images : 1;
}

bool fnr_tiff_count_pages(fnr_tiff_file *f, int *pages, fnr_error *err)
{
    if (f->pages == 0) {
        fnr_tiff_log_clear(&f->log);
        const tdir_t count = TIFFNumberOfDirectories(f->tif);
        if (f->log.first_error[0] || f->log.last_warning[0]) { /* an offset that leads nowhere; loops are only warned about */
            char why[FNR_TIFF_SUFFIX_MAX];
            return fnr_fail(err, FNR_E_FORMAT, "%s: the chain of pages breaks at page %u%s", f->path, (unsigned)count,
                            fnr_tiff_log_suffix(&f->log, why));
        }
        if (count > PAGES_MAX) {
            return fnr_fail(err, FNR_E_LIMIT, "%s: has more than %d pages", f->path, PAGES_MAX);
        }
        if (!fnr_tiff_goto(f, 0, err)) {
            return false;
        }
        f->pages = count == 1 ? imagej_planes(f) : (int)count;
    }
    *pages = f->pages;
    return true;
}
