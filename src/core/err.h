/* Errors: one struct on the caller's stack; it never allocates.
 *
 * Every function that can fail returns bool (true = success) and takes an fnr_error * as its last argument.  Who finds the
 * fault writes the message; who passes it on stays silent, or adds context with fnr_error_prefix().  A message names the file,
 * says what is wrong and what to do. */
#ifndef FNR_CORE_ERR_H
#define FNR_CORE_ERR_H

#include <stdbool.h>

typedef enum {
    FNR_OK = 0,
    FNR_E_USAGE,       /* the command line or a setting is wrong              -> exit status 2 */
    FNR_E_IO,          /* open, read, write, rename, disk full                                 */
    FNR_E_FORMAT,      /* a file is broken or not what its name says                           */
    FNR_E_UNSUPPORTED, /* a valid file or request that this program does not handle            */
    FNR_E_LIMIT,       /* a memory or size limit would be passed                               */
    FNR_E_NUMERIC,     /* NaN, singular system, no convergence                                 */
    FNR_E_CANCELLED,   /* the user asked to stop                                               */
    FNR_E_INTERNAL     /* a bug in this program                                                */
} fnr_code;

typedef struct {
    fnr_code code;
    char message[1024]; /* one line, no trailing newline, UTF-8 */
} fnr_error;

/* Fills *err (which may be NULL) and returns false, so that callers can write `return fnr_fail(err, ...)`. */
bool fnr_fail(fnr_error *err, fnr_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As fnr_fail with FNR_E_IO, and appends strerror(errnum). */
bool fnr_fail_errno(fnr_error *err, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before an existing message; keeps the code. */
void fnr_error_prefix(fnr_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A short word for a code: "io", "format", ... */
const char *fnr_code_name(fnr_code code);

#endif
