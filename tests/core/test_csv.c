#include "tests/support/support.h"

#include "src/core/csv.h"
#include "src/core/fs.h"
#include "src/core/text.h"

static bool read_text(const char *text, fnr_csv *t, fnr_error *err)
{
    char path[FNR_PATH_MAX];
    assert_true(fnr_path_join(path, fnr_test_tmpdir(), "t.csv", err));
    assert_ok(fnr_write_file(path, text, strlen(text), err), *err);
    return fnr_csv_read(path, t, err);
}

static void plain_and_quoted_fields(void **state)
{
    (void)state;
    fnr_csv t;
    fnr_error err = {0};
    assert_ok(read_text("\xEF\xBB\xBFtile,why,n\r\na.tif,\"cut, at \"\"strip 3\"\"\",1\r\n\r\nb.tif,\"two\nlines\",\nc.tif\n", &t, &err), err);
    assert_int_equal(t.columns, 3);
    assert_int_equal(t.rows, 4);
    const int tile = fnr_csv_column(&t, "tile"), why = fnr_csv_column(&t, "why"), n = fnr_csv_column(&t, "n");
    assert_int_equal(tile, 0);
    assert_string_equal(fnr_csv_cell(&t, 0, why), "cut, at \"strip 3\"");
    assert_string_equal(fnr_csv_cell(&t, 0, n), "1");
    assert_string_equal(fnr_csv_cell(&t, 1, why), "two\nlines");
    assert_string_equal(fnr_csv_cell(&t, 1, n), "");
    assert_string_equal(fnr_csv_cell(&t, 2, tile), "c.tif");
    assert_string_equal(fnr_csv_cell(&t, 2, n), "");
    assert_int_equal(fnr_csv_column(&t, "absent"), -1);
    assert_string_equal(fnr_csv_cell(&t, 0, -1), "");
    fnr_csv_free(&t);
}

/* What we write comes back, whatever it holds. */
static void written_cells_read_back(void **state)
{
    (void)state;
    static const char *const names[] = {"plain.tif", "a, \"b\".tif", "two\nlines.tif", "ends with return\r", "\r\n", "gr\xFC\xDF.tif", "\"", ""};
    enum { N = sizeof names / sizeof *names };
    fnr_error err = {0};
    fnr_csv t;
    fnr_atomic file;
    char path[FNR_PATH_MAX];
    assert_true(fnr_path_join(path, fnr_test_tmpdir(), "written.csv", &err));
    assert_ok(fnr_atomic_open(&file, path, &err), err);
    fputs("name,n\r\n", file.file);
    for (int i = 0; i < N; i++) {
        assert_true(fnr_csv_put_name(file.file, names[i], &err));
        fprintf(file.file, ",%d\r\n", i);
    }
    assert_ok(fnr_atomic_commit(&file, &err), err);
    assert_ok(fnr_csv_read(path, &t, &err), err);
    assert_int_equal(t.rows, N + 1);
    for (size_t i = 0; i < N; i++) {
        char name[64], number[16];
        snprintf(name, sizeof name, "%s", fnr_csv_cell(&t, i, 0));
        snprintf(number, sizeof number, "%zu", i);
        fnr_text_unescape(name);
        assert_string_equal(name, names[i]);
        assert_string_equal(fnr_csv_cell(&t, i, 1), number);
    }
    fnr_csv_free(&t);
}

static void odd_tables_are_refused(void **state)
{
    (void)state;
    fnr_csv t;
    fnr_error err = {0};
    assert_false(read_text("", &t, &err));
    assert_non_null(strstr(err.message, "empty"));
    assert_false(read_text("a,b\n1,2,3\n", &t, &err));
    assert_non_null(strstr(err.message, "row 2"));
    assert_false(fnr_csv_read("/nonexistent/x.csv", &t, &err));
    assert_non_null(strstr(err.message, "x.csv"));
    /* an unclosed quote swallows the rest of the file, without reading past its end */
    assert_true(read_text("a,b\n1,\"open", &t, &err));
    assert_string_equal(fnr_csv_cell(&t, 0, 1), "open");
    fnr_csv_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_and_quoted_fields),
        cmocka_unit_test(written_cells_read_back),
        cmocka_unit_test(odd_tables_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
