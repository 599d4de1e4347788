/* Small odd TIFF files, made with libtiff alone, so that our reader meets files that our writer would never write. */
#ifndef FNR_TESTS_TIFF_MAKER_H
#define FNR_TESTS_TIFF_MAKER_H

#include "tests/support/support.h"

#include <tiffio.h>

typedef struct {
    const char *mode; /* of TIFFOpen(): "w", "wb" (big-endian), "w8" (BigTIFF) */
    int w, h, bits, format;
    int photometric; /* 0: min-is-black, or min-is-white with `white` */
    bool white;
    int samples, planar, compression, predictor; /* 0: 1, contiguous, none, none */
    int tile_w, tile_h, rows_per_strip;          /* tile_w 0: strips; rows_per_strip 0: one strip */
    int pages;                                   /* 0: 1 */
    const char *description;
    double x_resolution, y_resolution;
    int resolution_unit;
    const uint16_t *colours; /* 3 x 256, red first */
} tiff_spec;

/* Sample value at (x, y) of a page, as the bits to be stored. */
typedef uint64_t (*tiff_fill)(const tiff_spec *s, int x, int y, int page);

static inline void tiff_put(uint8_t *row, int bits, int x, uint64_t value)
{
    switch (bits) {
    case 1:
        row[x / 8] |= (uint8_t)((value & 1) << (7 - x % 8));
        break;
    case 4:
        row[x / 2] |= (uint8_t)((value & 15) << (x % 2 ? 0 : 4));
        break;
    default:
        memcpy(row + (size_t)x * (size_t)(bits / 8), &value, (size_t)(bits / 8)); /* little-endian machine */
    }
}

static inline void tiff_set_tags(TIFF *tif, const tiff_spec *s)
{
    TIFFSetField(tif, TIFFTAG_IMAGEWIDTH, s->w);
    TIFFSetField(tif, TIFFTAG_IMAGELENGTH, s->h);
    TIFFSetField(tif, TIFFTAG_BITSPERSAMPLE, s->bits);
    TIFFSetField(tif, TIFFTAG_SAMPLEFORMAT, s->format ? s->format : SAMPLEFORMAT_UINT);
    TIFFSetField(tif, TIFFTAG_SAMPLESPERPIXEL, s->samples ? s->samples : 1);
    TIFFSetField(tif, TIFFTAG_PLANARCONFIG, s->planar ? s->planar : PLANARCONFIG_CONTIG);
    TIFFSetField(tif, TIFFTAG_PHOTOMETRIC,
                 s->white         ? PHOTOMETRIC_MINISWHITE
                 : s->photometric ? s->photometric
                                  : PHOTOMETRIC_MINISBLACK);
    TIFFSetField(tif, TIFFTAG_COMPRESSION, s->compression ? s->compression : COMPRESSION_NONE);
    if (s->predictor) {
        TIFFSetField(tif, TIFFTAG_PREDICTOR, s->predictor);
    }
    if (s->tile_w) {
        TIFFSetField(tif, TIFFTAG_TILEWIDTH, s->tile_w);
        TIFFSetField(tif, TIFFTAG_TILELENGTH, s->tile_h);
    } else {
        TIFFSetField(tif, TIFFTAG_ROWSPERSTRIP, s->rows_per_strip ? s->rows_per_strip : s->h);
    }
    if (s->description) {
        TIFFSetField(tif, TIFFTAG_IMAGEDESCRIPTION, s->description);
    }
    if (s->x_resolution > 0) {
        TIFFSetField(tif, TIFFTAG_XRESOLUTION, s->x_resolution);
        TIFFSetField(tif, TIFFTAG_YRESOLUTION, s->y_resolution);
        TIFFSetField(tif, TIFFTAG_RESOLUTIONUNIT, s->resolution_unit);
    }
    if (s->colours) {
        TIFFSetField(tif, TIFFTAG_COLORMAP, s->colours, s->colours + 256, s->colours + 512);
    }
}

/* One strip or tile; pixels beyond the image are 0. */
static inline void tiff_write_block(TIFF *tif, const tiff_spec *s, tiff_fill fill, int page, int x0, int y0, int bw, int rows,
                                    uint32_t index)
{
    const int samples = s->samples && s->planar != PLANARCONFIG_SEPARATE ? s->samples : 1;
    const size_t row_bytes = ((size_t)bw * (size_t)(samples * s->bits) + 7) / 8;
    uint8_t *data = calloc((size_t)rows, row_bytes);
    for (int y = 0; y < rows && y0 + y < s->h; y++) {
        for (int x = 0; x < bw && x0 + x < s->w; x++) {
            for (int c = 0; c < samples; c++) {
                tiff_put(data + (size_t)y * row_bytes, s->bits, x * samples + c, fill(s, x0 + x, y0 + y, page));
            }
        }
    }
    const tmsize_t size = (tmsize_t)(row_bytes * (size_t)rows);
    assert_true((s->tile_w ? TIFFWriteEncodedTile(tif, index, data, size) : TIFFWriteEncodedStrip(tif, index, data, size)) ==
                size);
    free(data);
}

static inline void tiff_make(const char *path, const tiff_spec *s, tiff_fill fill)
{
    TIFF *tif = TIFFOpen(path, s->mode ? s->mode : "w");
    assert_non_null(tif);
    for (int page = 0; page < (s->pages ? s->pages : 1); page++) {
        tiff_set_tags(tif, s);
        const int bw = s->tile_w ? s->tile_w : s->w, bh = s->tile_w ? s->tile_h : s->rows_per_strip ? s->rows_per_strip : s->h;
        uint32_t index = 0;
        for (int plane = 0; plane < (s->planar == PLANARCONFIG_SEPARATE ? s->samples : 1); plane++) {
            for (int y = 0; y < s->h; y += bh) {
                for (int x = 0; x < s->w; x += bw) {
                    const int rows = s->tile_w || s->h - y > bh ? bh : s->h - y;
                    tiff_write_block(tif, s, fill, page, x, y, bw, rows, index++);
                }
            }
        }
        assert_true(TIFFWriteDirectory(tif));
    }
    TIFFClose(tif);
}

static inline const char *tiff_temp(const char *name)
{
    static char path[2][512];
    static int next;
    char *out = path[next++ % 2];
    snprintf(out, sizeof path[0], "%s/%s", fnr_test_tmpdir(), name);
    return out;
}

#endif
