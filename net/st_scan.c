#include "net/st_scan.h"

#include <string.h>

#include "net/safetensors.h"
#include "src/core/text.h"

/* Root object, tensor object, array of extents. */
enum { MAX_DEPTH = 3 };

typedef struct {
    bool in_string;
    int depth;
    size_t values;
    bool leading_zero; /* the last byte is a number's first digit, and 0 */
    unsigned char before;
} header_scan;

/* One byte inside a string; *used is how many were consumed. Returns what is wrong, or NULL. */
static const char *scan_string_byte(header_scan *scan, const unsigned char *s, size_t left, size_t *used)
{
    *used = fnr_utf8_length((const char *)s, left, NULL);
    if (*used == 0) {
        *used = 1;
        return "is not UTF-8";
    }
    if (s[0] < 0x20) {
        return "holds a control character inside a string";
    }
    if (s[0] == '\\') {
        if (left >= 6 && memcmp(s, "\\u0000", 6) == 0) {
            return "holds a zero character inside a string"; /* would cut a C string, so two names could look the same */
        }
        *used = left >= 2 ? 2 : 1;
    } else if (s[0] == '"') {
        scan->in_string = false;
    }
    return NULL;
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

/* One byte between strings. A header holds objects, arrays, strings and non-negative integers, nothing else. */
static const char *scan_plain_byte(header_scan *scan, unsigned char c)
{
    const bool number_goes_on = is_digit(scan->before) && is_digit(c);
    if (number_goes_on && scan->leading_zero) {
        return "holds a number with a leading zero";
    }
    scan->leading_zero = c == '0' && !number_goes_on;
    scan->before = c;
    if (is_digit(c) || memchr(" \t\n\r:", c, 5)) {
        return NULL;
    }
    scan->values++;
    switch (c) {
    case '"':
        scan->in_string = true;
        return NULL;
    case '{':
    case '[':
        return ++scan->depth > MAX_DEPTH ? "is nested too deeply" : NULL;
    case '}':
    case ']':
        scan->depth--;
        return NULL;
    case ',':
        return NULL;
    default:
        return "holds something other than objects, arrays, strings and non-negative integers";
    }
}

bool fnr_st_scan(const char *text, size_t size, const char *file, fnr_error *err)
{
    header_scan scan = {0};
    for (size_t i = 0, used = 1; i < size; i += used) {
        const unsigned char *s = (const unsigned char *)text + i;
        used = 1;
        const char *wrong = scan.in_string ? scan_string_byte(&scan, s, size - i, &used) : scan_plain_byte(&scan, *s);
        if (!wrong && scan.values > FNR_ST_MAX_VALUES) {
            wrong = "lists too many tensors";
        }
        if (wrong) {
            return fnr_fail(err, FNR_E_FORMAT, "%s: broken safetensors file: the header %s (byte %zu)", file, wrong, i);
        }
    }
    return true;
}

fnr_st_name fnr_st_printable(const char *name)
{
    fnr_st_name out = {0};
    size_t used = 0;
    const size_t room = sizeof out.text - sizeof "...";
    for (size_t n = 1; *name; name += n) {
        n = fnr_utf8_length(name, strlen(name), NULL);
        n = n ? n : 1;
        if (used + n > room) {
            memcpy(out.text + used, "...", 3);
            break;
        }
        const unsigned char first = (unsigned char)name[0], second = (unsigned char)name[1];
        const bool control = first < 0x20 || first == 0x7F || (first == 0xC2 && second < 0xA0) || (n == 1 && first >= 0x80);
        if (control) {
            out.text[used++] = '?';
        } else {
            memcpy(out.text + used, name, n);
            used += n;
        }
    }
    return out;
}
