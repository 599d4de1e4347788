#!/bin/bash
# Fuzzes the readers of foreign files with libFuzzer (needs clang).  Usage: tests/fuzz/run.sh [seconds per target] [target...]
# New inputs gather in build-fuzz/new_TARGET; a crash leaves build-fuzz/TARGET-crash-*, which belongs into tests/fuzz/corpus_TARGET/
# with the fix.  FUZZ_MERGE=1 then adds those new inputs to tests/fuzz/corpus_TARGET that reach code nothing else there reaches.
set -u
cd "$(dirname "$0")/../.." || exit 2
seconds=${1:-60}
shift || true
targets=${*:-tiff meta trakem2 safetensors checkpoint onnx}
largest=4096 # bytes of an input that is kept
flags="-std=c17 -O1 -g -D_GNU_SOURCE -I. -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -Wno-unknown-pragmas"
packages="libtiff-4 libxml-2.0 libcjson libpng zlib libmd"
core=$(echo src/core/*.c)
shared=${FNR_SHARED:-../shared}

sources_of() { # target
    case $1 in
    tiff | meta) echo src/image/*.c ;;
    trakem2) echo src/geom/transform.c src/geom/trakem2_*.c ;;
    *) echo net/model*.c net/safetensors*.c net/st_*.c net/graph*.c net/unet.c net/shape.c net/checkpoint*.c net/pickle*.c net/zip*.c \
        net/onnx*.c net/protobuf.c net/buffer.c ;;
    esac
}

# Larger collections that are read when they are there.
others_of() { # target
    local d
    case $1 in
    tiff) d=$shared/data/formats/tiff_bad ;;
    trakem2) d=$shared/fixtures/trakem2 ;;
    *) return ;;
    esac
    [ ! -d "$d" ] || echo "$d"
}

keep_what_is_new() { # target
    local new=build-fuzz/small_$1
    rm -rf "$new" "build-fuzz/merged_$1"
    mkdir -p "$new" "build-fuzz/merged_$1"
    find "build-fuzz/new_$1" -type f -size -"$((largest + 1))"c -exec cp -t "$new" {} +
    cp "tests/fuzz/corpus_$1"/* "build-fuzz/merged_$1/"
    "build-fuzz/fuzz_$1" -merge=1 -timeout=5 -rss_limit_mb=1024 -artifact_prefix="build-fuzz/$1-" \
        "build-fuzz/merged_$1" "$new" 2>&1 | grep -E 'MERGE-OUTER: [0-9]+ new' || true
    cp -n "build-fuzz/merged_$1"/* "tests/fuzz/corpus_$1/"
    du -sh --apparent-size "tests/fuzz/corpus_$1"
}

status=0
mkdir -p build-fuzz
for target in $targets; do
    # shellcheck disable=SC2046,SC2086
    clang $flags -DFNR_VERSION='"fuzz"' $(pkg-config --cflags $packages) "tests/fuzz/fuzz_$target.c" $core $(sources_of "$target") \
        $(pkg-config --libs $packages) -linih -ljpeg -lm -lpthread -o "build-fuzz/fuzz_$target" || exit 2
    mkdir -p "build-fuzz/new_$target"
    echo "== $target, $seconds s"
    # shellcheck disable=SC2046
    "build-fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=8192 -print_final_stats=1 \
        -artifact_prefix="build-fuzz/$target-" "build-fuzz/new_$target" "tests/fuzz/corpus_$target" $(others_of "$target") \
        2>&1 | grep -E 'ERROR|SUMMARY|stat::number|stat::new|stat::peak|DONE|Test unit written'
    [ "${PIPESTATUS[0]}" -eq 0 ] || status=1
    [ -z "${FUZZ_MERGE:-}" ] || keep_what_is_new "$target"
done
exit $status
