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

tally=$(mktemp)
trap 'rm -f "$tally"' EXIT
export FNR_TALLY=$tally

# A build counts as one test; the tests of a build that failed are not run.
build() { # name, make arguments...
    local name=$1 start=$SECONDS log
    shift
    log=$(mktemp)
    if $make --no-print-directory -s -k -j"$jobs" "$@" >"$log" 2>&1; then
        printf '%-44s %4d passed %3d failed %3d skipped  %4d s\n' "$name" 1 0 0 $((SECONDS - start))
        echo "1 0 0" >>"$tally"
    else
        printf '%-44s %4d passed %3d failed %3d skipped  %4d s\n' "$name" 0 1 0 $((SECONDS - start))
        echo "0 1 0" >>"$tally"
        tail -n 60 "$log" | sed 's/^/    /'
        false
    fi
    local status=$?
    rm -f "$log"
    return $status
}

echo "== normal build"
build "gcc" BUILD="$normal" all tests && tests/run.sh "$normal"

echo "== sanitizers: ${sanitized[*]}"
build "gcc -fsanitize=address,undefined" SAN=1 BUILD="$normal" all test-some AREAS="${sanitized[*]}" &&
    tests/run.sh "$normal-san" "${sanitized[@]/%//}" "!backend/test_fixtures"

echo "== clang"
build "clang -Werror" CC=clang CXX=clang++ BUILD=build-clang OPT=-O0 WERROR=1 all tests && tests/run.sh build-clang core/

awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 || p == 0 }' "$tally"
