#!/bin/bash
# The checks that take too long for `make test`.  Usage: tests/full/check_full.sh BUILD_DIR [PART...]
#   slow      the tests of the backends with the cases that are otherwise left out
#   isa       the same tests on AVX2, on one thread
#   threads   the same tests on three threads
#   course2d  200 training steps of the paper's 2D network against PyTorch, from the same weights on the same batches
#   course3d  50 steps of the 3D network
# FNR_TORCH names the Python that has PyTorch (default: /usr/bin/python3); without PyTorch the courses are skipped.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$1
shift
parts=${*:-slow isa threads course2d course3d}
python=${FNR_TORCH:-/usr/bin/python3}
passed=0 failed=0 skipped=0
work=$(mktemp -d "${TMPDIR:-/tmp}/fnr-full-XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT

verdict() { # name, status
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
        echo "ok $1"
    else
        failed=$((failed + 1))
        echo "not ok $1"
    fi
}

backends() { # name, VARIABLE=value...
    local name=$1
    shift
    env "$@" tests/run.sh "$build" backend/
    verdict "backend tests, $name" $?
}

# The fast backend only: settings of the processor change nothing for the reference.
fast_backend() { # name, VARIABLE=value...
    local name=$1
    shift
    backends "$name, direct" FNR_TEST_BACKEND=onednn "$@"
    backends "$name, Winograd" FNR_TEST_BACKEND=onednn-winograd "$@"
}

# That the limit is obeyed: oneDNN says itself what it uses.
avx2_only() {
    local isa
    isa=$(ONEDNN_MAX_CPU_ISA=AVX2 ONEDNN_VERBOSE=1 "$build/tests/backend/test_conv" 2>&1 | grep -m1 -o 'cpu,isa:.*')
    [[ $isa == *AVX2* ]] || { echo "# oneDNN uses \"$isa\""; return 1; }
}

# course NAME SPATIAL BATCH DEPTH HEIGHT WIDTH STEPS
course() {
    local name=$1 dir=$work/$1 how theirs=(layout 1 2) ours=(winograd)
    shift
    local shape=("$@")
    if ! "$python" -c 'import torch' 2>/dev/null; then
        echo "ok $name # SKIP no PyTorch in $python"
        skipped=$((skipped + 1))
        return
    fi
    # Without AVX-512 oneDNN has only its reference for weight gradients in 3D: 40 seconds for one.
    { [ "$1" -eq 2 ] || grep -qm1 avx512f /proc/cpuinfo; } && ours+=(direct)
    mkdir "$dir"
    "$python" tests/full/torch_course.py make "$dir" "${shape[@]}" || { verdict "$name" 1; return; }
    for how in "${ours[@]}"; do
        "$build/tests/full/full_course" "$dir" "${shape[@]}" "$how" >"$dir/$how" || { verdict "$name" 1; return; }
    done
    for how in plain "${theirs[@]}"; do
        "$python" tests/full/torch_course.py run "$how" "$dir" "${shape[@]}" >"$dir/$how" || { verdict "$name" 1; return; }
    done
    "$python" tests/full/torch_course.py compare "${shape[-1]}" "$dir/plain" "${theirs[@]/#/$dir/}" -- "${ours[@]/#/$dir/}"
    verdict "$name" $?
    rm -rf "$dir"
}

for part in $parts; do
    case $part in
    slow) backends "all cases" FNR_TEST_FULL=1 ;;
    isa)
        avx2_only
        verdict "oneDNN can be limited to AVX2" $?
        fast_backend "AVX2, one thread" ONEDNN_MAX_CPU_ISA=AVX2 FNR_TEST_THREADS=1
        ;;
    threads) fast_backend "three threads" FNR_TEST_THREADS=3 ;;
    course2d) course "2D course, 200 steps of 2 x 96 x 128" 2 2 1 96 128 200 ;;
    course3d) course "3D course, 50 steps of 2 x 16 x 32 x 48" 3 2 16 32 48 50 ;;
    *) echo "no part $part"; exit 2 ;;
    esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
