#!/bin/bash
# Everything about the CUDA backend that needs a GPU, in the order of what one wants to know first.  Usage: tests/cuda/gpu.sh BUILD_DIR
# [steps...]   steps: parity contract fixtures training sanitizer team (all when none is named)
set -u
build=$1
shift
steps=("$@")
[ ${#steps[@]} -gt 0 ] || steps=(parity contract fixtures training sanitizer team)
export FNR_TEST_BACKEND=cuda CMOCKA_MESSAGE_OUTPUT=TAP OMP_WAIT_POLICY=passive
export FNR_CUDA_PLUGIN=${FNR_CUDA_PLUGIN:-$PWD/$build/libfnr-cuda.so}
failed=0

try() { # program, seconds at most, wrapper... : shows what is not "ok"
    local program=$1 seconds=$2 start=$SECONDS status log
    shift 2
    log=$(mktemp)
    timeout "$seconds" "$@" "$build/tests/$program" >"$log" 2>&1
    status=$?
    printf '%-28s status %3d  %3d ok  %3d not ok  %4d s  %s\n' "$program" $status "$(grep -c '^ok ' "$log")" \
        "$(grep -c '^not ok ' "$log")" $((SECONDS - start)) "$*"
    grep -E 'skipped:|^ERROR: |Invalid|Race|LEAK|ERROR SUMMARY' "$log" | sort | uniq -c | head -n 40
    [ $status -eq 0 ] || { failed=1; grep -E '^not ok|^#' "$log" | head -n 40; }
    rm -f "$log"
}

for step in "${steps[@]}"; do
    case $step in
    parity)
        export FNR_TEST_REPORT=1
        for t in conv ops parity; do try backend/test_$t 120; done
        unset FNR_TEST_REPORT
        ;;
    contract) try backend/test_contract 120 ;;
    fixtures) try backend/test_fixtures 200 ;;
    training) for t in test_train test_train_course test_predict; do try net/$t 120; done ;;
    sanitizer)
        if command -v compute-sanitizer >/dev/null; then
            try backend/test_ops 200 compute-sanitizer --tool memcheck --error-exitcode 9
            try backend/test_parity 200 compute-sanitizer --tool memcheck --error-exitcode 9
            try backend/test_ops 200 compute-sanitizer --tool racecheck --error-exitcode 9
        else
            echo "skipped: no compute-sanitizer"
        fi
        ;;
    team) try cuda/test_precision 60; try cuda/test_team 60; try cuda/test_lanes 120 ;;
    *) echo "unknown step $step" >&2; exit 2 ;;
    esac
done
exit $failed
