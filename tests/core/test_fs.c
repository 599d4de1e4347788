#include "tests/support/support.h"

#include <sys/stat.h>
#include <unistd.h>

#include "src/core/fs.h"

static char path[FNR_PATH_MAX];

/* A path inside the test's folder, in a static buffer. */
static const char *in_tmp(const char *name)
{
    fnr_error err = {0};
    assert_ok(fnr_path_join(path, fnr_test_tmpdir(), name, &err), err);
    return path;
}

static void touch(const char *name, const char *text)
{
    fnr_error err = {0};
    assert_ok(fnr_write_file(in_tmp(name), text, strlen(text), &err), err);
}

static void join(void **state)
{
    (void)state;
    fnr_error err = {0};
    char out[FNR_PATH_MAX];
    static const char *const cases[][3] = {
        {"a", "b", "a/b"},   {"a/", "b", "a/b"}, {"/", "b", "/b"},        {"", "b", "b"},
        {"a", "/b/c", "/b/c"}, {"a", "", "a/"},  {"a/b", "../c", "a/b/../c"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(fnr_path_join(out, cases[i][0], cases[i][1], &err), err);
        assert_string_equal(out, cases[i][2]);
    }
    static char name[FNR_PATH_MAX];
    memset(name, 'x', sizeof name - 1);
    assert_ok(fnr_path_join(out, "", name, &err), err); /* 4095 bytes just fit */
    assert_false(fnr_path_join(out, "d", name, &err));
    assert_int_equal(err.code, FNR_E_LIMIT);
}

static void base_dir_stem(void **state)
{
    (void)state;
    static const char *const cases[][4] = {
        /* path, base, dir, stem */
        {"/data/em/r1-c2.tif", "r1-c2.tif", "/data/em", "r1-c2"},
        {"r1.c2.tif", "r1.c2.tif", ".", "r1.c2"},
        {"/x.tif", "x.tif", "/", "x"},
        {"a//b.tif", "b.tif", "a", "b"},
        {"m/mbp.ome.tif", "mbp.ome.tif", "m", "mbp"},
        {"m/mbp.OME.TIFF", "mbp.OME.TIFF", "m", "mbp"},
        {"m/mbp.home.tif", "mbp.home.tif", "m", "mbp.home"},
        {"m/.ome.tif", ".ome.tif", "m", ".ome"},
        {".hidden", ".hidden", ".", ".hidden"},
        {"noext", "noext", ".", "noext"},
        {"a.b/noext", "noext", "a.b", "noext"},
        {"dir/", "", "dir", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char dir[FNR_PATH_MAX], stem[64];
        assert_string_equal(fnr_path_base(cases[i][0]), cases[i][1]);
        fnr_path_dir(dir, cases[i][0]);
        assert_string_equal(dir, cases[i][2]);
        fnr_path_stem(stem, sizeof stem, cases[i][0]);
        assert_string_equal(stem, cases[i][3]);
    }
    char small[4];
    fnr_path_stem(small, sizeof small, "/x/abcdefg.tif");
    assert_string_equal(small, "abc");
}

/* Expectations by `realpath --relative-to`. */
static void relative(void **state)
{
    (void)state;
    fnr_error err = {0};
    char out[FNR_PATH_MAX];
    static const char *const cases[][3] = {
        {"/none/a/b/t.tif", "/none/a/out", "../b/t.tif"}, {"/none/a/b/t.tif", "/none/a/b", "t.tif"},
        {"/none/a/b/t.tif", "/none/a", "b/t.tif"},        {"/none/abc/t.tif", "/none/ab", "../abc/t.tif"},
        {"/none/ab/t.tif", "/none/abc", "../ab/t.tif"},   {"/t.tif", "/none/a/b", "../../../t.tif"},
        {"/none/t.tif", "/", "none/t.tif"},               {"/none/x/../t.tif", "/none/./y//z/..", "../t.tif"},
        {"/none/o", "/none/o/p", "../../o"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(fnr_path_relative(out, cases[i][0], cases[i][1], &err), err);
        assert_string_equal(out, cases[i][2]);
    }
}

static void relative_to_the_current_folder(void **state)
{
    (void)state;
    fnr_error err = {0};
    char out[FNR_PATH_MAX], before[FNR_PATH_MAX];
    assert_non_null(getcwd(before, sizeof before));
    assert_ok(fnr_mkdirs(in_tmp("here"), &err), err);
    assert_int_equal(chdir(path), 0);
    assert_ok(fnr_path_relative(out, "em/t.tif", "out", &err), err);
    assert_int_equal(chdir(before), 0);
    assert_string_equal(out, "../em/t.tif");
}

/* The way out of a linked folder starts where the folder really is. */
static void relative_from_a_linked_folder(void **state)
{
    (void)state;
    fnr_error err = {0};
    char out[FNR_PATH_MAX], deep[FNR_PATH_MAX], link[FNR_PATH_MAX], target[FNR_PATH_MAX], joined[FNR_PATH_MAX];
    snprintf(deep, sizeof deep, "%s", in_tmp("disk/deep/results"));
    assert_ok(fnr_mkdirs(deep, &err), err);
    assert_ok(fnr_mkdirs(in_tmp("em"), &err), err);
    touch("em/t.tif", "pixels");
    snprintf(target, sizeof target, "%s", in_tmp("em/t.tif"));
    snprintf(link, sizeof link, "%s", in_tmp("out"));
    assert_int_equal(symlink(deep, link), 0);
    assert_ok(fnr_path_relative(out, target, link, &err), err);
    assert_string_equal(out, "../../../em/t.tif");
    assert_ok(fnr_path_join(joined, link, out, &err), err);
    assert_true(fnr_is_file(joined)); /* what the operating system makes of it */
    /* A linked tile keeps the name that the user gave it. */
    assert_int_equal(symlink(target, in_tmp("disk/alias.tif")), 0);
    assert_ok(fnr_path_relative(out, in_tmp("disk/alias.tif"), link, &err), err);
    assert_string_equal(out, "../../alias.tif");
}

static void mkdirs(void **state)
{
    (void)state;
    fnr_error err = {0};
    assert_ok(fnr_mkdirs(in_tmp("p/q//r/"), &err), err);
    assert_true(fnr_is_dir(in_tmp("p/q/r")));
    assert_ok(fnr_mkdirs(in_tmp("p/q/r"), &err), err); /* again is fine */
    touch("p/file", "x");
    assert_false(fnr_is_dir(in_tmp("p/file")));
    assert_true(fnr_is_file(in_tmp("p/file")));
    assert_false(fnr_is_file(in_tmp("p/q")));
    assert_false(fnr_mkdirs(in_tmp("p/file/below"), &err));
    assert_int_equal(err.code, FNR_E_IO);
    assert_non_null(strstr(err.message, "p/file"));
    assert_non_null(strstr(err.message, "Not a directory"));
}

static void list_is_sorted_by_bytes(void **state)
{
    (void)state;
    fnr_error err = {0};
    assert_ok(fnr_mkdirs(in_tmp("tiles/sub"), &err), err);
    static const char *const names[] = {"b.tif", "B.tif", "\xc3\xa4.tif", "a10.tif", "a9.tif", ".hidden.tif"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        snprintf(name, sizeof name, "tiles/%s", names[i]);
        touch(name, "x");
    }
    assert_int_equal(symlink("b.tif", in_tmp("tiles/link.tif")), 0);
    assert_int_equal(symlink("gone.tif", in_tmp("tiles/dangling.tif")), 0);
    assert_int_equal(symlink("sub", in_tmp("tiles/folder-link")), 0);
    static const char *const want[] = {"B.tif", "a10.tif", "a9.tif", "b.tif", "link.tif", "\xc3\xa4.tif"};
    fnr_listing list = {0};
    assert_ok(fnr_list_dir(in_tmp("tiles"), &list, &err), err);
    assert_int_equal(list.count, 6);
    for (size_t i = 0; i < list.count; i++) {
        assert_string_equal(list.names[i], want[i]);
    }
    fnr_listing_free(&list);
    fnr_listing_free(&list); /* twice is fine */
    assert_ok(fnr_list_dir(in_tmp("tiles/sub"), &list, &err), err);
    assert_int_equal(list.count, 0);
    fnr_listing_free(&list);
    assert_false(fnr_list_dir(in_tmp("tiles/b.tif"), &list, &err));
    assert_non_null(strstr(err.message, "tiles/b.tif"));
    assert_false(fnr_list_dir(in_tmp("nowhere"), &list, &err));
    assert_int_equal(err.code, FNR_E_IO);
}

static void read_file_and_its_limit(void **state)
{
    (void)state;
    fnr_error err = {0};
    char *data = NULL;
    size_t size = 0;
    assert_ok(fnr_write_file(in_tmp("bytes"), "ab\0cd", 5, &err), err);
    assert_ok(fnr_read_file(path, 5, &data, &size, &err), err);
    assert_int_equal(size, 5);
    assert_memory_equal(data, "ab\0cd\0", 6); /* with the zero behind */
    free(data);
    data = NULL;
    assert_false(fnr_read_file(path, 4, &data, &size, &err));
    assert_int_equal(err.code, FNR_E_LIMIT);
    assert_non_null(strstr(err.message, "bytes"));
    assert_null(data);
    assert_false(fnr_read_file("/dev/zero", 100000, &data, &size, &err)); /* endless, and says it is empty */
    assert_int_equal(err.code, FNR_E_LIMIT);
    assert_false(fnr_read_file(fnr_test_tmpdir(), 100, &data, &size, &err));
    assert_non_null(strstr(err.message, "Is a directory"));
    assert_false(fnr_read_file(in_tmp("nowhere"), 100, &data, &size, &err));
    assert_int_equal(err.code, FNR_E_IO);
    touch("empty", "");
    assert_ok(fnr_read_file(path, 0, &data, &size, &err), err);
    assert_int_equal(size, 0);
    assert_string_equal(data, "");
    free(data);
}

static void read_from_a_pipe(void **state)
{
    (void)state;
    fnr_error err = {0};
    enum { SIZE = 60000 }; /* fits a pipe's buffer of 64 KiB */
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    static char text[SIZE];
    memset(text, 'p', sizeof text);
    assert_int_equal(write(ends[1], text, SIZE), SIZE);
    close(ends[1]);
    char name[64], *data = NULL;
    size_t size = 0;
    snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
    assert_ok(fnr_read_file(name, 1 << 20, &data, &size, &err), err);
    close(ends[0]);
    assert_int_equal(size, SIZE);
    assert_int_equal(data[SIZE - 1], 'p');
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(join),
        cmocka_unit_test(base_dir_stem),
        cmocka_unit_test(relative),
        cmocka_unit_test(relative_to_the_current_folder),
        cmocka_unit_test(relative_from_a_linked_folder),
        cmocka_unit_test(mkdirs),
        cmocka_unit_test(list_is_sorted_by_bytes),
        cmocka_unit_test(read_file_and_its_limit),
        cmocka_unit_test(read_from_a_pipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
