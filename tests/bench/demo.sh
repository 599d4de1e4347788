#!/bin/bash
# make demo: a synthetic section, registered with the small model kept in examples/models, compared with the exact truth.
# Usage: tests/bench/demo.sh BUILD_DIR OUT_DIR
set -eu
exe=$1/fnet-register out=$2
rm -rf "$out"
mkdir -p "$out"
echo "1. a synthetic section with exact truth -> $out/case"
"$exe" simulate "$out/case" -q --seed 7
echo "2. every tile predicted and registered -> $out/result"
"$exe" "$out/case/em" "$out/case/mbp.tif" -m examples/models/demo.safetensors -o "$out/result" || [ $? -eq 3 ]
echo "3. compared with the truth"
"$exe" evaluate "$out/result" --truth "$out/case/truth.csv" --min-myelin 0.01 --if-nm 100
echo "Report: $PWD/$out/result/report.html"
