/* Plain lines for people: to a stream (stderr), and to a log file when one is attached.  Only src/cli and src/pipeline print;
 * the libraries below them return errors.
 *
 * One call prints one line: control characters (a file name may hold any) become \xHH.  Several threads may call at once. */
#ifndef FNR_CORE_LOG_H
#define FNR_CORE_LOG_H

#include <stdio.h>
#include "src/core/err.h"

typedef enum { FNR_LOG_QUIET, FNR_LOG_NORMAL, FNR_LOG_VERBOSE } fnr_log_level;

typedef struct fnr_log fnr_log;

/* stream is borrowed (usually stderr). NULL on out-of-memory. */
fnr_log *fnr_log_new(FILE *stream, fnr_log_level level);
void fnr_log_free(fnr_log *log);

/* Appends every line, with a UTC time stamp, to `path` as well. */
bool fnr_log_attach_file(fnr_log *log, const char *path, fnr_error *err);

/* NULL log is silent.  `info` is hidden by QUIET, `detail` is shown by VERBOSE alone (both always reach the file). */
void fnr_log_info(fnr_log *log, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void fnr_log_detail(fnr_log *log, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void fnr_log_warn(fnr_log *log, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void fnr_log_error(fnr_log *log, const fnr_error *error);

/* Progress of one long piece of work: one rewritten line on a terminal; in a pipe or file a plain line at most every
 * `FNR_PROGRESS_LINE_S` seconds and at the end.  Shows done/total, elapsed and remaining time, and the note. */
#define FNR_PROGRESS_LINE_S 10.0

typedef struct {
    fnr_log *log;
    char label[64];
    double total;      /* units of work */
    double first_done; /* units finished before this run began (resumed work), left out of the speed */
    double done;       /* units finished at the last update */
    double start_s, last_line_s, last_draw_s;
} fnr_progress;

void fnr_progress_begin(fnr_progress *p, fnr_log *log, const char *label, double total, double first_done);
void fnr_progress_update(fnr_progress *p, double done, const char *note_fmt, ...) __attribute__((format(printf, 3, 4)));
void fnr_progress_end(fnr_progress *p, const char *note_fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
