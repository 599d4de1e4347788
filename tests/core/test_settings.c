#include "tests/support/support.h"

#include <locale.h>
#include <unistd.h>

#include "src/core/fs.h"
#include "src/core/settings.h"

typedef struct {
    int steps;
    double rate, em_nm;
    bool flips;
    int backend;
    char note[FNR_SET_TEXT_MAX];
} config;

static const fnr_setting rows[] = {
    {"train.steps", FNR_SET_INT, offsetof(config, steps), 1, 1000000, "50000", "", NULL, "Optimiser steps."},
    {"train.learning_rate", FNR_SET_FLOAT, offsetof(config, rate), 1e-9, 1, "0.001", "", NULL, "Adam's step size."},
    {"train.flips", FNR_SET_BOOL, offsetof(config, flips), 0, 0, "true", "", NULL, "Mirror patches at random."},
    {"input.em_nm", FNR_SET_FLOAT, offsetof(config, em_nm), 0, 1e6, "0", "nm", NULL,
     "Pixel size of the electron micrographs; 0 takes it from the file, and this sentence is long enough to be wrapped over lines."},
    {"net.backend", FNR_SET_CHOICE, offsetof(config, backend), 0, 0, "auto", "", "auto ref onednn", "Who computes."},
    {"net.note", FNR_SET_TEXT, offsetof(config, note), 0, 0, "", "", NULL, "A text of your own."},
};
static const fnr_settings_table table = {rows, sizeof rows / sizeof *rows};

static config fresh(void)
{
    config c;
    fnr_error err = {0};
    memset(&c, 0, sizeof c);
    assert_ok(fnr_settings_defaults(&table, &c, &err), err);
    return c;
}

static void defaults(void **state)
{
    (void)state;
    const config c = fresh();
    assert_int_equal(c.steps, 50000);
    assert_true(c.rate == 0.001);
    assert_true(c.em_nm == 0);
    assert_true(c.flips);
    assert_int_equal(c.backend, 0);
    assert_string_equal(c.note, "");
    static const fnr_setting bad[] = {{"a.b", FNR_SET_INT, 0, 1, 5, "9", "", NULL, "Its default is out of range."}};
    const fnr_settings_table wrong = {bad, 1};
    int value;
    fnr_error err = {0};
    assert_false(fnr_settings_defaults(&wrong, &value, &err));
    assert_int_equal(err.code, FNR_E_INTERNAL);
    assert_non_null(strstr(err.message, "a.b"));
}

static void good_values(void **state)
{
    (void)state;
    config c = fresh();
    fnr_error err = {0};
    assert_ok(fnr_settings_set(&table, &c, "train.steps", " 12 ", "--set", &err), err);
    assert_int_equal(c.steps, 12);
    assert_ok(fnr_settings_set(&table, &c, "train.steps", "+1000000", "--set", &err), err);
    assert_int_equal(c.steps, 1000000);
    assert_ok(fnr_settings_set(&table, &c, "train.learning_rate", "2.5e-4", "--set", &err), err);
    assert_true(c.rate == 2.5e-4);
    assert_ok(fnr_settings_set(&table, &c, "input.em_nm", ".5", "--set", &err), err);
    assert_true(c.em_nm == 0.5);
    static const char *const yes[] = {"true", "YES", "on", "1"}, *const no[] = {"False", "no", "off", "0"};
    for (int i = 0; i < 4; i++) {
        assert_ok(fnr_settings_set(&table, &c, "train.flips", no[i], "--set", &err), err);
        assert_false(c.flips);
        assert_ok(fnr_settings_set(&table, &c, "train.flips", yes[i], "--set", &err), err);
        assert_true(c.flips);
    }
    assert_ok(fnr_settings_set(&table, &c, "net.backend", "onednn", "--set", &err), err);
    assert_int_equal(c.backend, 2);
    assert_ok(fnr_settings_set(&table, &c, "net.backend", "ref", "--set", &err), err);
    assert_int_equal(c.backend, 1);
    assert_ok(fnr_settings_set(&table, &c, "net.note", "  two words = 2; fine  ", "--set", &err), err);
    assert_string_equal(c.note, "two words = 2; fine");
}

