#!/bin/bash
# --device: names, the fallback of "auto", and clear words where there is no GPU.  Nothing here needs one.
. tests/support/tap.sh
model=examples/models/demo.safetensors
plugin="$(dirname "$FNR_EXE")/libfnr-cuda.so"

run() { # options... : a prediction of a file that is not there; the device is opened first
    "$FNR_EXE" predict missing.tif -m $model -o "$scratch/out.tif" "$@" 2>"$scratch/err" || true
}
says() { # text
    grep -qF -- "$1" "$scratch/err" || fail "expected \"$1\" in: $(cat "$scratch/err")"
}
has_gpu() {
    command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1
}

names() {
    run --device nonsense
    says 'no backend "nonsense"'
    says 'cuda'
    for d in auto cpu ref; do
        run --device $d
        says missing.tif
    done
}
precision_the_processor_lacks() {
    run --device cpu -s net.precision=bf16
    says 'net.precision = bf16: the backend'
    says 'float32'
}
plugin_that_is_not_there() {
    FNR_CUDA_PLUGIN=/nonexistent.so run --device cuda
    says 'there is no such file'
    FNR_CUDA_PLUGIN=/nonexistent.so run --device auto # goes on without
    says missing.tif
}
plugin_that_is_no_plugin() {
    echo 'not a shared object' >"$scratch/broken.so"
    FNR_CUDA_PLUGIN=$scratch/broken.so run --device cuda
    says 'the CUDA backend does not load'
    says 'use --device cpu'
}
no_gpu() {
    if [ ! -e "$plugin" ]; then
        run --device cuda
        says 'this build has no CUDA backend'
    elif has_gpu; then
        run --device cuda
        says missing.tif
    else
        run --device cuda
        says 'no NVIDIA GPU'
        says 'use --device cpu'
        run --device auto
        says 'the network runs on the processor (no NVIDIA GPU'
    fi
}
# The program itself must start where NVIDIA's libraries are missing.
program_needs_no_nvidia_library() {
    ! ldd "$FNR_EXE" | grep -E "lib(cud|nccl|nvidia)" || fail "the program is linked with NVIDIA's libraries"
}

tap_run names precision_the_processor_lacks plugin_that_is_not_there plugin_that_is_no_plugin no_gpu program_needs_no_nvidia_library
