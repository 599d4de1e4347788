#include "tests/support/support.h"

#include <fcntl.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "src/core/fs.h"
#include "src/core/log.h"
#include "src/core/threads.h"

/* A stream whose bytes come back: a pipe, or a terminal of 40 columns. */
typedef struct {
    FILE *stream;
    int read_end;
    char text[1 << 16];
} sink;

static void open_sink(sink *s, bool terminal)
{
    int ends[2];
    memset(s, 0, sizeof *s);
    if (terminal) {
        const struct winsize size = {.ws_col = 40, .ws_row = 10};
        assert_int_equal(openpty(&ends[0], &ends[1], NULL, NULL, &size), 0);
    } else {
        assert_int_equal(pipe(ends), 0);
    }
    s->read_end = ends[0];
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    s->stream = fdopen(ends[1], "w");
    assert_non_null(s->stream);
}

/* What has arrived so far, as one text. */
static const char *received(sink *s)
{
    size_t used = strlen(s->text);
    ssize_t got;
    fflush(s->stream);
    while ((got = read(s->read_end, s->text + used, sizeof s->text - 1 - used)) > 0) {
        used += (size_t)got;
        s->text[used] = 0;
    }
    return s->text;
}

static void close_sink(sink *s)
{
    fclose(s->stream);
    close(s->read_end);
}

/* What a person sees after `bytes` reached a terminal of 40 columns: carriage returns go back, characters overwrite. */
static void show_screen(const char *bytes, char *screen, size_t size)
{
    size_t line = 0, at = 0, end = 0;
    memset(screen, 0, size);
    for (; *bytes && at + 1 < size; bytes++) {
        if (*bytes == '\r') {
            at = line;
        } else if (*bytes == '\n') {
            while (end > line && screen[end - 1] == ' ') { /* blanks at the end cannot be seen */
                screen[--end] = 0;
            }
            screen[end++] = '\n';
            line = at = end;
        } else {
            screen[at++] = *bytes;
            end = at > end ? at : end;
        }
    }
    while (end > line && screen[end - 1] == ' ') {
        screen[--end] = 0;
    }
}

static void levels_and_prefixes(void **state)
{
    (void)state;
    static const char *const want[] = {
        [FNR_LOG_QUIET] = "warning: w 3\nerror: e.tif: broken\n",
        [FNR_LOG_NORMAL] = "i 1\nwarning: w 3\nerror: e.tif: broken\n",
        [FNR_LOG_VERBOSE] = "i 1\nd 2\nwarning: w 3\nerror: e.tif: broken\n",
    };
    for (fnr_log_level level = FNR_LOG_QUIET; level <= FNR_LOG_VERBOSE; level++) {
        sink s;
        open_sink(&s, false);
        fnr_error err = {0};
        fnr_log *log = fnr_log_new(s.stream, level);
        assert_non_null(log);
        fnr_log_info(log, "i %d", 1);
        fnr_log_detail(log, "d %d", 2);
        fnr_log_warn(log, "w %d", 3);
        fnr_fail(&err, FNR_E_FORMAT, "e.tif: broken");
        fnr_log_error(log, &err);
        assert_string_equal(received(&s), want[level]);
        fnr_log_free(log);
        close_sink(&s);
    }
}

static void null_is_silent(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_progress p;
    fnr_log_info(NULL, "x");
    fnr_log_detail(NULL, "x");
    fnr_log_warn(NULL, "x");
    fnr_log_error(NULL, &err);
    fnr_progress_begin(&p, NULL, "work", 10, 0);
    fnr_progress_update(&p, 5, NULL);
    fnr_progress_end(&p, NULL);
    fnr_log_free(NULL);
}

static void hostile_names_stay_on_their_line(void **state)
{
    (void)state;
    sink s;
    open_sink(&s, false);
    fnr_log *log = fnr_log_new(s.stream, FNR_LOG_NORMAL);
    fnr_log_info(log, "%s", "a\nerror: fake\r\x1b[31m\x7f\tb \xc3\xa4\n");
    assert_string_equal(received(&s), "a\\x0Aerror: fake\\x0D\\x1B[31m\\x7F\\x09b \xc3\xa4\n");
    char longtext[20000];
    memset(longtext, 'x', sizeof longtext - 1);
    longtext[sizeof longtext - 1] = 0;
    s.text[0] = 0;
    fnr_log_info(log, "%s", longtext);
    const char *line = received(&s);
    assert_int_equal(strcspn(line, "\n"), strlen(line) - 1); /* cut, and still one line */
    assert_true(strlen(line) > 4096);
    fnr_log_free(log);
    close_sink(&s);
}

