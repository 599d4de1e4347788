/* The fuzzing corpora of the readers of images. */
#include "tests/fuzz/replay.h"

#define LLVMFuzzerTestOneInput fuzz_tiff
#include "tests/fuzz/fuzz_tiff.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_meta
#include "tests/fuzz/fuzz_meta.c"

static void tiff_files(void **state)
{
    (void)state;
    replay_folder("tests/fuzz/corpus_tiff", fuzz_tiff);
}

static void metadata(void **state)
{
    (void)state;
    replay_folder("tests/fuzz/corpus_meta", fuzz_meta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiff_files),
        cmocka_unit_test(metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
