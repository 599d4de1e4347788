#!/bin/bash
# Registers the nerve sections D and D_widefield with float32 and with int8 predictions: how far does int8 move each tile?
# Usage: tests/bench/bench_int8.sh BUILD_DIR [MODEL]
set -eu
exe=$1/fnet-register model=${2:-examples/models/nerve-mbp-fast.safetensors} data=${FNR_SHARED:-../shared}/data/nerve/visible
[ -d "$data" ] || { echo "skipped: no ../shared"; exit 0; }
out=$(mktemp -d "${TMPDIR:-/tmp}/bench-int8-XXXXXX")
trap 'rm -rf "$out"' EXIT
for case in D D_widefield; do
    for precision in float32 int8; do
        "$exe" -q "$data/$case/em" "$data/$case/mbp.tif" -m "$model" -s net.precision=$precision -o "$out/$case.$precision" || [ $? -eq 3 ]
    done
    echo "== section $case, model $model: int8 against float32"
    "$exe" evaluate "$out/$case.int8" --truth "$out/$case.float32/transforms.csv" --if-nm 100
    echo "== int8 against the truth"
    "$exe" evaluate "$out/$case.int8" --truth "$data/$case/truth.csv" --min-myelin 0.01 --if-nm 100 | grep '^error'
done
