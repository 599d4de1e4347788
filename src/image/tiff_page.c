/* One page: what it is, whether this program can use it, and its strips or tiles as pixels. */
#include "src/image/tiff_file.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

static uint16_t get_u16(TIFF *tif, uint32_t tag, uint16_t otherwise)
{
    uint16_t value;
    return TIFFGetFieldDefaulted(tif, tag, &value) ? value : otherwise;
}

static bool refuse(const fnr_tiff_file *f, int page, fnr_error *err, const char *what)
{
    return fnr_fail(err, FNR_E_UNSUPPORTED, "%s: page %d %s", f->path, page, what);
}

/* The largest ratio of decoded to stored bytes that a codec can reach, with room to spare; 0 for codecs that microscopes do
 * not use and that this program therefore keeps away from hostile files. */
static uint64_t largest_ratio(int compression)
{
    switch (compression) {
    case COMPRESSION_NONE:
        return 1;
    case COMPRESSION_PACKBITS:
        return 64;
    case COMPRESSION_DEFLATE:
    case COMPRESSION_ADOBE_DEFLATE:
        return 1100;
    case COMPRESSION_LZW:
        return 4096;
    case COMPRESSION_JPEG:
    case COMPRESSION_CCITTRLE:
    case COMPRESSION_CCITTRLEW:
    case COMPRESSION_CCITTFAX3:
    case COMPRESSION_CCITTFAX4:
    case COMPRESSION_LZMA:
    case COMPRESSION_ZSTD:
    case COMPRESSION_LERC:
        return 65536;
    default:
        return 0;
    }
}

static bool check_compression(const fnr_tiff_file *f, const fnr_tiff_page *p, fnr_error *err)
{
    const char *fix = "convert it, for example with tiffcp -c lzw";
    if (largest_ratio(p->compression) == 0) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "%s: page %d has compression scheme %d, which is not supported; %s", f->path,
                        p->page, p->compression, fix);
    }
    if (!TIFFIsCODECConfigured((uint16_t)p->compression)) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "%s: page %d has compression scheme %d, which this system's libtiff lacks; %s",
                        f->path, p->page, p->compression, fix);
    }
    return true;
}

/* A palette whose colours are greys, as Zeiss and JEOL microscopes write, is a greyscale image. */
static bool read_palette(const fnr_tiff_file *f, fnr_tiff_page *p, fnr_error *err)
{
    uint16_t *r, *g, *b;
    if (p->bits != 8 || !TIFFGetField(f->tif, TIFFTAG_COLORMAP, &r, &g, &b)) {
        return refuse(f, p->page, err, "has a colour palette; save it as greyscale");
    }
    unsigned most = 0;
    for (int i = 0; i < 256; i++) {
        if (r[i] != g[i] || r[i] != b[i]) {
            return refuse(f, p->page, err, "has a colour palette; save it as greyscale");
        }
        most = r[i] > most ? r[i] : most;
    }
    for (int i = 0; i < 256; i++) { /* the entries have 16 bits, but some old writers used 8 */
        p->grey[i] = (uint8_t)(most > 255 ? r[i] >> 8 : r[i]);
    }
    p->palette = true;
    return true;
}

static bool read_photometric(const fnr_tiff_file *f, fnr_tiff_page *p, fnr_error *err)
{
    const uint16_t samples = get_u16(f->tif, TIFFTAG_SAMPLESPERPIXEL, 1);
    if (samples != 1) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "%s: page %d has %d samples per pixel%s; save one grey channel per page", f->path,
                        p->page, samples, samples == 3 ? " (RGB)" : "");
    }
    uint16_t photometric = PHOTOMETRIC_MINISBLACK; /* some writers leave the tag out */
    TIFFGetField(f->tif, TIFFTAG_PHOTOMETRIC, &photometric);
    switch (photometric) {
    case PHOTOMETRIC_MINISWHITE:
        p->invert = true;
        return true;
    case PHOTOMETRIC_MINISBLACK:
    case PHOTOMETRIC_MASK:
        return true;
    case PHOTOMETRIC_PALETTE:
        return read_palette(f, p, err);
    default:
        return fnr_fail(err, FNR_E_UNSUPPORTED,
                        "%s: page %d is not greyscale (photometric interpretation %d); save it as greyscale", f->path, p->page,
                        photometric);
    }
}

