/* Every kept fuzzing input once more, in the ordinary build: what was found once stays fixed. */
#include "tests/support/support.h"

#include "src/core/fs.h"

#include "tests/fuzz/fuzz_safetensors.c"

static void safetensors_files(void **state)
{
    (void)state;
    static const char dir[] = "tests/fuzz/corpus_safetensors";
    fnr_error err = {0};
    fnr_listing list;
    assert_ok(fnr_list_dir(dir, &list, &err), err);
    assert_true(list.count > 0);
    for (size_t i = 0; i < list.count; i++) {
        char path[512], *data;
        size_t size;
        snprintf(path, sizeof path, "%s/%s", dir, list.names[i]);
        assert_ok(fnr_read_file(path, 1 << 20, &data, &size, &err), err);
        assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)data, size), 0);
        free(data);
    }
    fnr_listing_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safetensors_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
