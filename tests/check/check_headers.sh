#!/bin/bash
# Each header compiles alone, and twice in a row, under gcc and clang.  A file that is meant to be included in the middle of another
# says so among its first lines: /* not alone: reason */
. "$(dirname "$0")/lib.sh"
flags=(-std=c17 -fsyntax-only -Wall -Wextra -Werror -D_GNU_SOURCE -I.)
# shellcheck disable=SC2207
cuda=${CUDA_HOME:-/usr/local/cuda}
flags+=($(pkg-config --cflags libtiff-4 libxml-2.0 libcjson 2>/dev/null))
status=0
[ ! -e "$cuda/include/cudnn.h" ] || flags+=(-isystem "$cuda/include")
for compiler in gcc clang; do
    if ! command -v "$compiler" >/dev/null; then
        echo "skipped: $compiler is not installed" >&2
        continue
    fi
    while read -r header; do
        # CUDA's own headers are on machines with CUDA only.
        [[ $header != @(net|tests)/cuda/* || -e $cuda/include/cudnn.h ]] || continue
        head -n 10 "$header" | grep -q 'not alone: [^ *]' && continue
        if ! out=$(printf '#include "%s"\n#include "%s"\n' "$header" "$header" | "$compiler" "${flags[@]}" -x c - 2>&1); then
            echo "$header:1: does not compile alone under $compiler:"
            printf '%s\n' "$out" | head -n 5
            status=1
        fi
    done < <(sources h)
done
exit $status
