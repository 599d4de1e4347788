#!/bin/bash
# Fuzzes the readers of foreign files with libFuzzer (needs clang).  Usage: tests/fuzz/run.sh [seconds per target] [target...]
# New inputs gather in build-fuzz/; a crash leaves build-fuzz/<target>-crash-*, which belongs into tests/fuzz/corpus_<target>/ with the fix.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-60}
shift || true
targets=${*:-tiff meta}
flags="-std=c17 -O1 -g -D_GNU_SOURCE -I. -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -Wno-unknown-pragmas"
packages="libtiff-4 libxml-2.0 libcjson libpng"
status=0
mkdir -p build-fuzz
for target in $targets; do
    # shellcheck disable=SC2046,SC2086
    clang $flags $(pkg-config --cflags $packages) "tests/fuzz/fuzz_$target.c" src/core/{err,mem,threads}.c src/core/fs*.c src/image/*.c \
        $(pkg-config --libs $packages) -ljpeg -lm -o "build-fuzz/fuzz_$target"
    mkdir -p "build-fuzz/new_$target"
    corpus=("build-fuzz/new_$target" "tests/fuzz/corpus_$target")
    bad=${FNR_SHARED:-../shared}/data/formats/tiff_bad
    if [ "$target" = tiff ] && [ -d "$bad" ]; then
        corpus+=("$bad")
    fi
    "build-fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -max_len=8192 -print_final_stats=1 \
        -artifact_prefix="build-fuzz/$target-" "${corpus[@]}" 2>&1 | grep -E 'ERROR|SUMMARY|stat::|DONE|cov:.*DONE' || true
    [ "${PIPESTATUS[0]}" -eq 0 ] || status=1
done
exit $status
