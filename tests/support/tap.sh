# Sourced by shell tests: TAP output, a scratch folder, the program under test in $FNR_EXE.
# Each test is a function; `tap_run name...` runs them.  In a test: `check "what" command...`, `skip "why"`.
set -u
: "${FNR_EXE:=$PWD/build/fnet-register}"
FNR_SHARED=${FNR_SHARED:-$PWD/../shared}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/fnr-sh-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
tap_count=0 tap_failed=0

fail() { echo "# $*"; return 1; }
skip() { echo "skipped: $*"; return 77; }
need_shared() { [ -e "$FNR_SHARED/$1" ] || skip "no ../shared/$1"; }

# expect_status N command... : runs it, keeps stdout and stderr in $scratch/out and $scratch/err.
expect_status() {
    local want=$1; shift
    local got=0
    "$@" >"$scratch/out" 2>"$scratch/err" || got=$? # a bare failure would end the test here: tests run under set -e
    [ $got -eq "$want" ] || { sed 's/^/# /' "$scratch/err" | tail -n 20; fail "exit status $got instead of $want: $*"; }
}
# expect_text FILE extended-regex : FILE is a path or out/err for the last command.
expect_text() {
    local file=$1
    case $file in out | err) file=$scratch/$file ;; esac
    grep -qE -- "$2" "$file" || { sed 's/^/# | /' "$file" | tail -n 15; fail "no match for '$2' in $file"; }
}

# A test program that has to pass here as well; what it says is left in $scratch/log.
run_program() { # program where [variable=value...]
    if ! env "${@:3}" "$(dirname "$FNR_EXE")/tests/$1" >"$scratch/log" 2>&1; then
        sed 's/^/# /' "$scratch/log" | grep -v '^# ok' | tail -n 20
        fail "$1 fails $2"
    fi
}

tap_run() {
    local t status
    for t in "$@"; do
        tap_count=$((tap_count + 1))
        (set -e; "$t")
        status=$?
        case $status in
        0) echo "ok $tap_count - $t" ;;
        77) echo "ok $tap_count - $t # SKIP" ;;
        *) echo "not ok $tap_count - $t"; tap_failed=$((tap_failed + 1)) ;;
        esac
    done
    echo "1..$tap_count"
    [ $tap_failed -eq 0 ]
}
