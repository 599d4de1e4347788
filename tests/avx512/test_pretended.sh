#!/bin/bash
# The oneDNN backend's loops for AVX-512 on pretended instructions, under the tests that every backend has to pass.  Says nothing about
# speed, nor about what the compiler makes of the real instructions.
. tests/support/tap.sh
export FNR_TEST_BACKEND=onednn-winograd

pretend() { # program [variable=value...]
    case ${CC:-cc} in *clang*) skip "built with gcc only" || return ;; esac
    run_program "avx512/$1" "with the loops for AVX-512" "${@:2}"
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
