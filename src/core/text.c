#include "src/core/text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "src/core/mem.h"

size_t fnr_utf8_length(const char *s, size_t left, unsigned *code)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)s;
    if (left == 0) {
        return 0;
    }
    const size_t n = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
    if (n == 0 || n > left) {
        return 0;
    }
    unsigned c = n == 1 ? p[0] : p[0] & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3Fu);
    }
    if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) {
        return 0;
    }
    if (code) {
        *code = c;
    }
    return n;
}

bool fnr_text_is_printable(unsigned code)
{
    return code >= 0x20 && code != 0x7F && code != 0xFFFE && code != 0xFFFF;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that \xHH at s stands for, or -1. */
static int escaped_byte(const char *s)
{
    const int high = s[0] == '\\' && s[1] == 'x' ? hex_digit(s[2]) : -1, low = high >= 0 ? hex_digit(s[3]) : -1;
    return low >= 0 ? high << 4 | low : -1;
}

enum { PIECE_BYTES = 4 * FNR_TEXT_ESCAPE + 1 }; /* the longest character, every byte escaped */

/* One character or stray byte of `s` as it is written; moves s behind it.  Returns the length. */
static size_t write_next(const char **s, size_t left, bool plain_backslash, bool (*holds)(unsigned code), char out[PIECE_BYTES])
{
    unsigned code = 0;
    const size_t length = fnr_utf8_length(*s, left, &code), n = length ? length : 1;
    const bool plain = length > 0 && (!holds || holds(code)) && (plain_backslash || escaped_byte(*s) < 0);
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        const unsigned char byte = (unsigned char)(*s)[i];
        if (plain) {
            out[used++] = (char)byte;
        } else {
            used += (size_t)snprintf(out + used, PIECE_BYTES - used, "\\x%02X", byte);
        }
    }
    *s += n;
    return used;
}

char *fnr_text_escape(const char *bytes, bool (*holds)(unsigned code), fnr_error *err)
{
    const char *end = bytes + strlen(bytes);
    char *out = fnr_calloc((size_t)(end - bytes) + 1, FNR_TEXT_ESCAPE, "a text", err);
    size_t used = 0;
    char piece[PIECE_BYTES];
    for (const char *s = bytes; out && s < end;) {
        const size_t n = write_next(&s, (size_t)(end - s), false, holds, piece);
        memcpy(out + used, piece, n);
        used += n;
    }
    return out;
}

void fnr_text_printable(char *out, size_t size, const char *bytes)
{
    const char *end = bytes + strlen(bytes);
    size_t used = 0;
    char piece[PIECE_BYTES];
    for (const char *s = bytes; s < end;) {
        const size_t n = write_next(&s, (size_t)(end - s), true, fnr_text_is_printable, piece);
        if (used + n >= size) {
            break;
        }
        memcpy(out + used, piece, n);
        used += n;
    }
    out[used] = 0;
}

void fnr_text_unescape(char *text)
{
    char *to = text;
    for (const char *s = text; *s;) {
        const int byte = escaped_byte(s);
        *to++ = byte > 0 ? (char)byte : *s; /* no text holds a zero */
        s += byte > 0 ? FNR_TEXT_ESCAPE : 1;
    }
    *to = 0;
}

size_t fnr_text_distance(const char *a, const char *b)
{
    enum { MOST = 96 };
    size_t row[MOST + 1];
    const size_t n = strnlen(a, MOST), m = strnlen(b, MOST);
    for (size_t j = 0; j <= m; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            const size_t shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replaced < shorter ? replaced : shorter;
        }
    }
    return row[m];
}
