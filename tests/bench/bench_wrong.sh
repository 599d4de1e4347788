#!/bin/bash
# Never call a wrong transform good: the tiles of section D against montages on which no place is right.
# Usage: tests/bench/bench_wrong.sh BUILD_DIR [MODEL]
set -eu
exe=$1/fnet-register model=${2:-examples/models/nerve-mbp-fast.safetensors} data=${FNR_SHARED:-../shared}/data/nerve
[ -d "$data" ] || { echo "skipped: no ../shared"; exit 0; }
work=$(mktemp -d "${TMPDIR:-/tmp}/bench-wrong-XXXXXX")
trap 'rm -rf "$work"' EXIT
trials=0 wrong=0
try() { # tiles-section montage-file: one output folder per set of tiles, so that predictions are made once
    local tiles=$1 mbp=$2 n bad
    "$exe" -q "$data/$tiles/em" "$mbp" -m "$model" -o "$work/$(basename "$tiles")" 2>/dev/null || [ $? -eq 3 ]
    n=$(($(wc -l <"$work/$(basename "$tiles")/transforms.csv") - 1))
    bad=$(grep -cE ',(registered|by-neighbours),' "$work/$(basename "$tiles")/transforms.csv" || true)
    printf '%-20s tiles on %-22s %3d trials, %d called good\n' "$tiles" "$(basename "$mbp" .tif)" "$n" "$bad"
    trials=$((trials + n)) wrong=$((wrong + bad))
}
for montage in train/A train/B train/C visible/D visible/D_widefield; do
    for change in mirror noise; do
        mbp=$work/$(basename $montage)-$change.tif
        "$1/tests/bench/bench_change_montage" $change "$data/$montage/mbp.tif" "$mbp"
        try visible/D "$mbp"
        try visible/D_widefield "$mbp"
    done
done
for pair in A:B A:C B:A B:C; do
    cp "$data/train/${pair#*:}/mbp.tif" "$work/${pair#*:}.tif"
    try "train/${pair%:*}" "$work/${pair#*:}.tif"
done
echo "$trials trials, $wrong wrong transforms called good"
failed=$wrong
echo
echo "For information: the montages of A, B and C hold copies of section D's own tissue (the simulation fills them with it), so these"
echo "places are real; where there are two copies, the section is called ambiguous and its tiles doubtful."
for montage in A B C; do
    cp "$data/train/$montage/mbp.tif" "$work/$montage.tif"
    try visible/D "$work/$montage.tif"
done
[ "$failed" -eq 0 ]