static bool choose_dtype(const fnr_tiff_file *f, fnr_tiff_page *p, fnr_error *err)
{
    p->bits = get_u16(f->tif, TIFFTAG_BITSPERSAMPLE, 1);
    p->format = get_u16(f->tif, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
    if (p->format == SAMPLEFORMAT_VOID) {
        p->format = SAMPLEFORMAT_UINT;
    }
    const bool is_uint = p->format == SAMPLEFORMAT_UINT, is_int = p->format == SAMPLEFORMAT_INT;
    const bool is_float = p->format == SAMPLEFORMAT_IEEEFP;
    if (is_uint && (p->bits == 1 || p->bits == 8)) {
        p->dtype = FNR_U8;
    } else if (is_uint && p->bits == 16) {
        p->dtype = FNR_U16;
    } else if ((is_int && (p->bits == 8 || p->bits == 16)) || ((is_int || is_uint) && p->bits == 32) ||
               (is_float && (p->bits == 32 || p->bits == 64))) {
        p->dtype = FNR_F32;
    } else {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "%s: page %d has %d-bit %s samples; save it with 8, 16 or 32 bits", f->path,
                        p->page, p->bits,
                        is_uint    ? "unsigned"
                        : is_int   ? "signed"
                        : is_float ? "floating-point"
                                   : "complex");
    }
    return true;
}

static bool read_extent(const fnr_tiff_file *f, fnr_tiff_page *p, fnr_error *err)
{
    uint32_t w = 0, h = 0;
    TIFFGetField(f->tif, TIFFTAG_IMAGEWIDTH, &w);
    TIFFGetField(f->tif, TIFFTAG_IMAGELENGTH, &h);
    if (w == 0 || h == 0 || w > INT_MAX || h > INT_MAX) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: page %d claims %u x %u pixels", f->path, p->page, w, h);
    }
    p->w = (int)w;
    p->h = (int)h;
    return true;
}

/* Sizes of strips or tiles, all computed here in 64 bits and then compared with what libtiff makes of the same tags. */
static bool read_blocks(const fnr_tiff_file *f, fnr_tiff_page *p, fnr_error *err)
{
    uint32_t bw = (uint32_t)p->w, bh = 0;
    p->tiled = TIFFIsTiled(f->tif);
    if (p->tiled) {
        bw = 0;
        TIFFGetField(f->tif, TIFFTAG_TILEWIDTH, &bw);
        TIFFGetField(f->tif, TIFFTAG_TILELENGTH, &bh);
    } else {
        TIFFGetFieldDefaulted(f->tif, TIFFTAG_ROWSPERSTRIP, &bh);
        bh = bh < (uint32_t)p->h ? bh : (uint32_t)p->h;
    }
    if (bw == 0 || bh == 0 || bw > INT_MAX || bh > INT_MAX) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: page %d claims %s of %u x %u pixels", f->path, p->page,
                        p->tiled ? "tiles" : "strips", bw, bh);
    }
    p->block_w = (int)bw;
    p->block_h = (int)bh;
    p->across = (int)(((int64_t)p->w + bw - 1) / bw);
    p->down = (int)(((int64_t)p->h + bh - 1) / bh);
    p->row_bytes = (size_t)(((uint64_t)bw * (uint64_t)p->bits + 7) / 8);
    const uint64_t block = p->row_bytes * (uint64_t)bh; /* below 2^34 * 2^31: no overflow */
    const uint64_t theirs = p->tiled ? TIFFTileSize64(f->tif) : TIFFStripSize64(f->tif);
    const uint64_t count = p->tiled ? TIFFNumberOfTiles(f->tif) : TIFFNumberOfStrips(f->tif);
    if (theirs != block || count != (uint64_t)p->across * (uint64_t)p->down) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: page %d: the sizes of its %s do not fit its extent of %d x %d pixels", f->path,
                        p->page, p->tiled ? "tiles" : "strips", p->w, p->h);
    }
    if (block > FNR_IMAGE_MAX_BYTES) {
        return fnr_fail(err, FNR_E_LIMIT, "%s: page %d has %s of %.1f GiB", f->path, p->page, p->tiled ? "tiles" : "strips",
                        (double)block / 0x1p30);
    }
    p->block_bytes = (size_t)block;
    return true;
}

/* A header may claim any size: believes only what the file's length can hold. */
static bool check_plausible(const fnr_tiff_file *f, const fnr_tiff_page *p, fnr_error *err)
{
    const unsigned __int128 rows = p->tiled ? (unsigned __int128)p->down * (unsigned)p->block_h : (unsigned)p->h;
    const unsigned __int128 decoded = rows * (unsigned)p->across * p->row_bytes;
    if (decoded > (unsigned __int128)f->size * largest_ratio(p->compression)) {
        return fnr_fail(err, FNR_E_FORMAT,
                        "%s: page %d claims %d x %d pixels of %d bits, but the file has only %llu bytes: it is cut short, or its "
                        "header is wrong",
                        f->path, p->page, p->w, p->h, p->bits, (unsigned long long)f->size);
    }
    return true;
}

/* Planes 1.. of an ImageJ stack with one directory lie behind plane 0. */
static bool goto_page(fnr_tiff_file *f, int page, uint64_t *plane, fnr_error *err)
{
    *plane = 0;
    if (page > 0) {
        int pages;
        if (!fnr_tiff_count_pages(f, &pages, err)) {
            return false;
        }
        if (page >= pages) {
            return fnr_fail(err, FNR_E_FORMAT, "%s: has %d page%s (0 to %d); page %d was asked for", f->path, pages,
                            pages == 1 ? "" : "s", pages - 1, page);
        }
        if (TIFFLastDirectory(f->tif) && TIFFCurrentDirectory(f->tif) == 0) {
            *plane = (uint64_t)page;
            return true;
        }
    }
    return fnr_tiff_goto(f, page, err);
}

