#!/bin/bash
# Trains the fast recipe on the nerve sections A, B and C (two annotators each).  Section D is never trained on.
# Usage: tests/bench/nerve_model.sh BUILD_DIR MODEL
set -eu
exe=$1/fnet-register model=$2 data=${FNR_SHARED:-../shared}/data/nerve/train
[ -d "$data" ] || { echo "skipped: no ../shared"; exit 0; }
work=$(mktemp -d "${TMPDIR:-/tmp}/nerve-model-XXXXXX")
trap 'rm -rf "$work"' EXIT
"$exe" train "$data"/{A,B,C}/manual_{a,b}.xml -c configs/em-mbp-fast.ini -o "$work/model.safetensors"
mkdir -p "$(dirname "$model")"
cp "$work/model.safetensors" "$model"
cp "$work/model.loss.csv" "${model%.safetensors}.loss.csv"
