#!/bin/bash
# Sections A, B and C, each predicted by a network that never saw it (trained on the two others), as they are and as wide field.
# Usage: tests/bench/bench_crossval.sh BUILD_DIR WORK_DIR      (networks and predictions stay in WORK_DIR and are used again)
set -eu
exe=$1/fnet-register work=$2 data=${FNR_SHARED:-../shared}/data/nerve/train
[ -d "$data" ] || { echo "skipped: no ../shared"; exit 0; }
mkdir -p "$work"
for s in A B C; do
    others=$(echo A B C | tr -d $s)
    if [ ! -e "$work/$s.safetensors" ]; then
        projects=()
        for o in $others; do
            projects+=("$data/$o/manual_a.xml" "$data/$o/manual_b.xml")
        done
        "$exe" -q train "${projects[@]}" -c configs/em-mbp-fast.ini --set train.steps=4000 -o "$work/$s.safetensors"
    fi
    for kind in deconvolved widefield; do
        mbp=$data/$s/mbp.tif out=$work/$s-$kind
        if [ $kind = widefield ]; then
            mbp=$work/$s-widefield.tif
            [ -e "$mbp" ] || "$1/tests/bench/bench_change_montage" widefield:1.8 "$data/$s/mbp.tif" "$mbp"
            [ -d "$out/predict" ] || { mkdir -p "$out" && cp -r "$work/$s-deconvolved/predict" "$out/predict"; }
        fi
        "$exe" -q "$data/$s/em" "$mbp" --if-nm 100 -m "$work/$s.safetensors" -o "$out" || [ $? -eq 3 ]
        echo "== section $s, $kind"
        "$exe" evaluate "$out" --truth "$data/$s/truth.csv" --min-myelin 0.01 --if-nm 100 | grep -v '\.tif '
    done
done
