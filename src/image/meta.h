/* Inside src/image only: what descriptions and vendor tags say about pixel size and stack layout.  All of it is hostile input:
 * a text that does not parse is no error, it just says nothing. */
#ifndef FNR_IMAGE_META_H
#define FNR_IMAGE_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The finite decimal number that `text` begins with (white space before it is fine); *end is what follows.  With end NULL only
 * white space may follow.  Knows no hexadecimal, "inf" or "nan". */
bool fnr_parse_number(const char *text, const char **end, double *value);

/* Nanometres per unit of length, 0 for an unknown or non-physical unit ("pixel").  Reads OME's and ImageJ's spellings; the
 * micro sign as UTF-8 (U+00B5, U+03BC), Latin-1 or ImageJ's "\u00B5". */
double fnr_unit_to_nm(const char *unit);
/* value * unit in nm when that is a sane pixel size, else 0. */
double fnr_length_nm(double value, double unit_nm);

typedef struct {
    double nm_x, nm_y; /* 0 = not given */
    int size_z, size_c, size_t_;
    char order[8];
} fnr_ome;
/* First Pixels element of an OME-XML text; false when the text is none. */
bool fnr_ome_parse(const char *text, fnr_ome *out);

typedef struct {
    int images, channels, slices, frames; /* at least 1 */
    char unit[32], yunit[32];             /* "" when absent */
} fnr_imagej;
/* Description that ImageJ wrote; false when the text is none. */
bool fnr_imagej_parse(const char *text, fnr_imagej *out);

/* Makers of electron microscopes, each with its private tag; data need not be terminated.  True and sizes in nm when found. */
typedef struct {
    double x, y;
} fnr_pixel_nm;
#define FNR_TAG_ZEISS  34118
#define FNR_TAG_FEI    34680
#define FNR_TAG_THERMO 34682
#define FNR_TAG_TESCAN 50431
bool fnr_sem_tag_parse(uint32_t tag, const char *data, size_t size, fnr_pixel_nm *out);
/* OpenFIBSEM's JSON description: {"pixel_size": {"x": metres, "y": metres}, ...}. */
bool fnr_openfibsem_parse(const char *text, fnr_pixel_nm *out);

#endif
