/* Numbers and units of length, as metadata spell them. */
#include "src/image/meta.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool fnr_parse_number(const char *text, const char **end, double *value)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    /* strtod() alone would also take "nan", "inf" and hexadecimal. The program never calls setlocale(), so a point is a point. */
    char digits[64] = "";
    const size_t length = strspn(text, "+-.0123456789eE");
    if (length == 0 || length >= sizeof digits) {
        return false;
    }
    memcpy(digits, text, length);
    char *stop;
    const double number = strtod(digits, &stop);
    const char *rest = text + (stop - digits);
    if (stop == digits || !isfinite(number)) {
        return false;
    }
    if (end) {
        *end = rest;
    } else if (rest[strspn(rest, " \t\r\n")] != 0) {
        return false;
    }
    *value = number;
    return true;
}

/* Skips a micro sign in any of its four spellings; returns how many bytes it took, 0 when there is none. */
static size_t micro_sign(const char *s)
{
    static const char *const spellings[] = {"\xC2\xB5", "\xCE\xBC", "\xB5", "\\u00B5", "\\u00b5", "u"};
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        const size_t n = strlen(spellings[i]);
        if (strncmp(s, spellings[i], n) == 0) {
            return n;
        }
    }
    return 0;
}

double fnr_unit_to_nm(const char *unit)
{
    static const struct {
        const char *name;
        double nm;
    } units[] = {
        {"nm", 1},           {"nanometer", 1},    {"nanometre", 1},      {"nanometers", 1},    {"micron", 1e3},
        {"microns", 1e3},    {"micrometer", 1e3}, {"micrometre", 1e3},   {"micrometers", 1e3}, {"mm", 1e6},
        {"millimeter", 1e6}, {"cm", 1e7},         {"centimeter", 1e7},   {"m", 1e9},           {"meter", 1e9},
        {"pm", 1e-3},        {"\xC3\x85", 0.1},   {"\xE2\x84\xAB", 0.1}, {"angstrom", 0.1},    {"inch", 25.4e6},
        {"inches", 25.4e6},  {"in", 25.4e6},
    };
    const size_t micro = micro_sign(unit);
    if (micro > 0 && strcmp(unit + micro, "m") == 0) {
        return 1e3;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i].name) == 0) {
            return units[i].nm;
        }
    }
    return 0;
}

double fnr_length_nm(double value, double unit_nm)
{
    const double nm = value * unit_nm;
    /* From an atom's size to a millimetre; the comparison also refuses NaN. */
    return nm >= 1e-3 && nm <= 1e6 ? nm : 0;
}