bool fnr_tiff_page_open(fnr_tiff_file *f, int page, fnr_tiff_page *out, fnr_error *err)
{
    fnr_tiff_page p = {.page = page};
    uint64_t plane;
    if (page < 0) {
        return fnr_fail(err, FNR_E_INTERNAL, "%s: page %d was asked for", f->path, page);
    }
    if (!goto_page(f, page, &plane, err)) {
        return false;
    }
    p.compression = get_u16(f->tif, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
    if (!check_compression(f, &p, err) || !choose_dtype(f, &p, err) || !read_photometric(f, &p, err) ||
        !read_extent(f, &p, err) || !read_blocks(f, &p, err) || !check_plausible(f, &p, err)) {
        return false;
    }
    p.plane_offset = plane * (uint64_t)p.h * p.row_bytes;
    *out = p;
    return true;
}

int fnr_tiff_block_rows(const fnr_tiff_page *p, int by)
{
    const int64_t left = (int64_t)p->h - (int64_t)by * p->block_h;
    return left < p->block_h ? (int)left : p->block_h;
}

static void swap_bytes(const fnr_tiff_page *p, void *raw, size_t bytes)
{
    switch (p->bits) {
    case 16:
        TIFFSwabArrayOfShort(raw, (tmsize_t)(bytes / 2));
        break;
    case 32:
        TIFFSwabArrayOfLong(raw, (tmsize_t)(bytes / 4));
        break;
    case 64:
        TIFFSwabArrayOfLong8(raw, (tmsize_t)(bytes / 8));
        break;
    default:
        break;
    }
}

/* A strip of a plane that no directory describes. */
static bool read_behind(fnr_tiff_file *f, const fnr_tiff_page *p, uint32_t index, void *raw, size_t bytes)
{
    const uint64_t offset = TIFFGetStrileOffset(f->tif, index) + p->plane_offset;
    for (size_t done = 0; done < bytes;) {
        const ssize_t n = pread(TIFFFileno(f->tif), (char *)raw + done, bytes - done, (off_t)(offset + done));
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    if (TIFFIsByteSwapped(f->tif)) {
        swap_bytes(p, raw, bytes);
    }
    return true;
}

/* libjpeg and the fax decoders fill what is missing with grey and only warn. */
static bool forgives_silently(int compression)
{
    switch (compression) {
    case COMPRESSION_JPEG:
    case COMPRESSION_CCITTRLE:
    case COMPRESSION_CCITTRLEW:
    case COMPRESSION_CCITTFAX3:
    case COMPRESSION_CCITTFAX4:
        return true;
    default:
        return false;
    }
}

/* libtiff reads uncompressed data by the size they should have, into the next strip when these are shorter. */
static bool too_short(const fnr_tiff_file *f, const fnr_tiff_page *p, uint32_t index, size_t bytes)
{
    return p->compression == COMPRESSION_NONE && TIFFGetStrileByteCount(f->tif, index) < bytes;
}

static bool decode(fnr_tiff_file *f, const fnr_tiff_page *p, uint32_t index, void *raw, size_t bytes)
{
    fnr_tiff_log_clear(&f->log);
    if (p->plane_offset > 0) {
        return read_behind(f, p, index, raw, bytes);
    }
    if (too_short(f, p, index, bytes)) {
        return false;
    }
    const tmsize_t n = p->tiled ? TIFFReadEncodedTile(f->tif, index, raw, (tmsize_t)bytes)
                                : TIFFReadEncodedStrip(f->tif, index, raw, (tmsize_t)bytes);
    return n == (tmsize_t)bytes && !f->log.first_error[0] && !(f->log.last_warning[0] && forgives_silently(p->compression));
}

bool fnr_tiff_block_decode(fnr_tiff_file *f, const fnr_tiff_page *p, int bx, int by, void *raw, fnr_error *err)
{
    const uint32_t index = (uint32_t)by * (uint32_t)p->across + (uint32_t)bx;
    const size_t bytes = p->tiled ? p->block_bytes : p->row_bytes * (size_t)fnr_tiff_block_rows(p, by);
    if (decode(f, p, index, raw, bytes)) {
        return true;
    }
    char why[FNR_TIFF_SUFFIX_MAX];
    fnr_tiff_log_suffix(&f->log, why);
    return fnr_fail(err, FNR_E_FORMAT, "%s: page %d: %s %u of %u (from pixel x %lld, y %lld) cannot be decoded%s", f->path,
                    p->page, p->tiled ? "tile" : "strip", index, (unsigned)p->across * (unsigned)p->down,
                    (long long)bx * p->block_w, (long long)by * p->block_h, why[0] ? why : ": bytes are missing");
}