static void bad_values_change_nothing(void **state)
{
    (void)state;
    config c = fresh();
    const config before = c;
    static const char *const cases[][2] = {
        {"train.steps", ""},           {"train.steps", "0"},         {"train.steps", "1000001"},    {"train.steps", "12x"},
        {"train.steps", "1e3"},        {"train.steps", "3.0"},       {"train.steps", "4294967297"}, {"train.steps", "0x10"},
        {"train.steps", "99999999999999999999"}, {"train.steps", "1 2"}, {"train.steps", "- 1"},    {"train.learning_rate", "nan"},
        {"train.learning_rate", "inf"}, {"input.em_nm", "1e999"},    {"input.em_nm", "-inf"},       {"input.em_nm", "NaN"},
        {"input.em_nm", "-0.001"},     {"input.em_nm", "1000000.1"}, {"input.em_nm", "0x1p3"},      {"input.em_nm", "1,5"},
        {"input.em_nm", "1.5.2"},      {"input.em_nm", "10 nm"},     {"input.em_nm", "e5"},         {"input.em_nm", ""},
        {"train.flips", "2"},          {"train.flips", "maybe"},     {"train.flips", ""},           {"net.backend", "cuda"},
        {"net.backend", "auto ref"},   {"net.backend", ""},          {"net.backend", "aut"},        {"net.note", "a ; b"},
        {"net.note", ";"},             {"net.note", "two\nlines"},   {"net.note", "\x1b[31m"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fnr_error err = {0};
        if (fnr_settings_set(&table, &c, cases[i][0], cases[i][1], "--set", &err)) {
            fail_msg("%s = '%s' was accepted", cases[i][0], cases[i][1]);
        }
        assert_int_equal(err.code, FNR_E_USAGE);
        assert_memory_equal(err.message, "--set: ", 7);
        assert_non_null(strstr(err.message, cases[i][0]));
        assert_memory_equal(&c, &before, sizeof c);
    }
}

static void messages_say_what_is_accepted(void **state)
{
    (void)state;
    config c = fresh();
    fnr_error err = {0};
    assert_false(fnr_settings_set(&table, &c, "train.steps", "0", NULL, &err));
    assert_string_equal(err.message, "train.steps = '0' is not a whole number from 1 to 1000000");
    assert_false(fnr_settings_set(&table, &c, "input.em_nm", "x", "a.ini line 3", &err));
    assert_string_equal(err.message, "a.ini line 3: input.em_nm = 'x' is not a number from 0 to 1000000 nm");
    assert_false(fnr_settings_set(&table, &c, "net.backend", "cuda", "", &err));
    assert_string_equal(err.message, "net.backend = 'cuda' is none of: auto ref onednn");
}

static void unknown_names_get_the_nearest(void **state)
{
    (void)state;
    config c = fresh();
    static const char *const cases[][2] = {
        {"train.step", "train.steps"},     {"trian.steps", "train.steps"}, {"input.em-nm", "input.em_nm"},
        {"net.backand", "net.backend"},    {"steps", "train.steps"},       {"em_nm", "input.em_nm"},
        {"train.learningrate", "train.learning_rate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fnr_error err = {0};
        char want[128];
        assert_false(fnr_settings_set(&table, &c, cases[i][0], "1", "--set", &err));
        assert_int_equal(err.code, FNR_E_USAGE);
        snprintf(want, sizeof want, "--set: there is no setting '%s'; the nearest is '%s'", cases[i][0], cases[i][1]);
        assert_string_equal(err.message, want);
    }
    fnr_error err = {0};
    char longname[3000];
    memset(longname, 'q', sizeof longname - 1);
    longname[sizeof longname - 1] = 0;
    assert_false(fnr_settings_set(&table, &c, longname, "1", "--set", &err));
    assert_null(fnr_settings_find(&table, "train"));
    assert_ptr_equal(fnr_settings_find(&table, "net.note"), &rows[5]);
}

static void texts_are_limited(void **state)
{
    (void)state;
    config c = fresh();
    fnr_error err = {0};
    char text[4000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    assert_false(fnr_settings_set(&table, &c, "net.note", text, "--set", &err));
    text[192] = 0; /* "note = " and 192 more would be a line of 199 */
    assert_false(fnr_settings_set(&table, &c, "net.note", text, "--set", &err));
    text[191] = 0;
    assert_ok(fnr_settings_set(&table, &c, "net.note", text, "--set", &err), err);
    assert_string_equal(c.note, text);
}

static void formatted_numbers_read_back_to_the_same_bits(void **state)
{
    (void)state;
    config c = fresh();
    fnr_error err = {0};
    static const double values[] = {0.1, 1.0 / 3, 11.9, 1e-9, 0.99999999999999989, 5e-7, 123456.789012345678, 4.9e-324};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[64];
        config other = fresh();
        c.em_nm = values[i];
        fnr_settings_format(&rows[3], &c, text, sizeof text);
        assert_ok(fnr_settings_set(&table, &other, "input.em_nm", text, "test", &err), err);
        assert_memory_equal(&other.em_nm, &values[i], sizeof values[i]);
    }
    char text[64];
    c.em_nm = 11.9;
    fnr_settings_format(&rows[3], &c, text, sizeof text);
    assert_string_equal(text, "11.9"); /* not 11.900000000000000355 */
    c.backend = 2;
    fnr_settings_format(&rows[4], &c, text, sizeof text);
    assert_string_equal(text, "onednn");
    c.flips = false;
    fnr_settings_format(&rows[2], &c, text, sizeof text);
    assert_string_equal(text, "false");
}

/* German numbers, compiled into the test's folder: machines seldom have that locale ready. */
static void a_decimal_comma_locale_changes_nothing(void **state)
{
    (void)state;
    char command[FNR_PATH_MAX];
    snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 '%s/de_DE.UTF-8' 2>/dev/null", fnr_test_tmpdir());
    const int status = system(command);
    setenv("LOCPATH", fnr_test_tmpdir(), 1);
    if (status != 0 || !setlocale(LC_ALL, "de_DE.UTF-8")) {
        print_message("skipped: no locale with a decimal comma (package locales)\n");
        skip();
    }
    assert_string_equal(localeconv()->decimal_point, ",");
    char text[64];
    config c = fresh();
    fnr_error err = {0};
    const bool ok = fnr_settings_set(&table, &c, "input.em_nm", "11.9", "--set", &err);
    fnr_settings_format(&rows[3], &c, text, sizeof text);
    setlocale(LC_ALL, "C");
    assert_true(ok);
    assert_true(c.em_nm == 11.9);
    assert_string_equal(text, "11.9");
}

/* ---- INI files ---- */

static bool read_text(const char *text, size_t size, config *c, fnr_error *err)
{
    char path[FNR_PATH_MAX];
    snprintf(path, sizeof path, "%s/case.ini", fnr_test_tmpdir());
    return fnr_write_file(path, text, size, err) && fnr_settings_read_ini(&table, c, path, err);
}

static void ini_good(void **state)
{
    (void)state;
    fnr_error err = {0};
    config c = fresh();
    const char text[] = "\xef\xbb\xbf; a comment\r\n"
                        "[train]\r\n"
                        "steps = 10\n"
                        "   flips = no   ; an indented entry of its own, with a comment\n"
                        "steps = 20\n" /* the last one wins */
                        "# a comment that is longer than the library's lines: 0123456789012345678901234567890123456789012345678901234"
                        "567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\n"
                        "\n"
                        "[net]\n"
                        "backend: ref\n"
                        "note = last line, without a line feed";
    assert_ok(read_text(text, sizeof text - 1, &c, &err), err);
    assert_int_equal(c.steps, 20);
    assert_false(c.flips);
    assert_int_equal(c.backend, 1);
    assert_string_equal(c.note, "last line, without a line feed");
    assert_true(c.rate == 0.001);
    assert_ok(read_text("", 0, &c, &err), err);
}

static void ini_faults_name_file_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int line;
        const char *what;
    } cases[] = {
        {"[train]\nstep = 1\n", 2, "nearest is 'train.steps'"},
        {"[train]\n\n# c\nsteps = many\n", 4, "train.steps = 'many'"},
        {"[train]\nsteps = 1\n   steps = -1\nstep = 3\n", 3, "'-1'"}, /* the first fault, not the last */
        {"steps = 5\n", 1, "nearest is 'train.steps'"},
        {"[train\nsteps = 5\n", 1, "neither [section] nor key = value"},
        {"[train]\nsteps\n", 2, "neither [section] nor key = value"},
        {"[train]\nsteps =\n", 2, "train.steps = ''"},
        {"[net]\nbackend = cuda", 2, "none of: auto ref onednn"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fnr_error err = {0};
        config c = fresh();
        char where[64];
        if (read_text(cases[i].text, strlen(cases[i].text), &c, &err)) {
            fail_msg("accepted: %s", cases[i].text);
        }
        snprintf(where, sizeof where, "/case.ini line %d: ", cases[i].line);
        if (!strstr(err.message, where) || !strstr(err.message, cases[i].what)) {
            fail_msg("'%s' lacks '%s' or '%s'", err.message, where, cases[i].what);
        }
        assert_int_equal(err.code, FNR_E_USAGE);
    }
}

static void ini_that_is_no_ini(void **state)
{
    (void)state;
    fnr_error err = {0};
    config c = fresh();
    assert_false(read_text("[net]\nnote = a\0b\n", 17, &c, &err));
    assert_non_null(strstr(err.message, "line 2: holds a zero byte"));
    char longline[400] = "[net]\nnote = ";
    memset(longline + 13, 'y', 300);
    assert_false(read_text(longline, strlen(longline), &c, &err));
    assert_non_null(strstr(err.message, "line 2: is longer than 198"));
    assert_false(fnr_settings_read_ini(&table, &c, "/nowhere/x.ini", &err));
    assert_int_equal(err.code, FNR_E_IO);
    assert_non_null(strstr(err.message, "/nowhere/x.ini"));
    assert_false(fnr_settings_read_ini(&table, &c, fnr_test_tmpdir(), &err));
    assert_int_equal(err.code, FNR_E_IO);
    assert_non_null(strstr(err.message, "directory"));
}

static void written_ini_reads_back(void **state)
{
    (void)state;
    fnr_error err = {0};
    config c = fresh(), back = fresh();
    c.steps = 77;
    c.rate = 1.0 / 3;
    c.em_nm = 11.9;
    c.flips = false;
    c.backend = 2;
    memset(c.note, 'z', 191); /* the longest text that fits */
    char path[FNR_PATH_MAX], *text;
    size_t size;
    snprintf(path, sizeof path, "%s/written.ini", fnr_test_tmpdir());
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fnr_settings_write_ini(&table, &c, out);
    assert_int_equal(fclose(out), 0);
    assert_ok(fnr_settings_read_ini(&table, &back, path, &err), err);
    assert_memory_equal(&back, &c, sizeof c);
    assert_ok(fnr_read_file(path, 1 << 20, &text, &size, &err), err);
    assert_memory_equal(text, "[train]\n\n# Optimiser steps.\n# 1 to 1000000; default 50000\nsteps = 77\n", 69);
    assert_non_null(strstr(text, "\n\n[input]\n\n# Pixel size of the electron"));
    assert_non_null(strstr(text, "\n# 0 to 1000000 nm; default 0\nem_nm = 11.9\n"));
    assert_non_null(strstr(text, "\n# one of: auto ref onednn; default auto\nbackend = onednn\n"));
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        assert_true(line[0] != '#' || strcspn(line, "\n") <= 101);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(good_values),
        cmocka_unit_test(bad_values_change_nothing),
        cmocka_unit_test(messages_say_what_is_accepted),
        cmocka_unit_test(unknown_names_get_the_nearest),
        cmocka_unit_test(texts_are_limited),
        cmocka_unit_test(formatted_numbers_read_back_to_the_same_bits),
        cmocka_unit_test(a_decimal_comma_locale_changes_nothing),
        cmocka_unit_test(ini_good),
        cmocka_unit_test(ini_faults_name_file_and_line),
        cmocka_unit_test(ini_that_is_no_ini),
        cmocka_unit_test(written_ini_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
