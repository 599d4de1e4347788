/* Pixel sizes from the private tags of electron microscopes.  Key names and units as in files of the makers (see the tests). */
#include "src/image/meta.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static const double metres = 1e9;

/* First occurrence of `needle` in data[0, size), which holds no terminator; returns what follows it, *left bytes. */
static const char *find_after(const char *data, size_t size, const char *needle, size_t *left)
{
    const size_t length = strlen(needle);
    const char *hit = size ? memmem(data, size, needle, length) : NULL;
    if (!hit) {
        return NULL;
    }
    *left = size - (size_t)(hit - data) - length;
    return hit + length;
}

/* Copies one line (without its end) as text. */
static void copy_line(const char *data, size_t size, char *out, size_t out_size)
{
    size_t n = 0;
    while (n < size && n + 1 < out_size && data[n] && data[n] != '\r' && data[n] != '\n') {
        out[n] = data[n];
        n++;
    }
    out[n] = 0;
}

/* "<key><number>" in metres. */
static double metres_after(const char *data, size_t size, const char *key)
{
    char line[64];
    double value;
    size_t left;
    const char *p = find_after(data, size, key, &left);
    if (!p) {
        return 0;
    }
    copy_line(p, left, line, sizeof line);
    return fnr_parse_number(line, NULL, &value) ? fnr_length_nm(value, metres) : 0;
}

/* Zeiss: a line with the name of the value, then "Image Pixel Size = 593.3 nm" (the micro sign in Latin-1). */
static double zeiss_size(const char *data, size_t size, const char *name)
{
    char line[128];
    double value;
    size_t left;
    const char *p = find_after(data, size, name, &left);
    p = p ? find_after(p, left, "=", &left) : NULL;
    if (!p) {
        return 0;
    }
    copy_line(p, left, line, sizeof line);
    const char *unit;
    if (!fnr_parse_number(line, &unit, &value)) {
        return 0;
    }
    return fnr_length_nm(value, fnr_unit_to_nm(unit + strspn(unit, " ")));
}

/* FEI and Thermo Fisher: an INI text; [Scan] holds the pixel size of the stored image, [EScan] and [IScan] the beams'. */
static void fei_size(const char *data, size_t size, fnr_pixel_nm *out)
{
    size_t left;
    const char *scan = find_after(data, size, "[Scan]", &left);
    if (scan) {
        data = scan;
        size = left;
    }
    out->x = metres_after(data, size, "\nPixelWidth=");
    out->y = metres_after(data, size, "\nPixelHeight=");
}

bool fnr_sem_tag_parse(uint32_t tag, const char *data, size_t size, fnr_pixel_nm *out)
{
    *out = (fnr_pixel_nm){0};
    switch (tag) {
    case FNR_TAG_ZEISS:
        out->x = zeiss_size(data, size, "\nAP_IMAGE_PIXEL_SIZE");
        if (out->x == 0) { /* older instruments */
            out->x = zeiss_size(data, size, "\nAP_PIXEL_SIZE");
        }
        break;
    case FNR_TAG_FEI:
    case FNR_TAG_THERMO:
        fei_size(data, size, out);
        break;
    case FNR_TAG_TESCAN: /* binary blocks around a text, behind a thumbnail */
        out->x = metres_after(data, size, "\nPixelSizeX=");
        out->y = metres_after(data, size, "\nPixelSizeY=");
        break;
    default:
        break;
    }
    if (out->y == 0) {
        out->y = out->x;
    }
    return out->x > 0;
}

static double json_metres(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) ? fnr_length_nm(item->valuedouble, metres) : 0;
}

bool fnr_openfibsem_parse(const char *text, fnr_pixel_nm *out)
{
    *out = (fnr_pixel_nm){0};
    if (text[0] != '{') {
        return false;
    }
    cJSON *root = cJSON_Parse(text);
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(root, "pixel_size");
    /* The microscope's state beside it tells this JSON from others that use the same words with other units. */
    if (cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(root, "microscope_state"))) {
        out->x = json_metres(size, "x");
        out->y = json_metres(size, "y");
    }
    cJSON_Delete(root);
    return out->x > 0 && out->y > 0;
}
