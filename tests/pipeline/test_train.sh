#!/bin/bash
# The command `train` around the loop: what it writes, what it refuses, what it continues.
. tests/support/tap.sh

case_dir=$scratch/case
recipe="--set net.base_channels=2 --set net.depth=1 --set net.pixel_nm=90 --set train.patch=16 --set train.batch=2 --set train.validate_every=5"
recipe+=" --set data.validation_fraction=0.3 --threads 1"

make_case() {
    [ -d "$case_dir" ] || "$FNR_EXE" simulate "$case_dir" -q --seed 11 --rows 2 --cols 2 --tile-px 640 || fail "simulate failed"
}
train() { "$FNR_EXE" train "$case_dir/manual_a.xml" $recipe "$@"; }

its_course_is_told_in_a_table_a_picture_and_a_record() {
    make_case
    expect_status 0 train -o "$scratch/m.safetensors" --steps 20
    expect_text err 'wrote .*m\.safetensors \(all 20 steps done\)'
    expect_text "$scratch/m.loss.csv" '^20,'
    xmllint --noout "$scratch/m.loss.svg"
    expect_text "$scratch/m.loss.svg" 'best r -?0\.[0-9]{4} at step (5|10|15|20)<'
    # four validations: a point, and a line to each of the other three
    [ "$(grep -oE 'class="r" d="M[^"]*"' "$scratch/m.loss.svg" | grep -o L | wc -l)" -eq 3 ] || fail "the curve of r has not four points"
    expect_text "$scratch/m.train.json" '"ended":.*"all 20 steps done"'
    expect_text "$scratch/m.train.json" "$(sha256sum "$scratch/m.safetensors" | cut -d' ' -f1)"
    expect_text "$scratch/m.train.json" "$(sha256sum "$case_dir/mbp.tif" | cut -d' ' -f1)"
    ! grep -aq "$scratch" "$scratch/m.safetensors" || fail "the weights tell the folder they were made in"
}

an_earlier_model_is_not_replaced_without_a_word() {
    make_case
    echo precious >"$scratch/old.safetensors"
    expect_status 2 train -o "$scratch/old.safetensors" --steps 5
    expect_text err 'old\.safetensors exists: give another name to -o, or replace it with --force'
    [ "$(cat "$scratch/old.safetensors")" = precious ]
    expect_status 2 train -o "$scratch/old.safetensors" --steps 5 --resume
    expect_text err '--resume: .*old\.last\.safetensors does not exist'
    expect_status 0 train -o "$scratch/old.safetensors" --steps 5 --force
    expect_status 2 train -o "$scratch/old.safetensors" --steps 5
    expect_text err 'old\.last\.safetensors holds an earlier training: continue it with --resume, or replace it with --force'
    expect_status 0 train -o "$scratch/old.safetensors" --steps 4 --force
    expect_status 2 train -o "$scratch/old.safetensors" --steps 5 --force --resume
}

resume_wants_the_same_images() {
    make_case
    cp -r "$case_dir" "$scratch/copy"
    tile=$(ls "$scratch/copy/em" | head -1)
    copied() { "$FNR_EXE" train "$scratch/copy/manual_a.xml" $recipe -o "$scratch/c.safetensors" --steps 10 "$@"; }
    expect_status 0 copied
    touch "$scratch/copy/em/$tile" # a new date alone is no change
    expect_status 0 copied --resume
    cp "$scratch/copy/em/$tile" "$scratch/kept"
    # one byte in the middle of the file
    printf '\x55' | dd of="$scratch/copy/em/$tile" bs=1 seek=100000 conv=notrunc 2>/dev/null
    expect_status 2 copied --resume
    expect_text err "$tile has changed since .*c\.last\.safetensors was made from it"
    cp "$scratch/kept" "$scratch/copy/em/$tile"
    expect_status 0 copied --resume
    mv "$scratch/copy/mbp.tif" "$scratch/away.tif"
    expect_status 1 copied --resume
    expect_text err 'mbp\.tif'
}

patience_ends_a_run() {
    make_case
    expect_status 0 train -o "$scratch/early.safetensors" --steps 200 --set train.patience=2 --set train.lr=0.1 --set train.lr_schedule=constant
    expect_text err 'early\.safetensors \(stopped early at step [0-9]+: validation r did not rise for 2 validations\)'
    expect_text "$scratch/early.train.json" '"ended":.*stopped early at step'
    expect_status 0 train -o "$scratch/early.safetensors" --steps 200 --set train.patience=2 --set train.lr=0.1 --set train.lr_schedule=constant --resume
    expect_status 0 train -o "$scratch/never.safetensors" --steps 5 --set train.patience=2 --set data.validation_fraction=0
    expect_text err 'train\.patience = 2 has no effect'
}

tap_run its_course_is_told_in_a_table_a_picture_and_a_record an_earlier_model_is_not_replaced_without_a_word resume_wants_the_same_images \
    patience_ends_a_run
