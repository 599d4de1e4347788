#!/bin/bash
# Runs every test program and script, shows what failed, and ends with "N passed, N failed, N skipped".
# Usage: tests/run.sh BUILD_DIR [name-filter...]     a test runs when its name, like core/test_fs, holds one of the filters and none
# of those that begin with '!'
# With FNR_TALLY_FD=N, the three numbers go to that file descriptor instead (tests/all.sh adds them up).
# A program is a cmocka binary that speaks TAP; a script is tests/*/test_*.sh and prints TAP lines ("ok", "not ok", "# SKIP") too.
set -u
build=$1
shift
filters=() unwanted=()
for f in "$@"; do
    [[ $f == !* ]] && unwanted+=("${f#!}") || filters+=("$f")
done
[ ${#filters[@]} -gt 0 ] || filters=("")
# Threads that wait should sleep: test programs share the processors.
export OMP_WAIT_POLICY=passive
[ ! -e "$build/libfnr-cuda.so" ] || export FNR_CUDA_PLUGIN="$PWD/$build/libfnr-cuda.so"
export FNR_EXE="$PWD/$build/fnet-register" CMOCKA_MESSAGE_OUTPUT=TAP LC_ALL=C
# Asking for too much memory is tested: the sanitizer must return NULL as malloc does, not end the program.
export ASAN_OPTIONS=allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
passed=0 failed=0 skipped=0
mkdir -p "$build"
log=$(mktemp "$build/test-log-XXXXXX") || exit 2 # in our own folder: nobody who cleans /tmp can turn failures into successes
trap 'rm -f "$log"' EXIT

wanted() { # name
    local f
    for f in "${unwanted[@]}"; do
        [[ $1 == *"$f"* ]] && return 1
    done
    for f in "${filters[@]}"; do
        [[ $1 == *"$f"* ]] && return 0
    done
    return 1
}

run_one() { # name, command...
    local name=$1 start=$SECONDS; shift
    timeout 900 "$@" >"$log" 2>&1 3>&-
    local status=$?
    [ -e "$log" ] || { echo "the output of $name has vanished" >&2; exit 2; }
    local p f s planned
    # cmocka reports a skipped test as "not ok N # SKIP name".
    s=$(grep -cE '^(not )?ok [0-9]+.*# SKIP' "$log")
    p=$(grep -E '^ok ' "$log" | grep -vc '# SKIP')
    f=$(grep -E '^not ok ' "$log" | grep -vc '# SKIP')
    # A crash, a time-out, a program that ran nothing or less than it planned is a failure, whatever it printed.
    planned=$(sed -nE 's/^1\.\.([0-9]+).*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
    if [ "$f" -eq 0 ] && [ "$planned" -gt $((p + s)) ]; then
        f=$((planned - p - s))
        echo "    only $((p + s)) of $planned planned tests reported a result" >>"$log"
    fi
    if { [ $status -ne 0 ] && [ "$f" -eq 0 ]; } || [ $((p + f + s)) -eq 0 ]; then
        f=$((f + 1))
        echo "    exit status $status" >>"$log"
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf '%-44s %4d passed %3d failed %3d skipped  %4d s\n' "$name" "$p" "$f" "$s" $((SECONDS - start))
    [ "$f" -eq 0 ] || sed 's/^/    /' "$log" | tail -n 60
    grep -h 'skipped:' "$log" | sort -u | head -3 | sed 's/^/    /'
}

for source in tests/*/test_*.c; do
    [ -e "$source" ] || continue
    name=${source#tests/}; name=${name%.c}
    wanted "$name" || continue
    run_one "$name" "$build/tests/$name"
done
for script in tests/*/test_*.sh; do
    [ -e "$script" ] || continue
    name=${script#tests/}
    wanted "$name" || continue
    run_one "$name" bash "$script"
done
if [ -n "${FNR_TALLY_FD:-}" ]; then
    echo "$passed $failed $skipped" >&"$FNR_TALLY_FD"
else
    echo "$passed passed, $failed failed, $skipped skipped"
fi
[ "$failed" -eq 0 ]
