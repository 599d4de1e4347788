#!/bin/bash
# What goes wrong in practice must be said clearly, with the right exit status, and never cost finished work.
# Runs on a small synthetic case and the demo model; the broken TIFFs of ../shared when they are there.
. tests/support/tap.sh

model=examples/models/demo.safetensors
case_dir=$scratch/case

make_case() {
    [ -d "$case_dir" ] || "$FNR_EXE" simulate "$case_dir" -q --seed 5 --rows 1 --cols 2 --tile-px 512 || fail "simulate failed"
    first_tile=$(ls "$case_dir"/em/*.tif | head -1)
}

# rows of transforms.csv with this verdict
count_verdict() { grep -c ",$1," "$2/transforms.csv" || true; }

missing_or_empty_folders() {
    make_case
    mkdir -p "$scratch/empty" "$scratch/text"
    echo hello >"$scratch/text/notes.txt"
    expect_status 1 "$FNR_EXE" "$scratch/empty" "$case_dir/mbp.tif" -m $model -o "$scratch/o1"
    expect_text err 'empty: no \.tif'
    expect_status 1 "$FNR_EXE" "$scratch/text" "$case_dir/mbp.tif" -m $model -o "$scratch/o1"
    expect_text err 'text: no \.tif or \.tiff files among its 1 files'
    expect_status 1 "$FNR_EXE" "$scratch/nowhere" "$case_dir/mbp.tif" -m $model -o "$scratch/o1"
    expect_text err 'nowhere.*No such file'
    expect_status 1 "$FNR_EXE" "$case_dir/em" "$scratch/nothing.tif" -m $model -o "$scratch/o1"
    expect_text err 'nothing\.tif'
}

broken_montages() {
    make_case
    head -c 3000 "$case_dir/mbp.tif" >"$scratch/cut.tif"
    expect_status 1 "$FNR_EXE" "$case_dir/em" "$scratch/cut.tif" -m $model -o "$scratch/o2"
    expect_text err 'cut\.tif'
    echo "not an image" >"$scratch/words.tif"
    expect_status 1 "$FNR_EXE" "$case_dir/em" "$scratch/words.tif" -m $model -o "$scratch/o2"
    expect_text err 'words\.tif'
    expect_status 1 "$FNR_EXE" "$case_dir/em" "$scratch" -m $model -o "$scratch/o2"
    expect_text err 'directory'
}

montage_of_zeros_or_rgb() {
    need_shared data/formats/tiff_ok/rgb-3c-8b.tiff
    make_case
    expect_status 1 "$FNR_EXE" "$case_dir/em" "$FNR_SHARED/data/formats/tiff_ok/rgb-3c-8b.tiff" -m $model -o "$scratch/o3" --if-nm 100
    expect_text err 'rgb-3c-8b\.tiff.*RGB'
    python3 - "$scratch/zeros.tif" <<'PY' 2>/dev/null || skip "no python3 to write a black image"
import struct, sys
w, h = 300, 200
entries = [(256,3,1,w),(257,3,1,h),(258,3,1,16),(259,3,1,1),(262,3,1,1),(273,4,1,8),(277,3,1,1),(278,3,1,h),(279,4,1,w*h*2)]
with open(sys.argv[1], 'wb') as f:
    f.write(struct.pack('<2sHI', b'II', 42, 8 + w*h*2)); f.write(bytes(w*h*2)); f.write(struct.pack('<H', len(entries)))
    for tag, typ, n, v in entries: f.write(struct.pack('<HHII', tag, typ, n, v))
    f.write(struct.pack('<I', 0))
PY
    expect_status 1 "$FNR_EXE" "$case_dir/em" "$scratch/zeros.tif" -m $model -o "$scratch/o3" --if-nm 100
    expect_text err 'zeros\.tif'
}

pixel_size_unknown() {
    need_shared data/formats/tiff_ok/minisblack-1c-8b.tiff
    make_case
    expect_status 1 "$FNR_EXE" "$case_dir/em" "$FNR_SHARED/data/formats/tiff_ok/minisblack-1c-16b.tiff" -m $model -o "$scratch/o4"
    expect_text err 'pixel size; give it with --if-nm'
    expect_status 1 "$FNR_EXE" predict -m $model "$FNR_SHARED/data/formats/tiff_ok/minisblack-1c-8b.tiff" -o "$scratch/p.tif"
    expect_text err 'pixel size; give it with --em-nm'
}

broken_models() {
    make_case
    size=$(stat -c %s $model)
    head -c $((size / 2)) $model >"$scratch/half.safetensors"
    expect_status 1 "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m "$scratch/half.safetensors" -o "$scratch/o5"
    expect_text err 'half\.safetensors'
    expect_status 1 "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m "$case_dir/mbp.tif" -o "$scratch/o5"
    expect_text err 'mbp\.tif'
    expect_status 1 "$FNR_EXE" predict -m "$scratch/none.safetensors" "$first_tile" -o "$scratch/p.tif"
    expect_text err 'none\.safetensors'
}

bad_tiles_do_not_end_the_run() {
    make_case
    mkdir -p "$scratch/mixed"
    cp "$case_dir"/em/*.tif "$scratch/mixed/"
    head -c 5000 "$first_tile" >"$scratch/mixed/a_cut.tif"
    : >"$scratch/mixed/b_empty.tif"
    echo text >"$scratch/mixed/c_text.TIFF"
    expect_status 3 "$FNR_EXE" "$scratch/mixed" "$case_dir/mbp.tif" -m $model -o "$scratch/o6"
    [ "$(count_verdict failed "$scratch/o6")" -eq 3 ] || fail "three tiles should have failed"
    expect_text "$scratch/o6/transforms.csv" '^"a_cut.tif",failed,".*a_cut\.tif.*'
    expect_text "$scratch/o6/transforms.csv" '^"b_empty.tif",failed,".*b_empty\.tif.*'
    expect_text "$scratch/o6/transforms.csv" '^"c_text.TIFF",failed,".*c_text\.TIFF.*'
    [ "$(($(count_verdict registered "$scratch/o6") + $(count_verdict doubtful "$scratch/o6") + $(count_verdict no-content "$scratch/o6")))" -eq 2 ]
    xmllint --noout --valid "$scratch/o6/trakem2.xml"
}

every_broken_tiff_gets_a_verdict() {
    need_shared data/formats/tiff_bad
    make_case
    mkdir -p "$scratch/bad"
    cp "$FNR_SHARED"/data/formats/tiff_bad/*.tif "$scratch/bad/"
    cp "$first_tile" "$scratch/bad/zz_good.tif"
    n=$(ls "$scratch/bad" | wc -l)
    local status=0
    "$FNR_EXE" "$scratch/bad" "$case_dir/mbp.tif" -m $model -o "$scratch/o7" --em-nm 11.9 >"$scratch/out" 2>"$scratch/err" || status=$?
    [ $status -eq 3 ] || { tail -5 "$scratch/err"; fail "exit status $status"; }
    [ "$(wc -l <"$scratch/o7/transforms.csv")" -eq $((n + 1)) ] || fail "a tile is missing from transforms.csv"
    expect_text "$scratch/o7/transforms.csv" '^"zz_good.tif",(registered|doubtful|no-content),'
    # each reason names its file
    ! grep ',failed,' "$scratch/o7/transforms.csv" | awk -F, '{f=$1; gsub(/"/,"",f); if (index($3, f) == 0) print}' | grep .
}

a_full_disk_is_an_error_and_keeps_the_table() {
    make_case
    # 64 KiB per file: predictions, project and report do not fit, the table of transforms does
    local status=0
    (ulimit -f 64; exec "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/o8") >"$scratch/out" 2>"$scratch/err" || status=$?
    [ $status -eq 1 ] || fail "exit status $status"
    expect_text err 'File too large'
    expect_text err 'not everything could be written'
    [ "$(wc -l <"$scratch/o8/transforms.csv")" -eq 3 ] || fail "finished tiles are missing"
    ! find "$scratch/o8" -name '*tmp*' | grep . || fail "a temporary file was left behind"
}

an_output_folder_that_cannot_be_made() {
    make_case
    echo file >"$scratch/occupied"
    expect_status 1 "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/occupied"
    expect_text err 'occupied'
}

projects_that_do_not_fit() {
    make_case
    echo '<trakem2>' >"$scratch/open.xml"
    expect_status 1 "$FNR_EXE" train "$scratch/open.xml" -o "$scratch/m.safetensors"
    expect_text err 'open\.xml'
    expect_status 1 "$FNR_EXE" train "$case_dir/manual_a.xml" -o "$scratch/m.safetensors" --set images.mbp_match=GFAP
    expect_text err 'GFAP'
    expect_status 1 "$FNR_EXE" train "$first_tile" -o "$scratch/m.safetensors"
}

tiny_net="--steps 1 --set net.base_channels=2 --set net.depth=2 --set net.pixel_nm=60 --set train.patch=16"

images_of_another_size_than_the_project_says() {
    make_case
    sed 's/o_width="512" o_height="512"/o_width="500" o_height="400"/' "$case_dir/manual_a.xml" >"$case_dir/resized.xml"
    expect_status 0 "$FNR_EXE" train "$case_dir/resized.xml" -o "$scratch/resized.safetensors" $tiny_net
    [ "$(grep -c "^warning: .*resized\.xml: patch .* was placed as 500 x 400 px, but .*em/.*\.tif has 512 x 512 px: the file's pixels are used" \
        "$scratch/err")" -eq 2 ] || fail "both tiles should be warned about, and the montage not"
    expect_status 0 "$FNR_EXE" train "$case_dir/manual_a.xml" -o "$scratch/right.safetensors" $tiny_net
    ! grep -q 'was placed as' "$scratch/err" || fail "sizes that agree are warned about"
}

mirrored_placements_are_left_out() {
    make_case
    # x -> 511 - x in the tile: columns (m00, m10) change sign, the origin moves to the other edge; the second tile only
    awk -F'"' -v OFS='"' '/<t2_patch / && /em\// && ++n == 2 {
        for (i = 1; i < NF; i++) if ($i ~ / transform=$/) {
            split($(i + 1), m, /[(),]/)
            $(i + 1) = sprintf("matrix(%.9f,%.9f,%s,%s,%.9f,%.9f)", -m[2], -m[3], m[4], m[5], m[6] + 511 * m[2], m[7] + 511 * m[3])
        } } { print }' "$case_dir/manual_a.xml" >"$case_dir/mirrored.xml"
    ! cmp -s "$case_dir/manual_a.xml" "$case_dir/mirrored.xml" || fail "nothing was mirrored"
    expect_status 0 "$FNR_EXE" train "$case_dir/mirrored.xml" -o "$scratch/mirrored.safetensors" $tiny_net
    expect_text err 'mirrored\.xml: patch ".*" is left out: it is mirrored against the MBP patch'
    expect_text err 'mirrored\.xml: 2 EM patches, 1 new placement'
}

predictions_never_take_the_place_of_an_input() {
    make_case
    mkdir -p "$scratch/p1" "$scratch/p2"
    cp "$first_tile" "$scratch/p1/t.tif"
    cp "$first_tile" "$scratch/p2/t.tif"
    ln -s p1/t.tif "$scratch/p.tif"
    for out in "$scratch/p1/t.tif" "$scratch/p.tif"; do
        expect_status 2 "$FNR_EXE" predict -m $model "$scratch/p1/t.tif" -o "$out"
        expect_text err 'would overwrite the input'
    done
    expect_status 2 "$FNR_EXE" predict -m $model "$scratch/p1/t.tif" "$scratch/p2/t.tif" -o "$scratch/p3"
    expect_text err 'p1/t\.tif and .*p2/t\.tif would both be predicted into'
    expect_status 2 "$FNR_EXE" predict -m $model "$scratch/p1/t.tif" "$scratch/p2/t.tif" -o "$scratch/p3.tif"
    expect_text err 'p3\.tif: 2 images need a folder'
    expect_status 0 "$FNR_EXE" predict -m $model "$scratch/p1/t.tif" -o "$scratch/p3" --dry-run
    [ ! -e "$scratch/p3" ] || fail "--dry-run made a folder"
    cmp "$scratch/p1/t.tif" "$first_tile"
}

the_montage_among_the_tiles() {
    make_case
    mkdir -p "$scratch/mix"
    cp "$case_dir/mbp.tif" "$scratch/mix/"
    expect_status 1 "$FNR_EXE" "$scratch/mix" "$scratch/mix/../mix/mbp.tif" -m $model -o "$scratch/o6"
    expect_text err 'mix: holds no EM tiles beside the montage'
    expect_status 2 "$FNR_EXE" "$case_dir/em" "$scratch/mix/mbp.tif" -m $model -o "$scratch/o6" --if-page 3
    expect_text err 'page 3 was asked for with --if-page, but there is only 1'
    ln -s mbp.tif "$scratch/mix/link.tif"
    head -c 500 "$first_tile" >"$scratch/mix/cut.tif"
    expect_status 1 "$FNR_EXE" "$scratch/mix" "$scratch/mix/link.tif" -m $model -o "$scratch/o6"
    [ "$(wc -l <"$scratch/o6/transforms.csv")" -eq 2 ] || fail "a link to the montage was taken for a tile"
    cp "$scratch/mix/mbp.tif" "$scratch/mix/copy of it.tif"
    expect_status 1 "$FNR_EXE" "$scratch/mix" "$case_dir/mbp.tif" -m $model -o "$scratch/o6"
    [ "$(wc -l <"$scratch/o6/transforms.csv")" -eq 2 ] || fail "a copy of the montage was taken for a tile"
    expect_text err 'mix/copy of it\.tif is a copy of the montage: left out'
    expect_text "$scratch/o6/transforms.csv" '^"cut.tif",failed,".*cut\.tif.*",,,,,,,,,,,0,0,*$' # no numbers where nothing was measured
}

absurd_pixel_sizes_fail_at_once() {
    make_case
    for sizes in "--if-nm 1" "--em-nm 1000" "--if-nm 0.1" "--if-nm 10000" "--em-nm 1000 --if-nm 1000"; do
        expect_status 1 timeout 60 "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/absurd" $sizes
        [ "$(count_verdict failed "$scratch/absurd")" -eq 2 ] || fail "$sizes: not every tile failed"
        expect_text err '^error: .*r1-c1\.tif: 512 x 512 px of .* nm \(.*\) are .* um, the montage .*mbp\.tif is .* nm \(.*\), .*are the pixel sizes right'
    done
    expect_text err '1000 nm \(--em-nm; the file says 11\.9 nm\).*1000 nm \(--if-nm; the file says 100 nm\)'
    expect_status 0 "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/none" --if-nm 1 --dry-run
    expect_text err 'r1-c1\.tif: would fail: .*--if-nm; the file says 100 nm'
}

tap_run missing_or_empty_folders broken_montages montage_of_zeros_or_rgb pixel_size_unknown broken_models bad_tiles_do_not_end_the_run \
    every_broken_tiff_gets_a_verdict a_full_disk_is_an_error_and_keeps_the_table an_output_folder_that_cannot_be_made projects_that_do_not_fit \
    images_of_another_size_than_the_project_says mirrored_placements_are_left_out \
    predictions_never_take_the_place_of_an_input the_montage_among_the_tiles absurd_pixel_sizes_fail_at_once
