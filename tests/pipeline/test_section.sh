#!/bin/bash
# The main job from end to end on a synthetic section with exact truth: outputs, resumption, equality, training, prediction.
. tests/support/tap.sh

model=examples/models/demo.safetensors
case_dir=$scratch/case

# A finished run: status 3 says that some tile is doubtful, which is fine here.
finishes() {
    local status=0
    "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
    [ $status -eq 0 ] || [ $status -eq 3 ] || { tail -5 "$scratch/err" | sed 's/^/# /'; fail "exit status $status: $*"; }
}

make_case() {
    [ -d "$case_dir" ] || "$FNR_EXE" simulate "$case_dir" -q --seed 11 --rows 2 --cols 2 --tile-px 640 || fail "simulate failed"
}
register_case() {
    make_case
    [ -e "$scratch/out1/transforms.csv" ] || finishes "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/out1"
}

all_outputs_are_there_and_valid() {
    register_case
    head -1 "$scratch/out1/transforms.csv" | grep -qE '^tile,verdict,reason,transform,scale,rotation_deg,score'
    [ "$(wc -l <"$scratch/out1/transforms.csv")" -eq 5 ]
    xmllint --noout --valid "$scratch/out1/trakem2.xml"
    xmllint --html --noout "$scratch/out1/report.html" 2>/dev/null
    ! grep -qE '(src|href)="https?:' "$scratch/out1/report.html" || fail "the report is not self-contained"
    grep -q '"peak_rss_mib"' "$scratch/out1/run.json"
    # paths in the project are relative to it and lead to the files
    (cd "$scratch/out1" && for f in $(grep -o 'file_path="[^"]*"' trakem2.xml | cut -d'"' -f2); do
        case $f in /*) echo "# absolute: $f"; exit 1 ;; esac
        [ -e "$f" ] || { echo "# missing: $f"; exit 1; }
    done)
}

registered_tiles_lie_where_the_truth_says() {
    register_case
    expect_status 0 "$FNR_EXE" evaluate "$scratch/out1" --truth "$case_dir/truth.csv"
    expect_text out 'further than 5 px from the truth: 0$'
    expect_status 0 "$FNR_EXE" evaluate "$scratch/out1" --truth "$case_dir/truth.csv" --success-px 1.16 # the paper's mean error
    expect_text out 'further than 1.16 px from the truth: 0$'
    registered=$(grep -c ',registered,' "$scratch/out1/transforms.csv")
    [ "$registered" -ge 3 ] || fail "only $registered of 4 tiles registered"
    # our own TrakEM2 project says the same as the table
    expect_status 0 "$FNR_EXE" evaluate "$scratch/out1/trakem2.xml" --truth "$scratch/out1/transforms.csv"
    expect_text out 'worst 0\.000 IF px'
}

a_second_run_reuses_everything() {
    register_case
    cp "$scratch/out1/transforms.csv" "$scratch/before.csv"
    finishes "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/out1" --dry-run
    [ "$(grep -c 'would run nothing' "$scratch/err")" -eq 4 ] || fail "a finished tile would run again"
    finishes "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/out1"
    cmp "$scratch/before.csv" "$scratch/out1/transforms.csv"
    [ "$(grep -c '"reused":.*true' "$scratch/out1/run.json")" -eq 4 ]
    finishes "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/out1" --dry-run --set register.min_score=0.41
    [ "$(grep -c 'would run register' "$scratch/err")" -eq 4 ] || fail "a changed setting must register again, not predict"
}

a_setting_that_the_model_overrides_changes_nothing() {
    register_case
    finishes "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/out1" --dry-run --set net.pixel_nm=33
    [ "$(grep -c 'would run nothing' "$scratch/err")" -eq 4 ] || fail "the model tells its own pixel size: nothing has to be predicted again"
}

# Ctrl-C: what is finished is written, the rest is marked, and the same command goes on from there.
a_stopped_run_shows_what_it_has() {
    make_case
    local out=$scratch/stopped status=0
    local reviewed
    reviewed=$(ls "$case_dir/em" | head -1) # tiles are looked at in this order
    { printf 'tile,decision,note\n'; for t in $(ls "$case_dir/em"); do echo "$t,reject,blurred"; done; } >"$scratch/review.csv"
    "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$out" -q --review "$scratch/review.csv" 2>"$scratch/err" &
    pid=$!
    for _ in $(seq 600); do
        [ "$(ls "$out/register" 2>/dev/null | grep -c json)" -ge 1 ] && break
        sleep 0.02
    done
    kill -INT $pid
    wait $pid || status=$?
    [ $status -eq 1 ] || fail "exit status $status after Ctrl-C"
    [ "$(cell "$out/transforms.csv" "$reviewed" 2)" = failed ] || fail "the decision about a finished tile is followed in a stopped run too"
    expect_text err '^error: stopped after [123] of 4 tiles; .*stopped/transforms\.csv, .* hold these; the same command continues'
    [ "$(wc -l <"$out/transforms.csv")" -eq 5 ]
    [ "$(grep -c ',unfinished,"the run was stopped before this tile; the same command continues",' "$out/transforms.csv")" -ge 1 ]
    [ "$(grep -cE ',failed,"rejected by hand: blurred"' "$out/transforms.csv")" -ge 1 ]
    xmllint --noout --valid "$out/trakem2.xml"
    xmllint --noout "$out/report.html"
    expect_text "$out/report.html" 'unfinished: the run was stopped'
    expect_text "$out/run.json" '"finished":.*false'
    finishes "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$out"
    register_case
    cmp "$scratch/out1/transforms.csv" "$out/transforms.csv"
    expect_text "$out/run.json" '"finished":.*true'
}

a_killed_run_continues() {
    make_case
    "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/out2" 2>/dev/null &
    pid=$!
    for _ in $(seq 600); do
        [ "$(ls "$scratch/out2/register" 2>/dev/null | grep -c json)" -ge 1 ] && break
        sleep 0.05
    done
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    finishes "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/out2"
    register_case
    # times differ, results do not
    cmp "$scratch/out1/transforms.csv" "$scratch/out2/transforms.csv"
}

a_prediction_that_is_not_the_recorded_one_is_made_again() {
    register_case
    cp -r "$scratch/out1" "$scratch/mixed"
    set -- "$scratch"/mixed/predict/*.tif
    cp "$1" "$2" # as after a run with another model that was killed between the file and its record
    expect_status 0 "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/mixed" --dry-run
    [ "$(grep -c 'would run predict' "$scratch/err")" -eq 1 ] || fail "a prediction of another tile would be used"
    finishes "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/mixed"
    cmp "$2" "$scratch/out1/predict/$(basename "$2")"
    sed -i 's/"dtype":.*/"dtype": 77777,/' "${1%.prediction.tif}.json" # a record that parses, but cannot be
    finishes "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/mixed"
    ! grep -q 77777 "${1%.prediction.tif}.json" || fail "an impossible record was believed"
    cmp "$scratch/out1/transforms.csv" "$scratch/mixed/transforms.csv"
}

threads_change_nothing() {
    register_case
    finishes "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/out3" --threads 1
    cmp "$scratch/out1/transforms.csv" "$scratch/out3/transforms.csv"
}

prediction_does_not_depend_on_the_tile_size() {
    make_case
    tile=$(ls "$case_dir"/em/*.tif | head -1)
    expect_status 0 "$FNR_EXE" predict -m $model "$tile" -o "$scratch/p0.tif"
    for size in 16 48 128; do
        expect_status 0 "$FNR_EXE" predict -m $model "$tile" -o "$scratch/p1.tif" --tile $size
        cmp "$scratch/p0.tif" "$scratch/p1.tif" || fail "tile size $size changes the prediction"
    done
    expect_status 0 "$FNR_EXE" predict -m $model "$tile" -o "$scratch/p16.tif" --type uint16
    # the main job saw the same numbers
    register_case
    cmp "$scratch/p0.tif" "$scratch/out1/predict/$(basename "$tile").prediction.tif" || fail "predict and register differ"
}

cell() { # transforms.csv, tile, column number; the reason, which may hold commas, is left out
    sed -E 's/^("[^"]*",[^,]*,)"[^"]*"/\1/' "$1" | awk -F, -v tile="\"$2\"" -v column="$3" '$1 == tile { print $column }'
}

decisions_of_a_person_are_followed() {
    register_case
    cp -r "$scratch/out1" "$scratch/reviewed"
    set -- $(cell "$scratch/out1/transforms.csv" Tile_r1-c1.tif 4)
    place="$1 $2 $3 $4 600.5 $6" # not where the program has it
    { echo 'tile,decision,note,time,transform'
      echo "Tile_r1-c1.tif,accept,seen,2026-01-02T03:04:05Z,$place"
      echo 'Tile_r1-c2.tif,reject,blurred,,'
      echo 'Tile_r2-c1.tif,,only a note,,'; } >"$scratch/review.csv"
    finishes "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/reviewed" --review "$scratch/review.csv"
    table=$scratch/reviewed/transforms.csv
    [ "$(cell "$table" Tile_r1-c1.tif 2)" = registered ] && [ "$(cell "$table" Tile_r1-c1.tif 16)" = accepted ]
    [ "$(cell "$table" Tile_r1-c1.tif 4)" = "$place" ] || fail "an accepted tile keeps the place that was looked at"
    expect_text "$table" '^"Tile_r1-c1.tif",registered,"accepted by hand: seen'
    expect_text "$table" '^"Tile_r1-c2.tif",failed,"rejected by hand: blurred",,'
    [ -z "$(cell "$table" Tile_r2-c1.tif 16)" ]
    grep -q 'Tile_r1-c1' "$scratch/reviewed/trakem2.xml" && ! grep -q 'Tile_r1-c2' "$scratch/reviewed/trakem2.xml"
    [ "$(grep -c '"reused":.*true' "$scratch/reviewed/run.json")" -eq 4 ] || fail "a review needs no new predictions"
    expect_text "$scratch/reviewed/run.json" '"review":.*"accepted"'
    expect_text "$scratch/reviewed/run.json" 'review\.csv'
    # without the review everything is as before
    finishes "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/reviewed"
    cmp "$table" "$scratch/out1/transforms.csv"
    # who was rejected has no say about the others
    agreeing() { grep -oE '[0-9]+ tiles agree on rotation' "$scratch/err" | cut -d' ' -f1; }
    all=$(agreeing)
    printf 'tile,decision\nTile_r1-c2.tif,REJECTED\n' >"$scratch/review.csv"
    finishes "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/reviewed" --review "$scratch/review.csv"
    [ "$(agreeing)" -eq $((all - 1)) ] || fail "$(agreeing) of $all tiles agree after one was rejected"
    printf 'tile,decision\nTile_r9-c9.tif,accept\n' >"$scratch/review.csv"
    expect_status 2 "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/reviewed" --review "$scratch/review.csv"
    expect_text err 'not in .*: Tile_r9-c9\.tif'
    printf 'tile,decision\nTile_r1-c1.tif,maybe\n' >"$scratch/review.csv"
    expect_status 1 "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/reviewed" --review "$scratch/review.csv"
    expect_text err 'row 2: the decision is "maybe"'
}

# The demo's network with a second output in front of the real one (its negative): channel 2 is what the demo predicts.
two_headed() {
    python3 - "$1" "$2" <<'EOF'
import json, struct, sys
data = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", data[:8])[0]
head, body = json.loads(data[8:8 + n]), data[8 + n:]
meta, out, blob = head.pop("__metadata__"), {}, b""
meta["fnet.out_channels"] = "2"
for name, t in head.items():
    a, b = t["data_offsets"]
    raw = body[a:b]
    if name.startswith("conv_out."):
        values = struct.unpack("<%df" % (len(raw) // 4), raw)
        raw = struct.pack("<%df" % len(values), *(-v for v in values)) + raw
        t["shape"][0] = 2
    out[name] = dict(t, data_offsets=[len(blob), len(blob) + len(raw)])
    blob += raw
text = json.dumps(dict(out, __metadata__=meta)).encode()
text += b" " * (-len(text) % 8)
open(sys.argv[2], "wb").write(struct.pack("<Q", len(text)) + text + blob)
EOF
}

any_output_channel_can_be_registered() {
    command -v python3 >/dev/null || skip "no python3"
    register_case
    two_headed $model "$scratch/two.safetensors"
    finishes "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m "$scratch/two.safetensors" -o "$scratch/out2" --set register.channel=2
    # the convolutions of two heads may round otherwise than that of one: a thousandth of a pixel
    expect_status 0 "$FNR_EXE" evaluate "$scratch/out2" --truth "$scratch/out1/transforms.csv"
    expect_text out 'worst 0\.00[01] IF px'
    expect_status 2 "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m "$scratch/two.safetensors" -o "$scratch/out2" --set register.channel=3
    expect_text err 'predicts 2 channels: register\.channel = 3 is none of them'
    # twice the same model under two names is no ensemble; with another it is, and the record names both
    expect_status 2 "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -m $model -o "$scratch/out3"
    expect_text err 'are the same model'
    LC_ALL=C sed 's/Tile_r2-c3/Tile_r9-c9/' $model >"$scratch/other.safetensors" # another record, the same weights
    finishes "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -m "$scratch/other.safetensors" -o "$scratch/out3"
    for f in $model "$scratch/other.safetensors"; do grep -q "$(sha256sum <"$f" | cut -d' ' -f1)" "$scratch/out3/run.json"; done
    expect_status 0 "$FNR_EXE" evaluate "$scratch/out3" --truth "$scratch/out1/transforms.csv"
    expect_text out 'worst 0\.00[01] IF px' # the mean of a network with itself
}

# The tensors of a model without its header, whose record holds the time.
tensors_of() {
    local header
    header=$(od -An -t u8 -N 8 "$1")
    tail -c +$((header + 9)) "$1"
}

a_killed_training_resumes_bit_for_bit() {
    make_case
    recipe="--set net.base_channels=4 --set net.depth=2 --set net.pixel_nm=60 --set train.patch=32 --set train.batch=4 --set train.validate_every=20"
    projects="$case_dir/manual_a.xml $case_dir/manual_b.xml"
    expect_status 0 "$FNR_EXE" train $projects -o "$scratch/straight.safetensors" $recipe --steps 120
    for signal in KILL INT; do
        "$FNR_EXE" train $projects -o "$scratch/$signal.safetensors" $recipe --steps 120 --set train.checkpoint_s=0 2>/dev/null &
        local pid=$!
        for _ in $(seq 1000); do [ -e "$scratch/$signal.last.safetensors" ] && break; sleep 0.01; done
        kill -$signal $pid 2>/dev/null || true
        wait $pid 2>/dev/null || true
        expect_status 0 "$FNR_EXE" train $projects -o "$scratch/$signal.safetensors" $recipe --steps 120 --resume
        for state in "" .last; do
            tensors_of "$scratch/straight$state.safetensors" >"$scratch/t0"
            tensors_of "$scratch/$signal$state.safetensors" >"$scratch/t1"
            cmp "$scratch/t0" "$scratch/t1" || fail "after SIG$signal and --resume the ${state:-best} state differs"
        done
    done
}

training_runs_stops_and_resumes() {
    make_case
    recipe="--set net.base_channels=4 --set net.depth=2 --set net.pixel_nm=60 --set train.patch=32 --set train.batch=4 --set train.validate_every=10"
    expect_status 0 "$FNR_EXE" train "$case_dir/manual_a.xml" "$case_dir/manual_b.xml" -o "$scratch/whole.safetensors" $recipe --steps 60
    expect_text "$scratch/whole.loss.csv" '^60,'
    expect_status 2 "$FNR_EXE" train "$case_dir/manual_a.xml" -o "$scratch/whole.safetensors" $recipe --steps 60
    expect_text err 'continue it with --resume'
    # stopped by Ctrl-C at some point, then resumed
    "$FNR_EXE" train "$case_dir/manual_a.xml" "$case_dir/manual_b.xml" -o "$scratch/parts.safetensors" $recipe --steps 60 --set train.checkpoint_s=0 2>"$scratch/err" &
    pid=$!
    for _ in $(seq 600); do [ -e "$scratch/parts.last.safetensors" ] && break; sleep 0.02; done
    local status=0
    kill -INT $pid
    wait $pid || status=$?
    [ $status -eq 1 ] || [ $status -eq 0 ] || fail "exit status $status after Ctrl-C"
    expect_status 0 "$FNR_EXE" train "$case_dir/manual_a.xml" "$case_dir/manual_b.xml" -o "$scratch/parts.safetensors" $recipe --steps 60 --set train.checkpoint_s=0 --resume
    expect_status 2 "$FNR_EXE" train "$case_dir/manual_a.xml" "$case_dir/manual_b.xml" -o "$scratch/parts.safetensors" $recipe --steps 60 --resume --set train.lr=0.5
    expect_text err 'train\.lr = 0\.001, now it is 0\.5'
    expect_status 2 "$FNR_EXE" train "$case_dir/manual_b.xml" -o "$scratch/parts.safetensors" $recipe --steps 60 --set train.checkpoint_s=0 --resume
    expect_text err 'parts\.last\.safetensors was made from other projects .*manual_a\.xml, now manual_b\.xml'
    expect_status 0 "$FNR_EXE" train "$case_dir/manual_a.xml" -o "$scratch/new/folder/m.safetensors" $recipe --steps 2
    [ -s "$scratch/new/folder/m.safetensors" ]
}

tap_run all_outputs_are_there_and_valid registered_tiles_lie_where_the_truth_says a_second_run_reuses_everything \
    a_setting_that_the_model_overrides_changes_nothing a_stopped_run_shows_what_it_has a_killed_run_continues \
    a_prediction_that_is_not_the_recorded_one_is_made_again threads_change_nothing \
    decisions_of_a_person_are_followed prediction_does_not_depend_on_the_tile_size any_output_channel_can_be_registered \
    a_killed_training_resumes_bit_for_bit training_runs_stops_and_resumes
