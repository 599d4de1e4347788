/* What a TIFF file says about itself: extent, sample type, stack layout, pixel size. */
#include "src/image/tiff_file.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "src/image/meta.h"

static uint16_t get_u16(TIFF *tif, uint32_t tag)
{
    uint16_t value = 0;
    TIFFGetFieldDefaulted(tif, tag, &value);
    return value;
}

static void read_samples(TIFF *tif, fnr_tiff_info *info)
{
    uint16_t photometric = PHOTOMETRIC_MINISBLACK;
    TIFFGetField(tif, TIFFTAG_PHOTOMETRIC, &photometric);
    const uint16_t format = get_u16(tif, TIFFTAG_SAMPLEFORMAT);
    info->samples = get_u16(tif, TIFFTAG_SAMPLESPERPIXEL);
    info->bits = get_u16(tif, TIFFTAG_BITSPERSAMPLE);
    info->compression = get_u16(tif, TIFFTAG_COMPRESSION);
    info->is_float = format == SAMPLEFORMAT_IEEEFP;
    info->is_signed = format == SAMPLEFORMAT_INT;
    info->is_palette = photometric == PHOTOMETRIC_PALETTE;
    info->min_is_white = photometric == PHOTOMETRIC_MINISWHITE;
    info->is_rgb = photometric == PHOTOMETRIC_RGB || photometric == PHOTOMETRIC_YCBCR || photometric == PHOTOMETRIC_SEPARATED ||
                   photometric == PHOTOMETRIC_CIELAB;
    info->tiled = TIFFIsTiled(tif);
    info->big = TIFFIsBigTIFF(tif);
}

static bool set_nm(fnr_tiff_info *info, double nm_x, double nm_y, fnr_nm_source source)
{
    if (!(nm_x > 0)) {
        return false;
    }
    info->nm = nm_x;
    info->nm_y = nm_y > 0 ? nm_y : nm_x;
    info->nm_source = source;
    return true;
}

/* Bytes of a private tag that libtiff does not know and therefore hands over as it stands, with a count in front. */
static const char *private_tag(TIFF *tif, uint32_t tag, size_t *size)
{
    const TIFFField *field = TIFFFindField(tif, tag, TIFF_ANY);
    uint32_t count = 0;
    const char *data = NULL;
    if (!field || !TIFFFieldPassCount(field) || TIFFFieldReadCount(field) != TIFF_VARIABLE2) {
        return NULL;
    }
    const TIFFDataType type = TIFFFieldDataType(field);
    if ((type != TIFF_ASCII && type != TIFF_BYTE && type != TIFF_UNDEFINED && type != TIFF_SBYTE) ||
        !TIFFGetField(tif, tag, &count, &data) || !data) {
        return NULL;
    }
    *size = count;
    return data;
}

static bool nm_from_microscope(TIFF *tif, const char *description, fnr_tiff_info *info)
{
    static const uint32_t tags[] = {FNR_TAG_ZEISS, FNR_TAG_FEI, FNR_TAG_THERMO, FNR_TAG_TESCAN};
    fnr_pixel_nm nm;
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        size_t size;
        const char *data = private_tag(tif, tags[i], &size);
        if (data && fnr_sem_tag_parse(tags[i], data, size, &nm)) {
            return set_nm(info, nm.x, nm.y, FNR_NM_MICROSCOPE);
        }
    }
    return fnr_openfibsem_parse(description, &nm) && set_nm(info, nm.x, nm.y, FNR_NM_MICROSCOPE);
}

/* Pixels per unit -> nm.  A pixel of 20 um and more (1270 dpi and less) is a print size that a program filled in, not a
 * microscope's. */
static double nm_from_resolution(float per_unit, double unit_nm)
{
    const double nm = per_unit > 0 ? fnr_length_nm(1 / (double)per_unit, unit_nm) : 0;
    return nm < 20e3 ? nm : 0;
}

