#!/bin/bash
# Registers the nerve sections D and D_widefield with the kept fast model and compares with the truth.
# Usage: tests/bench/bench_nerve.sh BUILD_DIR [MODEL]
# The EM is real; the MBP of this data is simulated from hand-drawn myelin masks.
set -eu
exe=$1/fnet-register model=${2:-examples/models/nerve-mbp-fast.safetensors} data=${FNR_SHARED:-../shared}/data/nerve/visible
[ -d "$data" ] || { echo "skipped: no ../shared"; exit 0; }
out=$(mktemp -d "${TMPDIR:-/tmp}/bench-nerve-XXXXXX")
trap 'rm -rf "$out"' EXIT
for case in D D_widefield; do
    echo "== section $case, model $model"
    start=$(date +%s.%N)
    "$exe" -q "$data/$case/em" "$data/$case/mbp.tif" -m "$model" -o "$out/$case" || [ $? -eq 3 ]
    end=$(date +%s.%N)
    "$exe" evaluate "$out/$case" --truth "$data/$case/truth.csv" --min-myelin 0.01 --if-nm 100
    awk -v s="$start" -v e="$end" 'BEGIN { printf "wall time: %.1f s", e - s }'
    awk -F'[:,]' '/"peak_rss_mib"/ { printf ", peak memory: %.0f MiB\n", $2 }' "$out/$case/run.json"
done
