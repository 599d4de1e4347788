#include "src/core/log.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "src/core/text.h"
#include "src/core/timer.h"

enum { LINE_MAX_BYTES = 6000, TERMINAL_COLUMNS = 80 };
static const double DRAW_INTERVAL_S = 0.1;

struct fnr_log {
    FILE *stream, *file;
    fnr_log_level level;
    bool terminal;
    int drawn_columns; /* of the progress line that stands on the terminal now; 0 = none */
    pthread_mutex_t lock;
};

fnr_log *fnr_log_new(FILE *stream, fnr_log_level level)
{
    fnr_log *log = calloc(1, sizeof *log);
    if (!log || pthread_mutex_init(&log->lock, NULL) != 0) {
        free(log);
        return NULL;
    }
    log->stream = stream;
    log->level = level;
    log->terminal = isatty(fileno(stream)) == 1;
    return log;
}

/* The progress line gives way to whatever is printed next. */
static void erase_drawn(fnr_log *log)
{
    if (log->drawn_columns > 0) {
        fprintf(log->stream, "\r%*s\r", log->drawn_columns, "");
        log->drawn_columns = 0;
    }
}

void fnr_log_free(fnr_log *log)
{
    if (!log) {
        return;
    }
    erase_drawn(log);
    fflush(log->stream);
    if (log->file) {
        fclose(log->file);
    }
    pthread_mutex_destroy(&log->lock);
    free(log);
}

bool fnr_log_attach_file(fnr_log *log, const char *path, fnr_error *err)
{
    FILE *file = fopen(path, "ae");
    if (!file) {
        return fnr_fail_errno(err, errno, "cannot write the log file %s", path);
    }
    pthread_mutex_lock(&log->lock);
    if (log->file) {
        fclose(log->file);
    }
    log->file = file;
    pthread_mutex_unlock(&log->lock);
    return true;
}

/* File names come from outside: an escape sequence or a line feed in one must not reach the terminal. */
static void to_plain_line(char *out, size_t size, char *text)
{
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == '\n') {
        text[--n] = 0;
    }
    fnr_text_printable(out, size, text);
}

/* With the lock held.  A log file that cannot be written is given up with one warning: the run itself goes on. */
static void to_file(fnr_log *log, const char *line)
{
    if (!log->file) {
        return;
    }
    char now[32];
    fnr_utc_now(now);
    if (fprintf(log->file, "%s %s\n", now, line) < 0 || fflush(log->file) != 0) {
        const int fault = errno;
        fclose(log->file);
        log->file = NULL;
        erase_drawn(log);
        fprintf(log->stream, "warning: the log file cannot be written any more: %s\n", strerror(fault));
    }
}

static void to_stream(fnr_log *log, const char *line)
{
    erase_drawn(log);
    fprintf(log->stream, "%s\n", line);
    fflush(log->stream);
}

static void emit(fnr_log *log, fnr_log_level least, const char *prefix, const char *fmt, va_list args)
{
    char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
    const size_t used = strlen(prefix);
    memcpy(text, prefix, used);
    vsnprintf(text + used, sizeof text - used, fmt, args);
    to_plain_line(line, sizeof line, text);
    pthread_mutex_lock(&log->lock);
    if (log->level >= least) {
        to_stream(log, line);
    }
    to_file(log, line);
    pthread_mutex_unlock(&log->lock);
}

void fnr_log_info(fnr_log *log, const char *fmt, ...)
{
    if (log) {
        va_list args;
        va_start(args, fmt);
        emit(log, FNR_LOG_NORMAL, "", fmt, args);
        va_end(args);
    }
}

void fnr_log_detail(fnr_log *log, const char *fmt, ...)
{
    if (log) {
        va_list args;
        va_start(args, fmt);
        emit(log, FNR_LOG_VERBOSE, "", fmt, args);
        va_end(args);
    }
}

void fnr_log_warn(fnr_log *log, const char *fmt, ...)
{
    if (log) {
        va_list args;
        va_start(args, fmt);
        emit(log, FNR_LOG_QUIET, "warning: ", fmt, args);
        va_end(args);
    }
}

__attribute__((format(printf, 2, 3))) static void emit_error(fnr_log *log, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    emit(log, FNR_LOG_QUIET, "error: ", fmt, args);
    va_end(args);
}

