/* ImageJ's ImageDescription: "ImageJ=1.53t\nimages=12\nchannels=2\nunit=\u00B5m\n..." */
#include "src/image/meta.h"

#include <string.h>

/* Copies the value of "key=" at the start of a line. */
static bool value_of(const char *text, const char *key, char *out, size_t size)
{
    const size_t key_length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, key_length) == 0 && line[key_length] == '=') {
            const char *value = line + key_length + 1;
            const size_t length = strcspn(value, "\r\n");
            if (length >= size) {
                return false;
            }
            memcpy(out, value, length);
            out[length] = 0;
            return true;
        }
    }
    return false;
}

static int count_of(const char *text, const char *key)
{
    char value[32];
    double number;
    const bool ok = value_of(text, key, value, sizeof value) && fnr_parse_number(value, NULL, &number);
    return ok && number >= 1 && number <= 1e8 ? (int)number : 1;
}

bool fnr_imagej_parse(const char *text, fnr_imagej *out)
{
    *out = (fnr_imagej){.images = 1, .channels = 1, .slices = 1, .frames = 1};
    if (strncmp(text, "ImageJ=", 7) != 0) {
        return false;
    }
    out->images = count_of(text, "images");
    out->channels = count_of(text, "channels");
    out->slices = count_of(text, "slices");
    out->frames = count_of(text, "frames");
    value_of(text, "unit", out->unit, sizeof out->unit);
    value_of(text, "yunit", out->yunit, sizeof out->yunit);
    return true;
}
