#!/bin/bash
# Models in other programs' formats: round trips on files that PyTorch wrote, and PyTorch's opinion of what we write.
. tests/support/tap.sh
net=$FNR_SHARED/fixtures/net net64=$FNR_SHARED/fixtures/net64

python=
for p in /usr/bin/python3 python3; do
    [ -n "$python" ] || ! "$p" -c 'import torch' 2>/dev/null || python=$p
done
need_torch() { [ -n "$python" ] || skip "no Python with PyTorch"; }
convert() { expect_status 0 "$FNR_EXE" convert -q "$@"; }
torch() { expect_status 0 "$python" tests/cli/torch_check.py "$@"; }

every_checkpoint_round_trips_to_the_same_bytes() {
    need_shared fixtures/net
    local p
    for p in "$net"/*.model.p "$net64"/*/model*.p; do
        convert "$p" "$scratch/a.safetensors" --pixel-nm 10
        convert "$scratch/a.safetensors" "$scratch/current.p"
        convert "$scratch/a.safetensors" "$scratch/paper.p" --paper
        convert "$scratch/current.p" "$scratch/b.safetensors"
        convert "$scratch/paper.p" "$scratch/c.safetensors"
        cmp "$scratch/a.safetensors" "$scratch/b.safetensors"
        cmp "$scratch/a.safetensors" "$scratch/c.safetensors"
        convert "$scratch/a.safetensors" "$scratch/weights.safetensors" --weights-only
        convert "$scratch/a.safetensors" "$scratch/a.onnx"
        convert "$scratch/a.onnx" "$scratch/d.safetensors"
        cmp "$scratch/weights.safetensors" "$scratch/d.safetensors"
    done
}

pytorch_reads_what_we_write() {
    need_shared fixtures/net64
    need_torch
    local case
    for case in 2d_m4d2 3d_m4d2; do
        convert "$net64/$case/model.p" "$scratch/a.safetensors" --pixel-nm 10
        convert "$scratch/a.safetensors" "$scratch/current.p"
        convert "$scratch/a.safetensors" "$scratch/paper.p" --paper
        torch same "$net64/$case/model.p" "$scratch/current.p"
        torch same "$net64/$case/model.p" "$scratch/paper.p"
        torch forward "$scratch/current.p" "$net64/$case"
    done
}

pytorchs_onnx_exports_are_read() {
    need_shared fixtures/net64
    need_torch
    torch export "$net64/2d_m4d2/model.p" "$scratch/torch"
    convert "$scratch/torch.plain.onnx" "$scratch/plain.safetensors" --pixel-nm 10
    convert "$scratch/torch.folded.onnx" "$scratch/folded.safetensors" --pixel-nm 10
    convert "$net64/2d_m4d2/model.p" "$scratch/weights.safetensors" --weights-only --pixel-nm 10
    # Equal but for the header, whose record names the source.
    cmp <(tail -c 32000 "$scratch/plain.safetensors") <(tail -c 32000 "$scratch/weights.safetensors")
}

wrong_use_is_explained() {
    expect_status 2 "$FNR_EXE" convert one.p
    expect_text err 'expected two files, got 1 argument;'
    expect_status 2 "$FNR_EXE" convert a.safetensors b.txt
    expect_text err 'b\.txt: the ending tells the format'
    expect_status 2 "$FNR_EXE" convert a.safetensors b.p --pixel-nm x
    expect_status 1 "$FNR_EXE" convert "$scratch/absent.p" "$scratch/b.safetensors"
    expect_text err 'absent\.p'
    echo "Dear editor, this is a letter." >"$scratch/letter"
    expect_status 1 "$FNR_EXE" convert "$scratch/letter" "$scratch/letter.safetensors"
    expect_text err 'letter: no model: neither safetensors nor a PyTorch checkpoint, ONNX or a bioimage\.io package'
    [ ! -e "$scratch/letter.safetensors" ]
}

a_pickle_that_runs_code_is_refused() {
    # The magic number, then os.system('touch SCRATCH/owned').
    printf '\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\0\0\0little_endian\x88s.' >"$scratch/evil.p"
    printf "\\x80\\x02cposix\nsystem\n(X\\x05\\0\\0\\0touchtR." >>"$scratch/evil.p"
    expect_status 1 "$FNR_EXE" convert "$scratch/evil.p" "$scratch/evil.safetensors"
    expect_text err "evil\.p: byte .*refused: it asks for Python's 'posix\.system'"
    [ ! -e "$scratch/evil.safetensors" ]
}

