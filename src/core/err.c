#include "src/core/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool fnr_fail(fnr_error *err, fnr_code code, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        err->code = code;
        vsnprintf(err->message, sizeof err->message, fmt, args);
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
        vsnprintf(err->message, sizeof err->message, fmt, args);
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
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, ": %s", err->message);
    memcpy(err->message, text, sizeof text);
}

const char *fnr_code_name(fnr_code code)
{
    static const char *const names[] = {"ok", "usage", "io", "format", "unsupported", "limit", "numeric", "cancelled", "internal"};
    return (unsigned)code < sizeof names / sizeof *names ? names[code] : "unknown";
}
