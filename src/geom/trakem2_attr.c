/* Attributes of TrakEM2's elements: numbers, matrices, file names. */
#include "src/geom/trakem2_parts.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/core/mem.h"
#include "src/core/text.h"

const char *fnr_t2_attribute(const char **atts, const char *name)
{
    for (; atts && atts[0]; atts += 2) {
        if (strcasecmp(atts[0], name) == 0) {
            return atts[1];
        }
    }
    return NULL;
}

double fnr_t2_number(const char **atts, const char *name, double otherwise)
{
    const char *text = fnr_t2_attribute(atts, name);
    char *end;
    const double v = text ? strtod(text, &end) : NAN;
    return text && end != text && isfinite(v) ? v : otherwise;
}

int fnr_t2_whole_number(const char **atts, const char *name, int otherwise)
{
    const double v = fnr_t2_number(atts, name, otherwise);
    return v >= INT_MIN && v <= INT_MAX ? (int)v : otherwise;
}

bool fnr_t2_is_true(const char **atts, const char *name, bool otherwise)
{
    const char *text = fnr_t2_attribute(atts, name);
    return text ? strcasecmp(text, "true") == 0 : otherwise;
}

void fnr_t2_identifier(char *out, size_t size, const char *text, const char *allowed)
{
    const size_t n = text ? strlen(text) : 0;
    const bool good = n > 0 && n < size && strspn(text, allowed) == n;
    snprintf(out, size, "%s", good ? text : "");
}

bool fnr_t2_matrix(const char *text, fnr_transform *out, fnr_error *err)
{
    *out = fnr_transform_identity(FNR_FRAME_ANY);
    out->to = FNR_FRAME_WORLD;
    if (!text) {
        return true;
    }
    char inner[512];
    const char *open = strchr(text, '('), *close = open ? strchr(open, ')') : NULL;
    if (!close || (size_t)(close - open) > sizeof inner || !strstr(text, "matrix")) {
        return fnr_fail(err, FNR_E_FORMAT, "'%.100s' is not a matrix(m00,m10,m01,m11,m02,m12)", text);
    }
    snprintf(inner, sizeof inner, "%.*s", (int)(close - open - 1), open + 1);
    return fnr_transform_parse(inner, FNR_FRAME_ANY, FNR_FRAME_WORLD, out, err);
}

void fnr_t2_restore_quotes(char *text)
{
    char *to = text;
    for (const char *p = text; *p;) {
        const bool quote = strncmp(p, "^#^", 3) == 0;
        *to++ = quote ? '"' : *p;
        p += quote ? 3 : 1;
    }
    *to = '\0';
}

/* Absolute for TrakEM2: /..., C:..., file:/... */
static bool is_absolute(const char *path)
{
    size_t letters = 0;
    while (isalpha((unsigned char)path[letters])) {
        letters++;
    }
    return path[0] == '/' || (path[letters] == ':' && (letters == 1 || path[letters + 1] == '/'));
}

/* Our own projects write bytes that XML cannot hold as \xHH (text.h).  Others mean a backslash and an x: the file decides. */
static void restore_bytes(char path[FNR_PATH_MAX])
{
    char restored[FNR_PATH_MAX];
    if (strstr(path, "\\x") && !fnr_is_file(path)) {
        memcpy(restored, path, sizeof restored);
        fnr_text_unescape(restored);
        if (fnr_is_file(restored)) {
            memcpy(path, restored, sizeof restored);
        }
    }
}

bool fnr_t2_resolve(const char *folder, const char *given, char **file_path, int *slice, fnr_error *err)
{
    static const char mark[] = "-----#slice=";
    char name[FNR_PATH_MAX], path[FNR_PATH_MAX];
    if (!given || !given[0]) {
        return (*file_path = fnr_strdup("", err)) != NULL;
    }
    if (strlen(given) >= sizeof name) {
        return fnr_fail(err, FNR_E_LIMIT, "its file_path is longer than %d bytes", FNR_PATH_MAX - 1);
    }
    snprintf(name, sizeof name, "%s", given);
    char *suffix = strstr(name, mark);
    if (suffix) {
        const long n = strtol(suffix + sizeof mark - 1, NULL, 10);
        *slice = n > 0 && n <= INT_MAX ? (int)n : 0;
        *suffix = '\0';
    }
    fnr_t2_restore_quotes(name);
    char *to = name; /* doubled slashes collapse */
    for (const char *p = name; *p; p++) {
        if (p[0] != '/' || p[1] != '/') {
            *to++ = *p;
        }
    }
    *to = '\0';
    if (is_absolute(name) ? !fnr_path_join(path, "", name, err) : !fnr_path_join(path, folder, name, err)) {
        return false;
    }
    restore_bytes(path);
    return (*file_path = fnr_strdup(path, err)) != NULL;
}
