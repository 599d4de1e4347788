/* Text from outside.  A file name may hold any bytes, but what we write for others (JSON, XML, HTML, CSV) must be UTF-8. */
#ifndef FNR_CORE_TEXT_H
#define FNR_CORE_TEXT_H

#include <stddef.h>
#include "src/core/err.h"

/* Bytes of \xHH: a text grows at most by this factor. */
#define FNR_TEXT_ESCAPE 4

/* Bytes of the well-formed UTF-8 sequence (RFC 3629: no overlong forms, no surrogates) at s, of which `left` bytes may be read; 0
 * when there is none.  Its code point goes to *code (which may be NULL). */
size_t fnr_utf8_length(const char *s, size_t left, unsigned *code);

/* Bytes as UTF-8 text that tells them back: a byte that is no part of UTF-8 becomes \xHH, and so do the bytes of characters that
 * the format does not hold (`holds` says no; NULL: it holds all).  A backslash that would then read as the beginning of \xHH
 * becomes \x5C; other text stays as it is.  NULL when out of memory; caller frees. */
char *fnr_text_escape(const char *bytes, bool (*holds)(unsigned code), fnr_error *err);
/* Undoes fnr_text_escape in place. */
void fnr_text_unescape(char *text);

/* One line for people: stray bytes and what is not printable as \xHH, backslashes as they are; cut behind the last character that
 * fits into `size` bytes. */
void fnr_text_printable(char *out, size_t size, const char *bytes);

/* For `holds`: no control character and nothing else that XML 1.0 refuses. */
bool fnr_text_is_printable(unsigned code);

/* Levenshtein's distance: how many letters to add, drop or replace.  Texts longer than 96 bytes are compared by their beginnings. */
size_t fnr_text_distance(const char *a, const char *b);

#endif
