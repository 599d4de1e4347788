#include "src/core/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/core/text.h"

/* Names of files come from outside: whatever they hold, a message is one line of UTF-8. */
static void format_line(char *out, size_t size, const char *fmt, va_list args)
{
    char text[sizeof(fnr_error)];
    vsnprintf(text, sizeof text, fmt, args);
    fnr_text_printable(out, size, text);
}

bool fnr_fail(fnr_error *err, fnr_code code, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        err->code = code;
        format_line(err->message, sizeof err->message, fmt, args);
        va_end(args);
    }
    return false;
}

bool fnr_fail_errno(fnr_error *err, int errnum, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        err->code = FNR_E_IO;
        format_line(err->message, sizeof err->message, fmt, args);
        va_end(args);
        const size_t used = strlen(err->message);
        snprintf(err->message + used, sizeof err->message - used, ": %s", strerror(errnum));
    }
    return false;
}

void fnr_error_prefix(fnr_error *err, const char *fmt, ...)
{
    if (!err) {
        return;
    }
    char text[sizeof err->message];
    va_list args;
    va_start(args, fmt);
    format_line(text, sizeof text, fmt, args);
    va_end(args);
    const size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, ": %s", err->message);
    fnr_text_printable(err->message, sizeof err->message, text); /* the cut may have split a character */
}

const char *fnr_code_name(fnr_code code)
{
    static const char *const names[] = {"ok", "usage", "io", "format", "unsupported", "limit", "numeric", "cancelled", "internal"};
    return (unsigned)code < sizeof names / sizeof *names ? names[code] : "unknown";
}
