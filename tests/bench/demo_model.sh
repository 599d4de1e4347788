#!/bin/bash
# Trains the small model of the demo on three synthetic sections (seeds 101 to 103; the demo registers seed 7).
# Usage: tests/bench/demo_model.sh BUILD_DIR MODEL
set -eu
exe=$1/fnet-register model=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/demo-model-XXXXXX")
trap 'rm -rf "$work"' EXIT
for seed in 101 102 103; do
    "$exe" simulate "$work/$seed" -q --seed $seed
done
"$exe" train "$work"/10?/manual_?.xml -c configs/demo.ini -o "$work/demo.safetensors"
mkdir -p "$(dirname "$model")"
cp "$work/demo.safetensors" "$model"
