#!/bin/bash
# One visit to a machine with a GPU, under 9 minutes: parity, recorded networks, sanitizer, speed, PyTorch beside it.
#   cuda_session.sh pack BUILD_DIR DIR    here: what is built, the libraries it needs and the recorded networks, into DIR/session.tar.xz
#   cuda_session.sh run DIR OUT           there, from the root of the sources: unpacks it and runs; everything goes to OUT as well
#   cuda_session.sh here BUILD_DIR OUT    both on this machine, in the build folder as it is
# The other machine needs a driver, cuDNN 9 (also PyTorch's own copy) and glibc not older than here; no compiler, no packages.
set -u
tests=(backend/test_conv backend/test_ops backend/test_parity backend/test_contract backend/test_fixtures net/test_train net/test_train_course
    net/test_predict cuda/test_precision cuda/test_team cuda/test_lanes cuda/test_dnn bench/bench_cuda)

pack() { # build folder, folder
    local stage needed t
    stage=$(mktemp -d)
    mkdir -p "$stage/build/lib" "$2"
    cp "$1/libfnr-cuda.so" "$stage/build/" || exit 1
    for t in "${tests[@]}"; do
        install -D "$1/tests/$t" "$stage/build/tests/$t" || exit 1
    done
    [ ! -e "$1/fnet-register" ] || cp "$1/fnet-register" "$stage/build/"
    # Everything but the C library and what comes with the driver and CUDA.
    needed=$(for t in "$stage"/build/tests/*/* "$stage/build/libfnr-cuda.so"; do ldd "$t"; done | awk '/=> \//{ print $3 }' | sort -u |
        grep -vE '/(libc|libm|libdl|librt|libpthread|ld-linux[^/]*|libcud[^/]*|libnccl[^/]*|libnv[^/]*)\.so')
    cp -L $needed "$stage/build/lib/"
    strip --strip-debug "$stage"/build/tests/*/* "$stage"/build/lib/* "$stage"/build/*.so 2>/dev/null
    mkdir -p "$stage/shared/fixtures"
    for t in net net64; do
        [ ! -d "${FNR_SHARED:-../shared}/fixtures/$t" ] || cp -rL "${FNR_SHARED:-../shared}/fixtures/$t" "$stage/shared/fixtures/"
    done
    git rev-parse HEAD >"$stage/commit" 2>/dev/null
    tar -C "$stage" --use-compress-program='xz -T0 -3' -cf "$2/session.tar.xz" .
    rm -rf "$stage"
    ls -l "$2/session.tar.xz"
}

# Where PyTorch keeps NVIDIA's libraries.
torch_libraries() {
    python3 - <<'P' 2>/dev/null
import glob, os, site, sys
roots = [p for p in sys.path if p.endswith("-packages")]
print(":".join(d for r in roots for d in sorted(glob.glob(os.path.join(r, "nvidia", "*", "lib")))))
P
}

work() { # build folder, output folder
    local build=$1 out=$2
    mkdir -p "$out"
    {
        echo "commit $(cat "$build/../commit" 2>/dev/null || git rev-parse HEAD 2>/dev/null)"
        date -u +%FT%TZ
        nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
        ldd "$build/libfnr-cuda.so" | grep -E 'cudnn|not found'
        tests/cuda/gpu.sh "$build" parity contract team
        echo "== speed"
        for p in bf16 tf32 float32; do
            timeout 100 "$build/tests/bench/bench_cuda" $p "$([ $p = bf16 ] && echo 15 || echo 5)"
        done
        tests/cuda/gpu.sh "$build" training fixtures
        timeout 200 python3 tests/bench/torch_cuda.py 8
        timeout 150 tests/cuda/gpu.sh "$build" sanitizer
        echo "took $SECONDS s"
    } 2>&1 | tee "$out/session.txt"
}

case ${1:-} in
pack) pack "$2" "$3" ;;
run)
    here=$(mktemp -d) # tar, ldd and the tests want real files
    tar -C "$here" -xJf "$2/session.tar.xz" || exit 1
    export LD_LIBRARY_PATH=$here/build/lib:$(torch_libraries):${LD_LIBRARY_PATH:-}
    export FNR_SHARED=$here/shared FNR_CUDA_PLUGIN=$here/build/libfnr-cuda.so
    work "$here/build" "$3"
    ;;
here)
    export FNR_CUDA_PLUGIN=$PWD/$2/libfnr-cuda.so
    work "$2" "$3"
    ;;
*) sed -n '2,7p' "$0" | cut -c3-; exit 2 ;;
esac