static void the_file_gets_everything(void **state)
{
    (void)state;
    sink s;
    char path[FNR_PATH_MAX], *text;
    size_t size;
    fnr_error err = {0};
    open_sink(&s, false);
    snprintf(path, sizeof path, "%s/run.log", fnr_test_tmpdir());
    for (int run = 0; run < 2; run++) { /* the second run appends */
        fnr_log *log = fnr_log_new(s.stream, FNR_LOG_QUIET);
        assert_ok(fnr_log_attach_file(log, path, &err), err);
        fnr_log_info(log, "i");
        fnr_log_detail(log, "d");
        fnr_log_warn(log, "w");
        fnr_log_free(log);
    }
    assert_string_equal(received(&s), "warning: w\nwarning: w\n");
    assert_ok(fnr_read_file(path, 10000, &text, &size, &err), err);
    char *line = strtok(text, "\n");
    static const char *const want[] = {"i", "d", "warning: w"};
    for (int i = 0; i < 6; i++) {
        assert_non_null(line);
        int year, end = 0;
        assert_int_equal(sscanf(line, "%4d-%*2d-%*2dT%*2d:%*2d:%*2dZ %n", &year, &end), 1);
        assert_true(year >= 2024 && end > 0);
        assert_string_equal(line + end, want[i % 3]);
        line = strtok(NULL, "\n");
    }
    assert_null(line);
    free(text);
    fnr_log *log = fnr_log_new(s.stream, FNR_LOG_NORMAL);
    assert_false(fnr_log_attach_file(log, "/nowhere/run.log", &err));
    assert_non_null(strstr(err.message, "/nowhere/run.log"));
    fnr_log_free(log);
    close_sink(&s);
}

static void a_full_log_file_is_given_up_once(void **state)
{
    (void)state;
    sink s;
    fnr_error err = {0};
    open_sink(&s, false);
    fnr_log *log = fnr_log_new(s.stream, FNR_LOG_NORMAL);
    assert_ok(fnr_log_attach_file(log, "/dev/full", &err), err);
    fnr_log_info(log, "one");
    fnr_log_info(log, "two");
    assert_string_equal(received(&s), "one\nwarning: the log file cannot be written any more: No space left on device\ntwo\n");
    fnr_log_free(log);
    close_sink(&s);
}

static void progress_in_a_pipe_is_plain_lines(void **state)
{
    (void)state;
    sink s;
    open_sink(&s, false);
    fnr_log *log = fnr_log_new(s.stream, FNR_LOG_NORMAL);
    fnr_progress p;
    fnr_progress_begin(&p, log, "train", 100, 5);
    for (int i = 6; i < 25; i++) {
        fnr_progress_update(&p, i, "loss %.2f", 0.5);
    }
    assert_string_equal(received(&s), ""); /* nothing is due within the first ten seconds */
    p.start_s -= 100; /* as if 100 s had passed: 20 new units of work, 75 to come at 0.2 per second */
    p.last_line_s -= 100;
    fnr_progress_update(&p, 25, "loss %.2f", 0.5);
    fnr_progress_update(&p, 26, "loss %.2f", 0.5);
    assert_string_equal(received(&s), "train: 25/100 (25 %), 1 min 40 s, 6 min 15 s left; loss 0.50\n");
    s.text[0] = 0;
    fnr_progress_update(&p, 100, NULL);
    fnr_progress_end(&p, "best %d", 7);
    assert_string_equal(received(&s), "train: 100/100 (100 %), 1 min 40 s; best 7\n");
    fnr_log_free(log);
    close_sink(&s);
}

static void quiet_progress_reaches_the_file_alone(void **state)
{
    (void)state;
    sink s;
    char path[FNR_PATH_MAX], *text;
    size_t size;
    fnr_error err = {0};
    snprintf(path, sizeof path, "%s/quiet.log", fnr_test_tmpdir());
    for (int terminal = 0; terminal < 2; terminal++) {
        open_sink(&s, terminal == 1);
        fnr_log *log = fnr_log_new(s.stream, FNR_LOG_QUIET);
        assert_ok(fnr_log_attach_file(log, path, &err), err);
        fnr_progress p;
        fnr_progress_begin(&p, log, "tiles", 12, 0);
        fnr_progress_update(&p, 12, NULL);
        fnr_progress_end(&p, NULL);
        assert_string_equal(received(&s), "");
        fnr_log_free(log);
        close_sink(&s);
    }
    assert_ok(fnr_read_file(path, 10000, &text, &size, &err), err);
    assert_non_null(strstr(text, "Z tiles: 12/12 (100 %), 0.0 s\n"));
    free(text);
}

