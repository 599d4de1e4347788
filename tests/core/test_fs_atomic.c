#include "tests/support/support.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/core/fs.h"

static char dir[256], path[FNR_PATH_MAX];

/* Every test works in an empty folder of its own, on the file dir/result.csv. */
static int fresh_folder(void **state)
{
    static int number;
    (void)state;
    fnr_error err = {0};
    snprintf(dir, sizeof dir, "%s/%d", fnr_test_tmpdir(), number++);
    snprintf(path, sizeof path, "%s/result.csv", dir);
    return fnr_mkdirs(dir, &err) ? 0 : -1;
}

/* Files of any name in the folder: what a careless writer leaves behind counts too. */
static int entries(void)
{
    int n = -2; /* . and .. */
    DIR *d = opendir(dir);
    assert_non_null(d);
    while (readdir(d)) {
        n++;
    }
    closedir(d);
    return n;
}

static void assert_holds(const char *file, const char *want)
{
    fnr_error err = {0};
    char *data;
    size_t size;
    assert_ok(fnr_read_file(file, 1 << 20, &data, &size, &err), err);
    assert_int_equal(size, strlen(want));
    assert_string_equal(data, want);
    free(data);
}

static void put_old(void)
{
    fnr_error err = {0};
    assert_ok(fnr_write_file(path, "old", 3, &err), err);
}

static void the_old_file_stays_until_commit(void **state)
{
    (void)state;
    fnr_error err = {0};
    put_old();
    fnr_atomic a;
    assert_ok(fnr_atomic_open(&a, path, &err), err);
    fputs("new text", a.file);
    fflush(a.file);
    assert_holds(path, "old");
    assert_int_equal(entries(), 2);
    assert_ok(fnr_atomic_commit(&a, &err), err);
    assert_holds(path, "new text");
    assert_int_equal(entries(), 1);
    fnr_atomic_abort(&a); /* fine after commit */
    assert_holds(path, "new text");
    assert_false(fnr_atomic_commit(&a, &err)); /* twice is a bug of the caller */
    assert_int_equal(err.code, FNR_E_INTERNAL);
}

static void abort_leaves_nothing(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_atomic a = {0};
    fnr_atomic_abort(&a); /* fine on zeros */
    assert_ok(fnr_atomic_open(&a, path, &err), err);
    fputs("half a fi", a.file);
    fnr_atomic_abort(&a);
    fnr_atomic_abort(&a);
    assert_int_equal(entries(), 0);
}

static void two_writers_do_not_meet(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_atomic a, b;
    assert_ok(fnr_atomic_open(&a, path, &err), err);
    assert_ok(fnr_atomic_open(&b, path, &err), err);
    assert_string_not_equal(a.temp, b.temp);
    fputs("from a", a.file);
    fputs("from b", b.file);
    assert_ok(fnr_atomic_commit(&b, &err), err);
    assert_holds(path, "from b");
    assert_ok(fnr_atomic_commit(&a, &err), err);
    assert_holds(path, "from a");
    assert_int_equal(entries(), 1);
}

static void temporary_names_are_hidden_and_in_the_same_folder(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_atomic a;
    assert_ok(fnr_atomic_open(&a, path, &err), err);
    char folder[FNR_PATH_MAX], start[64];
    fnr_path_dir(folder, a.temp);
    assert_string_equal(folder, dir);
    snprintf(start, sizeof start, ".result.csv.tmp-%ld-", (long)getpid());
    assert_memory_equal(fnr_path_base(a.temp), start, strlen(start));
    fnr_listing list;
    assert_ok(fnr_list_dir(dir, &list, &err), err);
    assert_int_equal(list.count, 0);
    fnr_listing_free(&list);
    fnr_atomic_abort(&a);
}

static void longest_name(void **state)
{
    (void)state;
    fnr_error err = {0};
    char name[256], longest[FNR_PATH_MAX];
    memset(name, 'n', 255);
    name[255] = 0;
    assert_ok(fnr_path_join(longest, dir, name, &err), err);
    assert_ok(fnr_write_file(longest, "x", 1, &err), err);
    assert_holds(longest, "x");
    assert_int_equal(entries(), 1);
}

static void name_only_for_libraries(void **state)
{
    (void)state;
    fnr_error err = {0};
    put_old();
    fnr_atomic a;
    assert_ok(fnr_atomic_name(&a, path, &err), err);
    assert_null(a.file);
    FILE *library = fopen(a.temp, "w");
    assert_non_null(library);
    fputs("by a library", library);
    fclose(library);
    assert_holds(path, "old");
    assert_ok(fnr_atomic_commit(&a, &err), err);
    assert_holds(path, "by a library");
    assert_ok(fnr_atomic_name(&a, path, &err), err);
    fnr_atomic_abort(&a);
    assert_holds(path, "by a library");
    /* A library that removed its own file after an error must not look like success. */
    assert_ok(fnr_atomic_name(&a, path, &err), err);
    assert_int_equal(unlink(a.temp), 0);
    assert_false(fnr_atomic_commit(&a, &err));
    assert_non_null(strstr(err.message, path));
    assert_holds(path, "by a library");
    assert_int_equal(entries(), 1);
}

