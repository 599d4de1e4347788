/* Every kept fuzzing input once more, in the ordinary build: what was found once stays fixed. */
#include "tests/support/support.h"

#include "src/core/fs.h"

#define LLVMFuzzerTestOneInput fuzz_tiff
#include "tests/fuzz/fuzz_tiff.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_meta
#include "tests/fuzz/fuzz_meta.c"

static void run_folder(const char *dir, int (*target)(const uint8_t *data, size_t size))
{
    fnr_error err = {0};
    fnr_listing list;
    assert_ok(fnr_list_dir(dir, &list, &err), err);
    assert_true(list.count > 0);
    for (size_t i = 0; i < list.count; i++) {
        char path[512], *data;
        size_t size;
        snprintf(path, sizeof path, "%s/%s", dir, list.names[i]);
        assert_ok(fnr_read_file(path, 1 << 20, &data, &size, &err), err);
        assert_int_equal(target((const uint8_t *)data, size), 0);
        free(data);
    }
    fnr_listing_free(&list);
}

static void tiff_files(void **state)
{
    (void)state;
    run_folder("tests/fuzz/corpus_tiff", fuzz_tiff);
}

static void metadata(void **state)
{
    (void)state;
    run_folder("tests/fuzz/corpus_meta", fuzz_meta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiff_files),
        cmocka_unit_test(metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
