#!/bin/bash
# File names are any bytes but '/': tiles with odd names are registered like others, and every file that we write about them can
# be read by others and leads back to them.
. tests/support/tap.sh

model=examples/models/demo.safetensors
case_dir=$scratch/case
odd_dir=$scratch/odd
out=$scratch/result
latin=$'gr\xfc\xdfe \x01.tif'
quotes=$'a, "b"\nc.tif'
ambiguous='x\x41.tif'
long=$(printf 'l%.0s' $(seq 251)).tif # 255 bytes
longer=$(printf 'l%.0s' $(seq 250))m.tif

register_odd_names() {
    [ ! -e "$out/run.json" ] || return 0
    "$FNR_EXE" simulate "$case_dir" -q --seed 5 --rows 1 --cols 5 --tile-px 400 || fail "simulate failed"
    mkdir -p "$odd_dir"
    set -- "$case_dir"/em/*.tif
    cp "$1" "$odd_dir/$latin"
    cp "$2" "$odd_dir/$quotes"
    cp "$3" "$odd_dir/$ambiguous"
    cp "$4" "$odd_dir/$long"
    cp "$5" "$odd_dir/$longer"
    local status=0
    "$FNR_EXE" "$odd_dir" "$case_dir/mbp.tif" -m $model -o "$out" >"$scratch/log" 2>&1 || status=$?
    [ $status -eq 0 ] || [ $status -eq 3 ] || { tail -5 "$scratch/log"; fail "exit status $status"; }
}

records_of_long_names_are_written() {
    register_odd_names
    [ "$(find "$out/register" -name '*.json' -printf x | wc -c)" -eq 5 ] || fail "a record is missing, or two tiles share one"
    [ "$(find "$out/predict" -name '*.prediction.tif' -printf x | wc -c)" -eq 5 ]
    local status=0
    "$FNR_EXE" "$odd_dir" "$case_dir/mbp.tif" -m $model -o "$out" --dry-run >"$scratch/plan" 2>&1
    [ "$(grep -c 'would run nothing' "$scratch/plan")" -eq 5 ] || { cat "$scratch/plan"; fail "a finished tile would run again"; }
}

every_output_is_valid_and_tells_the_names() {
    command -v python3 >/dev/null || skip "no python3"
    register_odd_names
    cat >"$scratch/check.py" <<'PY'
import csv, json, os, re, sys
import xml.etree.ElementTree as xml
odd, out = os.fsencode(sys.argv[1]), sys.argv[2]
real = set(os.listdir(odd))
def back(text):  # as src/core/text.h says
    return re.sub(rb'\\x([0-9A-F]{2})', lambda m: bytes([int(m[1], 16)]), text.encode('utf-8'))
def read(name):
    return open(os.path.join(out, name), 'rb').read().decode('utf-8')  # strict
rows = list(csv.DictReader(read('transforms.csv').splitlines(keepends=True)))
assert {back(r['tile']) for r in rows} == real, rows
assert any(r['tile'] == 'a, "b"\nc.tif' for r in rows)  # plain UTF-8 needs no unescaping
assert {back(t['tile']) for t in json.loads(read('run.json'))['tiles']} == real
report = xml.fromstring(read('report.html').split('\n', 1)[1])
assert {back(h.text) for h in report.iter('{http://www.w3.org/1999/xhtml}h3') if h.text} == real
patches = list(xml.parse(os.path.join(out, "trakem2.xml")).iter('t2_patch'))[1:]
assert patches
for p in patches:
    path = os.path.join(os.fsencode(out), back(p.get('file_path')))
    assert os.path.exists(path) and os.path.basename(path) in real, p.get('file_path')
PY
    python3 "$scratch/check.py" "$odd_dir" "$out"
}

our_own_readers_find_the_files() {
    register_odd_names
    n=$(grep -c '<t2_patch ' "$out/trakem2.xml")
    [ "$n" -ge 3 ] || fail "only $n patches: nothing to test"
    expect_status 0 "$FNR_EXE" evaluate "$out/trakem2.xml" --truth "$out/transforms.csv"
    expect_text out 'worst 0\.000 IF px'
    # training opens the tiles that the project names
    expect_status 0 "$FNR_EXE" train "$out/trakem2.xml" -o "$scratch/m.safetensors" --steps 1 --set net.base_channels=2 --set net.depth=2 \
        --set net.pixel_nm=60 --set train.patch=16
    ! grep -iE 'no such file|cannot' "$scratch/err" || fail "a tile was not found"
}

broken_tiles_with_odd_names_are_reported_in_utf8() {
    mkdir -p "$scratch/broken"
    echo text >"$scratch/broken/$latin"
    echo text >"$scratch/broken/$long"
    expect_status 1 "$FNR_EXE" "$scratch/broken" "$case_dir/mbp.tif" -m $model -o "$scratch/o2"
    expect_text "$scratch/o2/transforms.csv" '^"gr\\xFC\\xDFe \\?.*\.tif",failed,".*gr\\xFC\\xDFe \\x01\.tif'
    # a long path is not cut in the reason
    expect_text "$scratch/o2/transforms.csv" "^\"$long\",failed,\".*$long.*: .*\","
    iconv -f UTF-8 -t UTF-8 "$scratch/o2/transforms.csv" >/dev/null
    iconv -f UTF-8 -t UTF-8 "$scratch/o2/run.json" >/dev/null
}

tap_run records_of_long_names_are_written every_output_is_valid_and_tells_the_names our_own_readers_find_the_files \
    broken_tiles_with_odd_names_are_reported_in_utf8
