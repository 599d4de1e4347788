#include "tests/support/support.h"

#include <unistd.h>

#include "src/core/fs.h"
#include "src/core/mem.h"

static void calloc_is_zeroed_and_counts(void **state)
{
    (void)state;
    fnr_error err = {0};
    int *p = fnr_calloc(1000, sizeof *p, "numbers", &err);
    assert_non_null(p);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(p[i], 0);
        p[i] = i; /* AddressSanitizer watches the last one */
    }
    free(p);
    void *none = fnr_calloc(0, 8, "nothing", &err); /* no elements is no failure */
    assert_non_null(none);
    free(none);
}

static void overflow_is_an_error_with_the_name(void **state)
{
    (void)state;
    fnr_error err = {0};
    assert_null(fnr_calloc(SIZE_MAX / 4 + 2, 4, "the montage", &err)); /* the product wraps to 4 bytes */
    assert_int_equal(err.code, FNR_E_LIMIT);
    assert_non_null(strstr(err.message, "the montage"));
    err = (fnr_error){0};
    assert_null(fnr_alloc_aligned(SIZE_MAX / 2 + 2, 2, "planes", &err));
    assert_int_equal(err.code, FNR_E_LIMIT);
    err = (fnr_error){0};
    assert_null(fnr_alloc_aligned(SIZE_MAX - 3, 1, "planes", &err)); /* rounding up to 64 would wrap */
    assert_int_equal(err.code, FNR_E_LIMIT);
    assert_null(fnr_calloc(PTRDIFF_MAX / 2, 1, "what no machine has", NULL));
}

/* All the memory of the machine, some of which is always in use: a system that overcommits would promise it. */
static void more_than_is_free_is_refused(void **state)
{
    (void)state;
    fnr_error err = {0};
    const size_t all = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/proc/meminfo", "r");
    char text[4096] = "";
    if (f) {
        text[fread(text, 1, sizeof text - 1, f)] = 0;
        fclose(f);
    }
    const char *swap = strstr(text, "SwapTotal:");
    if (!strstr(text, "MemAvailable:") || (swap && strtoull(swap + 10, NULL, 10) > 0)) {
        print_message("skipped: this system does not tell what is free, or has swap\n");
        skip();
    }
    assert_null(fnr_alloc_aligned(all, 1, "everything", &err));
    assert_int_equal(err.code, FNR_E_LIMIT);
    assert_non_null(strstr(err.message, "not enough memory for everything: "));
    assert_non_null(strstr(err.message, "GiB are free"));
    err = (fnr_error){0};
    assert_null(fnr_calloc(all, 1, "everything", &err));
    assert_non_null(strstr(err.message, "GiB are free"));
}

static void aligned_to_64(void **state)
{
    (void)state;
    fnr_error err = {0};
    for (size_t n = 0; n < 300; n += 7) {
        char *p = fnr_alloc_aligned(n, 1, "bytes", &err);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        memset(p, 1, n);
        free(p);
    }
}

static void grow_keeps_values(void **state)
{
    (void)state;
    fnr_error err = {0};
    double *list = NULL;
    size_t capacity = 0, moves = 0;
    for (size_t n = 0; n < 5000; n++) {
        const size_t before = capacity;
        assert_ok(fnr_grow(&list, &capacity, n, sizeof *list, "numbers", &err), err);
        assert_true(capacity > n);
        moves += before != capacity;
        list[n] = (double)n * 0.5;
    }
    assert_true(moves < 30); /* grows by a factor, not by one */
    for (size_t n = 0; n < 5000; n++) {
        assert_true(list[n] == (double)n * 0.5);
    }
    free(list);
}

static void grow_failure_leaves_the_array(void **state)
{
    (void)state;
    fnr_error err = {0};
    int one = 7;
    int *list = &one;
    size_t capacity = SIZE_MAX / 8;
    assert_false(fnr_grow(&list, &capacity, SIZE_MAX / 8, sizeof *list, "links", &err));
    assert_int_equal(err.code, FNR_E_LIMIT);
    assert_ptr_equal(list, &one);
    assert_true(capacity == SIZE_MAX / 8);
}

static void strdup_copies(void **state)
{
    (void)state;
    fnr_error err = {0};
    const char text[] = "tile-1";
    char *copy = fnr_strdup(text, &err);
    assert_non_null(copy);
    assert_ptr_not_equal(copy, text);
    assert_string_equal(copy, text);
    free(copy);
}

/* The kernel's own count of pages is a little less than the machine's memory, never more than it; groups may allow less. */
static void memory_there_is_at_most_the_machines(void **state)
{
    (void)state;
    const size_t bytes = fnr_memory_there_is();
    assert_true(bytes >= (size_t)64 << 20);
    assert_true(bytes <= (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE));
}

static void put(const char *root, const char *path, const char *text)
{
    fnr_error err = {0};
    char file[512];
    snprintf(file, sizeof file, "%s/%s", root, path);
    assert_ok(fnr_mkdirs_for(file, &err), err);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static size_t limit_of(const char *root, const char *groups)
{
    char list[512];
    put(root, "list", groups);
    snprintf(list, sizeof list, "%s/list", root);
    return fnr_memory_group_limit(list, root);
}

static void groups_limit_memory(void **state)
{
    (void)state;
    const char *root = fnr_test_tmpdir();
    put(root, "a/b/memory.max", "max\n");
    put(root, "a/memory.max", "5000000\n");
    put(root, "memory/job_7/step/memory.limit_in_bytes", "9223372036854771712\n");
    put(root, "memory/job_7/memory.limit_in_bytes", "700\n");
    put(root, "elsewhere/memory.max", "3\n");
    assert_int_equal(limit_of(root, "0::/a/b\n"), 5000000);
    assert_int_equal(limit_of(root, "0::/a\n"), 5000000);
    assert_int_equal(limit_of(root, "4:memory:/job_7/step\n0::/a/b\n"), 700);
    assert_int_equal(limit_of(root, "3:cpu,memory:/job_7\n"), 700);
    assert_true(limit_of(root, "3:cpu:/a\n") == SIZE_MAX);
    assert_true(limit_of(root, "0::/\n") == SIZE_MAX);
    assert_true(limit_of(root, "\n:\n0\n::\nnothing of the kind") == SIZE_MAX);
    put(root, "memory.max", "2000\n");
    assert_int_equal(limit_of(root, "0::/a/b\n"), 2000);
    assert_int_equal(limit_of(root, "0::/not/seen/in/here\n"), 2000);
    assert_true(fnr_memory_group_limit("/no/such/list", root) == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calloc_is_zeroed_and_counts),
        cmocka_unit_test(overflow_is_an_error_with_the_name),
        cmocka_unit_test(more_than_is_free_is_refused),
        cmocka_unit_test(aligned_to_64),
        cmocka_unit_test(grow_keeps_values),
        cmocka_unit_test(grow_failure_leaves_the_array),
        cmocka_unit_test(strdup_copies),
        cmocka_unit_test(memory_there_is_at_most_the_machines),
        cmocka_unit_test(groups_limit_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
