#!/bin/bash
# Trials for the probabilities of register/probability.c, and their fit.  Uses the predictions of bench_crossval.sh.
# Usage: tests/bench/calibrate_verdict.sh BUILD_DIR WORK_DIR
set -eu
bench=$1/tests/bench work=$2 data=${FNR_SHARED:-../shared}/data/nerve/train
[ -d "$data" ] || { echo "skipped: no ../shared"; exit 0; }
[ -d "$work/C-widefield/predict" ] || tests/bench/bench_crossval.sh "$1" "$work"
csv=$work/trials.csv
rm -f "$csv"
for s in A B C; do
    try() { "$bench/bench_register" "$data/$s" --predictions "$work/$s-deconvolved/predict" --net-nm 40 --csv "$csv" "$@" | tail -1; }
    try
    try --montage "$work/$s-widefield.tif" --every 2
    try --mirror --every 5
    try --mirror --every 5 --first 2
    for o in $(echo A B C | tr -d $s); do
        try --montage "$data/$o/mbp.tif" --wrong --every 5 --first 1
        try --montage "$data/$o/mbp.tif" --wrong --every 5 --first 3
    done
done
"$bench/bench_calibrate" "$csv" "$work/reliability.csv"