void fnr_log_error(fnr_log *log, const fnr_error *error)
{
    if (log) {
        emit_error(log, "%s", error->message);
    }
}

/* ---- progress ---- */

void fnr_progress_begin(fnr_progress *p, fnr_log *log, const char *label, double total, double first_done)
{
    const double now = fnr_now_s();
    *p = (fnr_progress){.log = log, .total = total, .first_done = first_done, .done = first_done, .start_s = now, .last_line_s = now};
    snprintf(p->label, sizeof p->label, "%s", label);
    p->last_draw_s = now - 1;
}

/* "train: 120/1000 (12 %), 35 s, 4 min 20 s left; loss 0.71" */
static void describe(const fnr_progress *p, bool finished, const char *note, char *line, size_t size)
{
    char elapsed_text[32], left_text[32], left[64] = "", count[64];
    const double elapsed = fnr_now_s() - p->start_s;
    const double speed = elapsed > 0 ? (p->done - p->first_done) / elapsed : 0;
    fnr_format_duration(elapsed, elapsed_text);
    if (p->total > 0) {
        snprintf(count, sizeof count, "%.0f/%.0f (%.0f %%)", p->done, p->total, floor(100 * p->done / p->total));
    } else {
        snprintf(count, sizeof count, "%.0f", p->done);
    }
    if (!finished && speed > 0 && p->total > p->done) {
        fnr_format_duration((p->total - p->done) / speed, left_text);
        snprintf(left, sizeof left, ", %s left", left_text);
    }
    char text[LINE_MAX_BYTES];
    snprintf(text, sizeof text, "%s: %s, %s%s%s%s", p->label, count, elapsed_text, left, note[0] ? "; " : "", note);
    to_plain_line(line, size, text);
}

static int terminal_columns(FILE *stream)
{
    struct winsize size;
    return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : TERMINAL_COLUMNS;
}

/* Rewrites the terminal's last line.  Cut to the window, because a line that wraps cannot be rewritten; a UTF-8 character counts
 * as one column. */
static void draw(fnr_log *log, char *line)
{
    const int limit = terminal_columns(log->stream) - 1;
    int columns = 0;
    char *at = line;
    for (; *at; at++) {
        if (((unsigned char)*at & 0xC0) != 0x80 && ++columns > limit) {
            *at = 0;
            columns = limit;
            break;
        }
    }
    const int leftover = log->drawn_columns > columns ? log->drawn_columns - columns : 0;
    fprintf(log->stream, "\r%s%*s", line, leftover, "");
    fflush(log->stream);
    log->drawn_columns = columns;
}

/* With the lock held. */
static void show(fnr_progress *p, bool finished, const char *note)
{
    fnr_log *log = p->log;
    const double now = fnr_now_s();
    const bool visible = log->level >= FNR_LOG_NORMAL;
    const bool line_due = finished || now - p->last_line_s >= FNR_PROGRESS_LINE_S;
    const bool draw_due = visible && log->terminal && !finished && now - p->last_draw_s >= DRAW_INTERVAL_S;
    if (!line_due && !draw_due) {
        return;
    }
    char line[LINE_MAX_BYTES];
    describe(p, finished, note, line, sizeof line);
    if (line_due) {
        p->last_line_s = now;
        if (visible && (finished || !log->terminal)) {
            to_stream(log, line);
        }
        to_file(log, line);
    }
    if (draw_due) {
        p->last_draw_s = now;
        draw(log, line);
    }
}

/* NULL fmt: no note. */
static void show_note(fnr_progress *p, double done, bool finished, const char *fmt, va_list args)
{
    char note[1024] = "";
    if (fmt) {
        vsnprintf(note, sizeof note, fmt, args);
    }
    pthread_mutex_lock(&p->log->lock);
    p->done = done;
    show(p, finished, note);
    pthread_mutex_unlock(&p->log->lock);
}

void fnr_progress_update(fnr_progress *p, double done, const char *note_fmt, ...)
{
    if (p->log) {
        va_list args;
        va_start(args, note_fmt);
        show_note(p, done, false, note_fmt, args);
        va_end(args);
    }
}

void fnr_progress_end(fnr_progress *p, const char *note_fmt, ...)
{
    if (p->log) {
        va_list args;
        va_start(args, note_fmt);
        show_note(p, p->done, true, note_fmt, args);
        va_end(args);
    }
}