a_package_holds_what_its_description_says() {
    command -v unzip >/dev/null || skip "no unzip"
    need_shared fixtures/net64
    local source sha
    convert "$net64/2d_m4d2/model.p" "$scratch/a.safetensors" --weights-only --pixel-nm 10
    convert "$scratch/a.safetensors" "$scratch/a.zip" --author 'A. "B" C' --license CC-BY-4.0 --device ref
    unzip -tq "$scratch/a.zip" >/dev/null
    unzip -p "$scratch/a.zip" model.safetensors | cmp - "$scratch/a.safetensors"
    unzip -p "$scratch/a.zip" bioimageio.yaml >"$scratch/yaml"
    grep -A1 'source: ' "$scratch/yaml" | sed -n 's/.*source: //p; s/.*sha256: //p' | while read -r source && read -r sha; do
        [ "$(unzip -p "$scratch/a.zip" "$source" | sha256sum | cut -d' ' -f1)" = "$sha" ] || fail "another digest: $source"
        echo "$source"
    done >"$scratch/sources"
    [ "$(wc -l <"$scratch/sources")" -eq 4 ] # both tensors, weights, attachment
    expect_text "$scratch/yaml" '^- name: "A\. \\"B\\" C"'
    convert "$scratch/a.zip" "$scratch/b.safetensors"
    cmp "$scratch/a.safetensors" "$scratch/b.safetensors"
    expect_status 2 "$FNR_EXE" convert "$scratch/a.safetensors" "$scratch/b.zip" --name 'no/slashes'
    expect_text err 'takes 5 to 128 letters'
}

info_explains_models() {
    need_shared fixtures/net64
    convert "$net64/2d_m4d2/model.p" "$scratch/a.safetensors" --pixel-nm 12.5
    expect_status 0 "$FNR_EXE" info "$scratch/a.safetensors" "$net64/3d_m4d2/model.p"
    expect_text out '2D U-Net .*1 channel in, 1 out, 4 base channels, depth 2'
    expect_text out '^parameters +7969 trained, 208 running' # as the fixtures' README counts them
    expect_text out '^pixel size +12\.5 nm'
    expect_text out '^sees +24 px \(0\.3 um\)' # 2 -> 2*2+5 -> 2*9+5, and 1 for conv_out
    expect_text out 'state after step 3'
    expect_text out '^converted_from .*2d_m4d2/model\.p'
    expect_text out '3D U-Net'
    expect_text out '^parameters +22321 trained'
}

info_explains_images_and_projects() {
    # What tifffile says of the same files.
    expect_status 0 "$FNR_EXE" info tests/fuzz/corpus_tiff/imagej.tif tests/fuzz/corpus_tiff/resolution.tif tests/fuzz/corpus_tiff/lzw.tif
    expect_text out '^size +9 x 7 px, 3 pages'
    expect_text out '^pixels +16-bit unsigned'
    expect_text out "^pixel size +100 x 100 nm, from ImageJ's description"
    expect_text out '^pixel size +11\.9 x 11\.9 nm, from the resolution tags'
    expect_text out 'LZW'
    expect_status 0 "$FNR_EXE" simulate -q "$scratch/case" --rows 2 --cols 2 --tile-px 768
    local n=$(grep -c "<t2_patch " "$scratch/case/manual_a.xml") # the MBP patch and the EM patches over it
    [ "$n" -ge 2 ]
    expect_status 0 "$FNR_EXE" info "$scratch/case/manual_a.xml"
    expect_text out "^patches +$n in 1 layer"
    expect_text out "^training pairs +$((n - 1)) EM patch"
    expect_status 1 "$FNR_EXE" info "$scratch/case"
    expect_text err 'it is a directory'
    expect_status 1 "$FNR_EXE" info tests/cli/test_convert.sh
    expect_text err 'neither a model .* nor a TIFF, nor a TrakEM2 project'
}

tap_run every_checkpoint_round_trips_to_the_same_bytes pytorch_reads_what_we_write pytorchs_onnx_exports_are_read wrong_use_is_explained \
    a_pickle_that_runs_code_is_refused a_package_holds_what_its_description_says info_explains_models info_explains_images_and_projects
