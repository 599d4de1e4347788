/* TIFF through libtiff: classic and BigTIFF, strips and tiles, 1-bit, 8/16-bit, 32-bit integer, 32/64-bit float; uncompressed,
 * LZW, deflate, PackBits, JPEG, CCITT, LZMA, Zstandard or LERC. libtiff's messages are caught per handle, appended to ours. */
#ifndef FNR_IMAGE_TIFF_H
#define FNR_IMAGE_TIFF_H

#include "src/core/fs.h"
#include "src/image/view.h"

typedef enum { FNR_NM_UNKNOWN, FNR_NM_OME, FNR_NM_IMAGEJ, FNR_NM_MICROSCOPE, FNR_NM_RESOLUTION } fnr_nm_source;

typedef struct {
    int w, h;              /* of the first page */
    int pages;             /* main chain, up to 65,535; a broken or looping chain is an error.  An ImageJ stack with one
                              directory for many planes (above 4 GB) counts its planes */
    int samples;           /* per pixel: 1 grey, 3 RGB, 4 RGBA */
    int bits;              /* per sample */
    bool is_float, is_signed, is_palette, is_rgb, min_is_white, tiled, big;
    int compression;       /* libtiff's COMPRESSION_* */
    double nm;             /* x pixel size [nm], 0 unknown.  OME PhysicalSizeX first, then what an electron microscope noted
                              (Zeiss, Thermo/FEI, Tescan, OpenFIBSEM), then ImageJ's unit, then resolution tags (1270 dpi or
                              less, 20 um per pixel or more, is a print size that programs fill in: unknown) */
    double nm_y;           /* the same for y */
    fnr_nm_source nm_source;
    char ome_dimension_order[8]; /* "" when not OME */
    int size_z, size_c, size_t_; /* from OME or ImageJ metadata, else pages, 1, 1 */
} fnr_tiff_info;

/* Reads only headers. */
bool fnr_tiff_probe(const char *path, fnr_tiff_info *info, fnr_error *err);

typedef struct {
    int page;         /* first page to read, 0-based */
    int depth;        /* number of pages to stack along z; 0 means 1 */
    size_t max_bytes; /* refuse when the decoded image is larger; 0 = FNR_IMAGE_MAX_BYTES */
} fnr_tiff_read_options;

/* Single-channel image of the given pages as U8, U16 or F32 (signed and 32-bit integers become F32; 1-bit becomes U8 0/255;
 * min-is-white is inverted so that larger is brighter; a palette of greys is looked up; colour palettes and several samples per
 * pixel are refused with FNR_E_UNSUPPORTED and the reason). The Orientation tag is not applied: rows as stored.
 * nm is filled when known. A strip or tile that does not decode is an error that names it, never zeros. */
bool fnr_tiff_read(const char *path, const fnr_tiff_read_options *opt, fnr_image *out, fnr_error *err);

typedef struct {
    bool compress;           /* deflate */
    const char *description; /* ImageDescription, ASCII, or NULL */
} fnr_tiff_write_options;

/* Writes d pages of channel 0 (strips, classic TIFF or BigTIFF above 3.9 GB, resolution tags from v->nm); atomic. */
bool fnr_tiff_write(const char *path, const fnr_view *v, const fnr_tiff_write_options *opt, fnr_error *err);

/* Row-wise writer for images that never exist as a whole: exactly h rows of w pixels of dtype, in order. */
typedef struct fnr_tiff_writer fnr_tiff_writer;
fnr_tiff_writer *fnr_tiff_writer_open(const char *path, int w, int h, fnr_dtype dtype, double nm, bool compress, fnr_error *err);
bool fnr_tiff_writer_rows(fnr_tiff_writer *wr, const void *rows, int count, fnr_error *err); /* dense rows */
/* Commits (atomic rename) and frees, also on failure. */
bool fnr_tiff_writer_close(fnr_tiff_writer *wr, fnr_error *err);
void fnr_tiff_writer_abort(fnr_tiff_writer *wr);

#endif
