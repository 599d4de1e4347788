#!/bin/bash
# The oneDNN backend's loops for AVX-512 on pretended instructions, under the tests that every backend has to pass.  Says nothing about
# speed, nor about what the compiler makes of the real instructions.
. tests/support/tap.sh
build=$(dirname "$FNR_EXE")
export FNR_TEST_BACKEND=onednn-winograd

pretend() { # program [variable=value...]
    [ -n "$(ls -A "$build/avx512" 2>/dev/null)" ] || skip "not built with this compiler" || return
    local program=$1
    shift
    if ! env "$@" "$build/tests/avx512/$program" >"$scratch/log" 2>&1; then
        sed 's/^/# /' "$scratch/log" | grep -v '^# ok' | tail -n 20
        fail "$program fails with the loops for AVX-512"
    fi
}
convolutions() { pretend backend/test_conv; }
parity_with_ref() { pretend backend/test_parity; }
int8() { pretend backend/test_int8; }
recorded_networks() {
    need_shared fixtures/net64 || return
    pretend backend/test_fixtures FNR_TEST_RECORD=2d_m4d2
    pretend backend/test_fixtures FNR_TEST_RECORD=3d_m4d2
}

tap_run convolutions parity_with_ref int8 recorded_networks