static void progress_on_a_terminal_is_one_rewritten_line(void **state)
{
    (void)state;
    sink s;
    char screen[4096];
    open_sink(&s, true);
    fnr_log *log = fnr_log_new(s.stream, FNR_LOG_NORMAL);
    fnr_progress p;
    fnr_progress_begin(&p, log, "tiles", 12, 0);
    fnr_progress_update(&p, 3, "a rather long note that does not fit the window, \xc3\xa4\xc3\xa4\xc3\xa4");
    show_screen(received(&s), screen, sizeof screen);
    assert_null(strchr(screen, '\n'));
    assert_string_equal(screen, "tiles: 3/12 (25 %), 0.0 s, 0.0 s left;"); /* 39 columns and no wrap; the last is blank */
    fnr_progress_update(&p, 4, "too early to draw again");
    show_screen(received(&s), screen, sizeof screen);
    assert_memory_equal(screen, "tiles: 3/12", 11);
    fnr_log_info(log, "tile b: registered"); /* the progress line gives way */
    show_screen(received(&s), screen, sizeof screen);
    assert_string_equal(screen, "tile b: registered\n");
    p.last_draw_s -= 1;
    fnr_progress_update(&p, 5, "x");
    p.last_draw_s -= 1;
    p.start_s -= 7200; /* a shorter line must not leave the tail of a longer one */
    p.total = 0;
    fnr_progress_update(&p, 6, NULL);
    show_screen(received(&s), screen, sizeof screen);
    assert_string_equal(screen, "tile b: registered\ntiles: 6, 2 h 00 min");
    fnr_progress_end(&p, "done");
    fnr_log_info(log, "next");
    show_screen(received(&s), screen, sizeof screen);
    assert_string_equal(screen, "tile b: registered\ntiles: 6, 2 h 00 min; done\nnext\n");
    fnr_log_free(log);
    close_sink(&s);
}

/* Two-byte letters are one column each: none is cut in half. */
static void wide_notes_are_cut_between_letters(void **state)
{
    (void)state;
    sink s;
    char screen[4096];
    open_sink(&s, true);
    fnr_log *log = fnr_log_new(s.stream, FNR_LOG_NORMAL);
    fnr_progress p;
    fnr_progress_begin(&p, log, "t", 0, 0);
    fnr_progress_update(&p, 3, "%s", "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                                      "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                                      "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4");
    show_screen(received(&s), screen, sizeof screen);
    const size_t head = strlen("t: 3, 0.0 s; ");
    assert_int_equal(strlen(screen), head + 2 * (39 - head));
    fnr_log_free(log);
    close_sink(&s);
}

static void log_one(void *ctx, size_t i)
{
    fnr_log_info(ctx, "line %04zu of many", i);
}

static void threads_do_not_mix_lines(void **state)
{
    (void)state;
    enum { LINES = 2000 }; /* 44 kB: fits the pipe */
    sink s;
    open_sink(&s, false);
    fnr_log *log = fnr_log_new(s.stream, FNR_LOG_NORMAL);
    fnr_threads_set(4);
    fnr_parallel_for(LINES, log_one, log);
    static bool seen[LINES];
    int count = 0;
    received(&s);
    for (char *line = strtok(s.text, "\n"); line; line = strtok(NULL, "\n")) {
        unsigned i;
        assert_int_equal(strlen(line), strlen("line 0000 of many"));
        assert_int_equal(sscanf(line, "line %4u of many", &i), 1);
        assert_true(i < LINES && !seen[i]);
        seen[i] = true;
        count++;
    }
    assert_int_equal(count, LINES);
    fnr_log_free(log);
    close_sink(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_and_prefixes),
        cmocka_unit_test(null_is_silent),
        cmocka_unit_test(hostile_names_stay_on_their_line),
        cmocka_unit_test(the_file_gets_everything),
        cmocka_unit_test(a_full_log_file_is_given_up_once),
        cmocka_unit_test(progress_in_a_pipe_is_plain_lines),
        cmocka_unit_test(quiet_progress_reaches_the_file_alone),
        cmocka_unit_test(progress_on_a_terminal_is_one_rewritten_line),
        cmocka_unit_test(wide_notes_are_cut_between_letters),
        cmocka_unit_test(threads_do_not_mix_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
