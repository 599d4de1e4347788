#!/bin/bash
# Runs every test program and script, shows what failed, and ends with "N passed, N failed, N skipped".
# Usage: tests/run.sh BUILD_DIR [name-filter]
# A program is a cmocka binary that speaks TAP; a script is tests/*/test_*.sh and prints TAP lines ("ok", "not ok", "# SKIP") too.
set -u
build=$1 filter=${2:-}
export FNR_EXE="$PWD/$build/fnet-register" CMOCKA_MESSAGE_OUTPUT=TAP LC_ALL=C
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

run_one() { # name, command...
    local name=$1 start=$SECONDS; shift
    timeout 900 "$@" >"$log" 2>&1
    local status=$?
    local p f s
    s=$(grep -cE '^ok .*# SKIP' "$log")
    p=$(($(grep -cE '^ok ' "$log") - s))
    f=$(grep -cE '^not ok ' "$log")
    # A crash, a time-out or a program that ran nothing is a failure, whatever it printed.
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
    [[ $name == *"$filter"* ]] || continue
    run_one "$name" "$build/tests/$name"
done
for script in tests/*/test_*.sh; do
    [ -e "$script" ] || continue
    name=${script#tests/}
    [[ $name == *"$filter"* ]] || continue
    run_one "$name" bash "$script"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
