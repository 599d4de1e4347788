#!/bin/bash
# The runner of the tests, on scripts that end in every way a test can end.
. tests/support/tap.sh
runner=$PWD/tests/run.sh

# suite NAME <<< script : a test script of that name in the scratch tree; run_suite runs them all and keeps the output in $scratch/out.
suite() { mkdir -p "$scratch/tree/tests/${1%/*}"; cat >"$scratch/tree/tests/$1"; }
run_suite() { (cd "$scratch/tree" && FNR_TALLY_FD='' "$runner" build "$@"); }
only() { rm -rf "$scratch/tree"; suite a/test_a.sh; }
ends_with() { [ "$(tail -n 1 "$scratch/out")" = "$1" ] || fail "ends with '$(tail -n 1 "$scratch/out")' instead of '$1'"; }

counts() {
    only <<<'echo "ok 1 - a"; echo "ok 2 - b"; echo "ok 3 - c # SKIP"; echo "not ok 4 # SKIP d"; echo 1..4'
    expect_status 0 run_suite
    ends_with '2 passed, 0 failed, 2 skipped'
    only <<<'echo "ok 1 - a"; echo "not ok 2 - b"; echo 1..2; exit 1'
    expect_status 1 run_suite
    ends_with '1 passed, 1 failed, 0 skipped'
    expect_text out 'not ok 2 - b'
}
crashes_count() {
    only <<<'echo 1..3; echo "ok 1 - a"; kill -SEGV $$'
    expect_status 1 run_suite
    ends_with '1 passed, 2 failed, 0 skipped'
    only <<<'echo "ok 1 - a"; exit 3'
    expect_status 1 run_suite
    ends_with '1 passed, 1 failed, 0 skipped'
    expect_text out 'exit status 3'
    only <<<'exit 0'
    expect_status 1 run_suite # ran nothing
    ends_with '0 passed, 1 failed, 0 skipped'
    only <<<'echo 1..2; echo "ok 1 - a"'
    expect_status 1 run_suite # stopped early, and called it success
    ends_with '1 passed, 1 failed, 0 skipped'
}
missing_programs_count() {
    only <<<'echo "ok 1 - a"'
    suite a/test_never_built.c <<<'int main(void);'
    expect_status 1 run_suite
    ends_with '1 passed, 1 failed, 0 skipped'
}
filters() {
    only <<<'echo "ok 1 - a"'
    suite b/test_b.sh <<<'echo "ok 1 - b"; echo "ok 2 - b"'
    suite b/test_slow.sh <<<'echo "not ok 1 - slow"'
    expect_status 0 run_suite a/
    ends_with '1 passed, 0 failed, 0 skipped'
    expect_status 0 run_suite a/ b/ '!slow'
    ends_with '3 passed, 0 failed, 0 skipped'
    expect_status 0 run_suite '!slow'
    ends_with '3 passed, 0 failed, 0 skipped'
    expect_status 1 run_suite
    ends_with '3 passed, 1 failed, 0 skipped'
}

# What tests/all.sh adds up, with a make that only pretends.
all_builds_are_summed() {
    rm -rf "$scratch/tree"
    suite core/test_a.sh <<<'echo "ok 1 - a"; echo "ok 2 # SKIP"; exit 0'
    suite pipeline/test_b.sh <<<'echo "not ok 1 - b"; exit 1'
    cp tests/run.sh tests/all.sh "$scratch/tree/tests"
    expect_status 1 env -u FNR_TALLY_FD MAKE=true JOBS=1 "$scratch/tree/tests/all.sh"
    ends_with '6 passed, 1 failed, 3 skipped' # three builds, core three times, pipeline once
    rm "$scratch/tree/tests/pipeline/test_b.sh"
    expect_status 0 env -u FNR_TALLY_FD MAKE=true JOBS=1 "$scratch/tree/tests/all.sh"
    ends_with '6 passed, 0 failed, 3 skipped'
    expect_status 1 env -u FNR_TALLY_FD MAKE=false JOBS=1 "$scratch/tree/tests/all.sh"
    ends_with '0 passed, 3 failed, 0 skipped'
}
a_vanished_log_is_no_success() {
    only <<<'echo "not ok 1 - a"; rm -f build/test-log-*; exit 1'
    expect_status 2 run_suite
    cp tests/run.sh tests/all.sh "$scratch/tree/tests"
    expect_status 1 env -u FNR_TALLY_FD MAKE=true JOBS=1 "$scratch/tree/tests/all.sh"
    ends_with '3 passed, 1 failed, 0 skipped' # three builds, and a runner that broke down
}

tap_run all_builds_are_summed a_vanished_log_is_no_success counts crashes_count missing_programs_count filters
