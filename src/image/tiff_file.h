/* Inside src/image only: an open TIFF file and the blocks (strips or tiles) of one of its pages.  Everything that touches
 * libtiff for reading goes through here, so that probe, read and raster agree on what is accepted and on the messages. */
#ifndef FNR_IMAGE_TIFF_FILE_H
#define FNR_IMAGE_TIFF_FILE_H

#include <tiffio.h>
#include "src/image/tiff.h"

/* What libtiff said since the last fnr_tiff_log_clear(); "" when nothing.  The first error is usually the cause, but libtiff
 * also calls harmless things errors, so the last one is kept as well. */
typedef struct {
    char first_error[200], last_error[200], last_warning[200];
} fnr_tiff_log;

void fnr_tiff_log_clear(fnr_tiff_log *log);
/* " (libtiff: ...)" with the errors, or without one the warning; "" when there was neither. */
#define FNR_TIFF_SUFFIX_MAX 432
const char *fnr_tiff_log_suffix(const fnr_tiff_log *log, char buf[FNR_TIFF_SUFFIX_MAX]);
/* Handlers of libtiff that write into `log` and print nothing; NULL and an error without memory. Free with
 * TIFFOpenOptionsFree() once the file is open; `log` must outlive the TIFF handle. */
TIFFOpenOptions *fnr_tiff_options(fnr_tiff_log *log, const char *path, fnr_error *err);

typedef struct {
    TIFF *tif;
    char *path;
    uint64_t size; /* of the file, bytes */
    fnr_tiff_log log;
    int pages; /* 0 until fnr_tiff_count_pages() */
} fnr_tiff_file;

/* Heap object, because libtiff keeps pointers into it. */
fnr_tiff_file *fnr_tiff_file_open(const char *path, fnr_error *err);
void fnr_tiff_file_close(fnr_tiff_file *f); /* NULL is fine */

/* Makes the page's directory libtiff's current one. */
bool fnr_tiff_goto(fnr_tiff_file *f, int page, fnr_error *err);

/* Pages of the main chain. An ImageJ stack with one directory for N contiguous planes (what ImageJ writes above 4 GB) has N. */
bool fnr_tiff_count_pages(fnr_tiff_file *f, int *pages, fnr_error *err);

/* Pixel size and stack layout from the first directory, which must be the current one; leaves the rest of *info. */
void fnr_tiff_read_metadata(fnr_tiff_file *f, fnr_tiff_info *info);

/* One page as single-channel pixels. */
typedef struct {
    int page;
    int w, h;
    int bits, format; /* per sample; libtiff's SAMPLEFORMAT_* */
    int compression;
    bool tiled, invert;
    bool palette; /* grey values come from grey[] */
    uint8_t grey[256];
    fnr_dtype dtype;                    /* of the converted pixels */
    int block_w, block_h, across, down; /* block = strip or tile; the last strip may have fewer rows */
    size_t row_bytes, block_bytes;      /* of a decoded block as libtiff gives it */
    uint64_t plane_offset;              /* added to the offsets in the file: planes of an ImageJ stack with one directory */
} fnr_tiff_page;

/* Reads the header of a page and refuses what cannot become single-channel pixels, and sizes the file is too small for. */
bool fnr_tiff_page_open(fnr_tiff_file *f, int page, fnr_tiff_page *out, fnr_error *err);

/* Decodes block (bx, by) of the page that was opened last into `raw` (block_bytes). */
bool fnr_tiff_block_decode(fnr_tiff_file *f, const fnr_tiff_page *p, int bx, int by, void *raw, fnr_error *err);
/* Rows of block row `by` that lie in the image. */
int fnr_tiff_block_rows(const fnr_tiff_page *p, int by);
/* Converts `count` pixels from x0 on of one row of a decoded block to p->dtype. */
void fnr_tiff_row_convert(const fnr_tiff_page *p, const void *raw_row, int x0, int count, void *dst);

#endif
