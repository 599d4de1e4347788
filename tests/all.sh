#!/bin/bash
# Everything that `make test` runs, in three builds, with one count at the end.  Usage: tests/all.sh [BUILD_DIR]
#   BUILD_DIR      as users get it: every test
#   BUILD_DIR-san  AddressSanitizer and UndefinedBehaviorSanitizer: the folders below
#   build-clang    the other compiler, warnings as errors, without OpenMP: that it builds, and the tests of src/core
# Settings of the caller (WERROR=1) reach the builds through MAKEFLAGS.
set -u
cd "$(dirname "$0")/.." || exit 2
normal=${1:-build} make=${MAKE:-make} jobs=${JOBS:-$(nproc)}
# Left out under the sanitizers: check (looks at sources), cli and pipeline (whole runs: minutes there; tests/bad drives the same
# program through its faults), demo and golden; backend/test_fixtures (minutes of arithmetic in code that backend/test_ops and
# net/ walk through as well).
sanitized=(core image geom cv net backend montage register sim bad)

# The builds and their tests write "passed failed skipped" to descriptor 3, and what people read to descriptor 4.
exec 4>&1
export FNR_TALLY_FD=3
total_passed=0 total_failed=0 total_skipped=0
count() { # command... : runs it and adds up its numbers; a command that gives none has failed
    local numbers p f s
    numbers=$("$@" 3>&1 >&4 4>&-)
    [ -n "$numbers" ] || numbers="0 1 0"
    while read -r p f s; do
        total_passed=$((total_passed + p)) total_failed=$((total_failed + f)) total_skipped=$((total_skipped + s))
    done <<<"$numbers"
}

# build_and_test NAME FOLDER make-argument... -- filter... : a build counts as one test; then its tests, unless it failed.
build_and_test() {
    local name=$1 folder=$2 start=$SECONDS out arguments=()
    shift 2
    while [ "$1" != -- ]; do
        arguments+=("$1")
        shift
    done
    shift
    if out=$($make --no-print-directory -s -k -j"$jobs" "${arguments[@]}" 2>&1); then
        printf '%-44s %4d passed %3d failed %3d skipped  %4d s\n' "$name" 1 0 0 $((SECONDS - start))
        echo "1 0 0" >&3
        tests/run.sh "$folder" "$@"
        [ $? -le 1 ] || echo "0 1 0" >&3 # the runner itself broke down and counted nothing
    else
        printf '%-44s %4d passed %3d failed %3d skipped  %4d s\n' "$name" 0 1 0 $((SECONDS - start))
        echo "0 1 0" >&3
        tail -n 60 <<<"$out" | sed 's/^/    /'
    fi
}

echo "== normal build"
count build_and_test "gcc" "$normal" BUILD="$normal" all tests --
echo "== sanitizers: ${sanitized[*]}"
count build_and_test "gcc -fsanitize=address,undefined" "$normal-san" \
    SAN=1 BUILD="$normal" all test-some AREAS="${sanitized[*]}" -- "${sanitized[@]/%//}" "!backend/test_fixtures"
echo "== clang"
count build_and_test "clang -Werror" build-clang CC=clang CXX=clang++ BUILD=build-clang OPT=-O0 WERROR=1 all tests -- core/

echo "$total_passed passed, $total_failed failed, $total_skipped skipped"
[ "$total_failed" -eq 0 ]
