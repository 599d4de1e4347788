/* The fuzzing corpora of the readers of models. */
#include "tests/fuzz/replay.h"

#define LLVMFuzzerTestOneInput fuzz_safetensors
#include "tests/fuzz/fuzz_safetensors.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_checkpoint
#include "tests/fuzz/fuzz_checkpoint.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_onnx
#include "tests/fuzz/fuzz_onnx.c"

static void safetensors_files(void **state)
{
    (void)state;
    replay_folder("tests/fuzz/corpus_safetensors", fuzz_safetensors);
}

static void checkpoints(void **state)
{
    (void)state;
    replay_folder("tests/fuzz/corpus_checkpoint", fuzz_checkpoint);
}

static void onnx_files(void **state)
{
    (void)state;
    replay_folder("tests/fuzz/corpus_onnx", fuzz_onnx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safetensors_files),
        cmocka_unit_test(checkpoints),
        cmocka_unit_test(onnx_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