/* Runs `work` in a child that may write files of at most 64 KiB: what a full disk does, without one. */
static void in_a_small_disk(bool (*work)(void))
{
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit limit = {.rlim_cur = 65536, .rlim_max = 65536};
        signal(SIGXFSZ, SIG_IGN);
        _exit(setrlimit(RLIMIT_FSIZE, &limit) == 0 && work() ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool names_file_and_reason(const fnr_error *err)
{
    return err->code == FNR_E_IO && strstr(err->message, path) && strstr(err->message, "File too large");
}

static bool write_file_too_large(void)
{
    static char zeros[200000];
    fnr_error err = {0};
    return !fnr_write_file(path, zeros, sizeof zeros, &err) && names_file_and_reason(&err);
}

/* The stream's buffer hides the fault until it is flushed: commit must find it. */
static bool commit_too_large(void)
{
    static char buffer[100000];
    fnr_error err = {0};
    fnr_atomic a;
    if (!fnr_atomic_open(&a, path, &err)) {
        return false;
    }
    setvbuf(a.file, buffer, _IOFBF, sizeof buffer);
    for (int i = 0; i < 90000; i++) {
        if (putc('x', a.file) == EOF) {
            return false;
        }
    }
    return !fnr_atomic_commit(&a, &err) && names_file_and_reason(&err);
}

/* Writes that failed long before commit, by a caller who does not look. */
static bool careless_writer(void)
{
    fnr_error err = {0};
    fnr_atomic a;
    if (!fnr_atomic_open(&a, path, &err)) {
        return false;
    }
    setvbuf(a.file, NULL, _IONBF, 0); /* nothing is left for a flush to fail on */
    for (int i = 0; i < 70000; i++) {
        putc('x', a.file);
    }
    return !fnr_atomic_commit(&a, &err) && err.code == FNR_E_IO && strstr(err.message, path);
}

static void a_full_disk_keeps_the_old_file(void **state)
{
    (void)state;
    put_old();
    in_a_small_disk(write_file_too_large);
    assert_holds(path, "old");
    assert_int_equal(entries(), 1);
    in_a_small_disk(commit_too_large);
    assert_holds(path, "old");
    assert_int_equal(entries(), 1);
    in_a_small_disk(careless_writer);
    assert_holds(path, "old");
    assert_int_equal(entries(), 1);
}

static void a_failed_rename_removes_the_temporary_file(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_atomic a;
    assert_ok(fnr_atomic_open(&a, path, &err), err);
    fputs("x", a.file);
    assert_int_equal(mkdir(path, 0777), 0); /* somebody puts a folder there meanwhile */
    assert_false(fnr_atomic_commit(&a, &err));
    assert_int_equal(err.code, FNR_E_IO);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(entries(), 1);
    fnr_atomic_abort(&a);
}

static void targets_that_cannot_be(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_atomic a;
    assert_false(fnr_atomic_open(&a, dir, &err));
    assert_non_null(strstr(err.message, "folder"));
    fnr_atomic_abort(&a);
    assert_false(fnr_write_file("/dev/null", "x", 1, &err)); /* rename would replace the device */
    assert_non_null(strstr(err.message, "/dev/null"));
    struct stat st;
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    char none[FNR_PATH_MAX];
    assert_ok(fnr_path_join(none, dir, "no/such/folder/x.csv", &err), err);
    assert_false(fnr_write_file(none, "x", 1, &err));
    assert_non_null(strstr(err.message, "no/such/folder/x.csv"));
    assert_non_null(strstr(err.message, "No such file or directory"));
    assert_int_equal(entries(), 0);
}

static void a_link_is_followed(void **state)
{
    (void)state;
    fnr_error err = {0};
    char link[FNR_PATH_MAX];
    put_old();
    assert_ok(fnr_path_join(link, dir, "latest", &err), err);
    assert_int_equal(symlink("result.csv", link), 0);
    assert_ok(fnr_write_file(link, "new", 3, &err), err);
    assert_holds(path, "new");
    struct stat st;
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(unlink(path), 0);
    assert_false(fnr_write_file(link, "x", 1, &err));
    assert_non_null(strstr(err.message, "link"));
}

static void permissions_follow_the_umask(void **state)
{
    (void)state;
    fnr_error err = {0};
    const mode_t before = umask(027);
    assert_ok(fnr_write_file(path, "x", 1, &err), err);
    umask(before);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, fresh_folder)
    const struct CMUnitTest tests[] = {
        TEST(the_old_file_stays_until_commit),
        TEST(abort_leaves_nothing),
        TEST(two_writers_do_not_meet),
        TEST(temporary_names_are_hidden_and_in_the_same_folder),
        TEST(longest_name),
        TEST(name_only_for_libraries),
        TEST(a_full_disk_keeps_the_old_file),
        TEST(a_failed_rename_removes_the_temporary_file),
        TEST(targets_that_cannot_be),
        TEST(a_link_is_followed),
        TEST(permissions_follow_the_umask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
