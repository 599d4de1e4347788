#!/bin/bash
# The CUDA backend's own logic (layouts, plans, order of work, sums over GPUs) on a pretended GPU, under the tests that every backend
# has to pass.  Says nothing about the kernels' grids, the driver, cuDNN or speed: tests/cuda/gpu.sh does, where there is a GPU.
. tests/support/tap.sh
build=$(dirname "$FNR_EXE")
export FNR_CUDA_PLUGIN=$build/tests/cuda/emulated.so FNR_TEST_BACKEND=cuda

emulate() { # program [variable=value...]
    [ -e "$build/libfnr-cuda.so" ] || [ -e "$FNR_CUDA_PLUGIN" ] || skip "no CUDA headers: the backend was not built" || return
    [ -e "$FNR_CUDA_PLUGIN" ] || fail "the backend was built, but not the pretended GPU (make tests)"
    run_program "$1" "on the pretended GPU" "${@:2}"
    ! grep -q 'skipped:.*does not open' "$scratch/log" || fail "the pretended GPU does not open"
}
convolutions() { emulate backend/test_conv; }
operations() { emulate backend/test_ops; }
contract() { emulate backend/test_contract; }
parity_with_ref() { emulate backend/test_parity; }
recorded_networks() {
    need_shared fixtures/net64 || return
    emulate backend/test_fixtures FNR_TEST_RECORD=2d_m4d2
    emulate backend/test_fixtures FNR_TEST_RECORD=3d_m4d2
}
training() { emulate net/test_train; }
course_of_training() { emulate net/test_train_course; }
bfloat16() { emulate cuda/test_precision; }
two_gpus() { emulate cuda/test_team; }
prediction() { emulate net/test_predict; }
little_memory() { emulate cuda/test_memory; }
lanes() { emulate cuda/test_lanes; }
files() { emulate pipeline/test_predict_file; }

tap_run convolutions operations contract parity_with_ref recorded_networks training course_of_training bfloat16 two_gpus prediction little_memory lanes files
