# shellcheck shell=bash
# Sourced by the checks.  Each check is a script: check_NAME.sh [ROOT] looks at the tree below ROOT (default: the current folder),
# prints "file:line: what is wrong" and ends with status 1 when it found something.
# A line that has to break a rule says why, on the line itself: /* allowed: reason */
set -u
checks=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "${1:-.}" || exit 2

# Our C sources, one name per line; arguments are extensions.  Needs no git: a tarball is checked as well.
sources() {
    local folders=() d e
    for d in src net montage register tests; do
        [ -d "$d" ] && folders+=("$d")
    done
    [ ${#folders[@]} -gt 0 ] || return 0
    for e in "$@"; do
        find "${folders[@]}" -name "*.$e" -type f
    done | LC_ALL=C sort
}

# The parts that go into the product.
product_sources() { sources "$@" | grep -v '^tests/'; }

# Runs an awk program over the files named on standard input, as `check_awk PROGRAM [VAR=VALUE...]`; status 1 when it printed anything.
check_awk() {
    local program=$1 found
    shift
    local vars=()
    for v in "$@"; do vars+=(-v "$v"); done
    found=$(xargs -r awk "${vars[@]}" -f "$checks/strip.awk" -f "$checks/$program")
    [ -z "$found" ] || { printf '%s\n' "$found"; return 1; }
}
