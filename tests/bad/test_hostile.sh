#!/bin/bash
# Command lines and files that nobody means: each ends soon, with a message that names the file and the right status.
. tests/support/tap.sh

model=examples/models/demo.safetensors
case_dir=$scratch/case

make_case() {
    [ -d "$case_dir" ] || "$FNR_EXE" simulate "$case_dir" -q --seed 5 --rows 1 --cols 1 --tile-px 256 || fail "simulate failed"
    tile=$(ls "$case_dir"/em/*.tif)
    [ -p "$scratch/fifo.tif" ] || mkfifo "$scratch/fifo.tif"
    [ -d "$scratch/folder.tif" ] || mkdir "$scratch/folder.tif"
    ln -sfn loop.tif "$scratch/loop.tif"
    : >"$scratch/zero.tif"
}

# refuses STATUS 'text of the message' command... : soon, and a signal is not needed to end it
refuses() {
    local status=$1 text=$2
    shift 2
    expect_status "$status" timeout -k 5 60 "$@" </dev/null
    expect_text err "^(error|fnet-register): .*$text"
}

no_input_is_a_device_fifo_folder_or_loop() {
    make_case
    for bad in /dev/zero "$scratch/fifo.tif" "$scratch/folder.tif" "$scratch/loop.tif"; do
        name=$(basename "$bad")
        case $name in loop.tif) why='Too many levels' ;; *) why='not a regular file' ;; esac
        refuses 1 "$name.*$why" "$FNR_EXE" "$case_dir/em" "$bad" -m $model -o "$scratch/o"
        refuses 1 "$name.*$why" "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m "$bad" -o "$scratch/o"
        refuses 1 "$name.*$why" "$FNR_EXE" predict -m $model "$bad" -o "$scratch/p.tif" --em-nm 10
        refuses 1 "$name.*$why" "$FNR_EXE" train "$bad" -o "$scratch/m.safetensors"
        refuses 1 "$name.*$why" "$FNR_EXE" info "$bad"
        refuses 1 "$name.*$why" "$FNR_EXE" convert "$bad" "$scratch/x.onnx"
        refuses 1 "$name" "$FNR_EXE" "$bad" "$case_dir/mbp.tif" -m $model -o "$scratch/o"
    done
    refuses 1 'zero\.tif: the file is empty \(0 bytes\)' "$FNR_EXE" "$case_dir/em" "$scratch/zero.tif" -m $model -o "$scratch/o"
    refuses 1 'zero: .*has more than|/dev/zero has more than' "$FNR_EXE" evaluate "$case_dir/truth.csv" --truth /dev/zero
    refuses 2 '/dev/zero line 1' "$FNR_EXE" a b -c /dev/zero --print-config
}

outputs_that_cannot_be_or_would_destroy_something() {
    make_case
    refuses 1 'cannot make the folder .*mbp\.tif' "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$case_dir/mbp.tif"
    refuses 1 'cannot make the folder /dev/null' "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o /dev/null
    refuses 2 'p\.png: predictions are TIFF files' "$FNR_EXE" predict -m $model "$tile" -o "$scratch/p.png"
    [ ! -e "$scratch/p.png" ]
    refuses 2 'folder\.tif is a folder; give the name of the model' "$FNR_EXE" train "$case_dir/manual_a.xml" -o "$scratch/folder.tif"
    cp $model "$scratch/m.safetensors"
    refuses 2 'would be overwritten by its own conversion' "$FNR_EXE" convert "$scratch/m.safetensors" "$scratch/folder.tif/../m.safetensors" --weights-only
    cmp $model "$scratch/m.safetensors"
    refuses 2 'contradict each other' "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/o" -q -v
}

predictions_among_the_tiles_are_no_tiles() {
    make_case
    mkdir -p "$scratch/em"
    cp "$tile" "$scratch/em/t.tif"
    expect_status 0 "$FNR_EXE" predict -m $model "$scratch/em/t.tif" -o "$scratch/em"
    [ -s "$scratch/em/t.prediction.tif" ]
    expect_status 0 "$FNR_EXE" "$scratch/em" "$case_dir/mbp.tif" -m $model -o "$scratch/em" --dry-run
    [ "$(grep -c ': would ' "$scratch/err")" -eq 1 ] || fail "a prediction was taken for a tile"
    expect_text err 't\.prediction\.tif is a prediction of this program: left out'
}

# A header that promises more pixels than the file or the memory holds, and tiles too small to look at.
absurd_image_sizes() {
    command -v python3 >/dev/null || skip "no python3"
    make_case
    mkdir -p "$scratch/sizes"
    python3 - "$scratch/sizes" <<'PY'
import struct, sys
def tiff(name, w, h, data):
    entries = [(256,4,1,w),(257,4,1,h),(258,3,1,8),(259,3,1,1),(262,3,1,1),(273,4,1,8),(277,3,1,1),(278,4,1,h),(279,4,1,len(data))]
    with open(sys.argv[1] + '/' + name, 'wb') as f:
        f.write(struct.pack('<2sHI', b'II', 42, 8 + len(data))); f.write(data); f.write(struct.pack('<H', len(entries)))
        for tag, typ, n, v in entries: f.write(struct.pack('<HHII', tag, typ, n, v))
        f.write(struct.pack('<I', 0))
tiff('huge.tif', 2**31 - 1, 2**31 - 1, b'xy')
tiff('wide.tif', 2**32 - 1, 1, b'xy')
tiff('none.tif', 0, 5, b'')
tiff('dot.tif', 1, 1, b'x')
for i in range(40): tiff('small%02d.tif' % i, 16, 16, bytes(range(256)))
PY
    expect_status 1 timeout -k 5 120 "$FNR_EXE" "$scratch/sizes" "$case_dir/mbp.tif" -m $model -o "$scratch/o2" --em-nm 11.9
    [ "$(grep -c ',failed,' "$scratch/o2/transforms.csv")" -eq 44 ] || fail "not every tile failed"
    for t in huge wide none dot small00; do expect_text "$scratch/o2/transforms.csv" "^\"$t\.tif\",failed,\".*$t\.tif: "; done
    refuses 1 'huge\.tif' "$FNR_EXE" "$case_dir/em" "$scratch/sizes/huge.tif" -m $model -o "$scratch/o" --if-nm 100
    refuses 1 'dot\.tif' "$FNR_EXE" "$case_dir/em" "$scratch/sizes/dot.tif" -m $model -o "$scratch/o" --if-nm 100
}

tap_run no_input_is_a_device_fifo_folder_or_loop outputs_that_cannot_be_or_would_destroy_something predictions_among_the_tiles_are_no_tiles \
    absurd_image_sizes