static void read_resolution(TIFF *tif, const fnr_imagej *imagej, fnr_tiff_info *info)
{
    float x = 0, y = 0;
    TIFFGetField(tif, TIFFTAG_XRESOLUTION, &x);
    TIFFGetField(tif, TIFFTAG_YRESOLUTION, &y);
    const uint16_t unit = get_u16(tif, TIFFTAG_RESOLUTIONUNIT);
    const double tag_nm = unit == RESUNIT_CENTIMETER ? 1e7 : unit == RESUNIT_INCH ? 25.4e6 : 0;
    /* ImageJ's own unit goes before the tag's, but for "um" with the tag saying cm, which ImageJ reads as cm (FileOpener). */
    const bool says_cm = unit == RESUNIT_CENTIMETER && strcmp(imagej->unit, "um") == 0;
    const double unit_x = says_cm ? 1e7 : fnr_unit_to_nm(imagej->unit);
    const double unit_y = imagej->yunit[0] ? fnr_unit_to_nm(imagej->yunit) : unit_x;
    if (unit_x > 0 && x > 0 && x != 1) { /* 1 pixel per unit is what an uncalibrated image has */
        set_nm(info, fnr_length_nm(1 / (double)x, unit_x), y > 0 ? fnr_length_nm(1 / (double)y, unit_y) : 0, FNR_NM_IMAGEJ);
    } else {
        set_nm(info, nm_from_resolution(x, tag_nm), nm_from_resolution(y, tag_nm), FNR_NM_RESOLUTION);
    }
}

void fnr_tiff_read_metadata(fnr_tiff_file *f, fnr_tiff_info *info)
{
    char *text = NULL;
    fnr_ome ome;
    fnr_imagej imagej;
    info->size_z = info->size_c = info->size_t_ = 1;
    if (!TIFFGetField(f->tif, TIFFTAG_IMAGEDESCRIPTION, &text) || !text) {
        text = "";
    }
    const bool is_imagej = fnr_imagej_parse(text, &imagej);
    if (is_imagej) {
        info->size_z = imagej.slices;
        info->size_c = imagej.channels;
        info->size_t_ = imagej.frames;
    }
    if (fnr_ome_parse(text, &ome)) {
        info->size_z = ome.size_z;
        info->size_c = ome.size_c;
        info->size_t_ = ome.size_t_;
        snprintf(info->ome_dimension_order, sizeof info->ome_dimension_order, "%s", ome.order);
        if (set_nm(info, ome.nm_x, ome.nm_y, FNR_NM_OME)) {
            return;
        }
    }
    if (!nm_from_microscope(f->tif, text, info)) {
        read_resolution(f->tif, &imagej, info);
    }
}

bool fnr_tiff_probe(const char *path, fnr_tiff_info *info, fnr_error *err)
{
    fnr_tiff_info found = {0};
    uint32_t w = 0, h = 0;
    bool ok = false;
    fnr_tiff_file *f = fnr_tiff_file_open(path, err);
    if (!f) {
        return false;
    }
    TIFFGetField(f->tif, TIFFTAG_IMAGEWIDTH, &w);
    TIFFGetField(f->tif, TIFFTAG_IMAGELENGTH, &h);
    if (w == 0 || h == 0 || w > INT_MAX || h > INT_MAX) {
        fnr_fail(err, FNR_E_FORMAT, "%s: claims %u x %u pixels", path, w, h);
        goto done;
    }
    found.w = (int)w;
    found.h = (int)h;
    read_samples(f->tif, &found);
    fnr_tiff_read_metadata(f, &found);
    if (!fnr_tiff_count_pages(f, &found.pages, err)) {
        goto done;
    }
    if (found.pages > 1 && (int64_t)found.size_z * found.size_c * found.size_t_ == 1) {
        found.size_z = found.pages;
    }
    *info = found;
    ok = true;
done:
    fnr_tiff_file_close(f);
    return ok;
}
