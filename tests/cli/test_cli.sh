#!/bin/bash
# The command line: help at every level, settings, messages and exit status.
. tests/support/tap.sh

commands="register train predict evaluate simulate convert info"

help_at_every_level() {
    expect_status 0 "$FNR_EXE" --help
    for c in $commands; do expect_text out "^  $c "; done
    expect_status 0 "$FNR_EXE" --version
    expect_text out '^fnet-register [0-9]+\.[0-9]+'
    for c in $commands; do
        expect_status 0 "$FNR_EXE" "$c" --help
        expect_text out '^usage: fnet-register'
        expect_text out '--threads N'
    done
    expect_status 2 "$FNR_EXE"
}

wrong_usage_is_explained() {
    expect_status 2 "$FNR_EXE" train --no-such-option
    expect_text err '--no-such-option: unknown option; see .fnet-register train --help'
    expect_status 2 "$FNR_EXE" em mbp.tif --no-such-option # behind words that are no options
    expect_text err ': --no-such-option: unknown option'
    expect_status 2 "$FNR_EXE" em mbp.tif -nZ
    expect_text err ': -Z: unknown option'
    expect_status 2 "$FNR_EXE" predict -m
    expect_text err ': -m: the argument is missing'
    expect_status 2 "$FNR_EXE" em mbp.tif -m x -o "" # an unset variable must not mean the working folder
    expect_text err ' --output: its argument is empty'
    expect_status 2 "$FNR_EXE" "" mbp.tif -m x -o y
    expect_text err 'argument 1 is empty'
    expect_status 2 "$FNR_EXE" one_folder -m x -o y
    expect_text err 'expected a folder of EM tiles and one MBP image, got 1 argument'
    expect_status 2 "$FNR_EXE" a b -o y
    expect_text err '-m MODEL is missing'
    expect_status 2 "$FNR_EXE" trian p.xml
    expect_text err '-m MODEL is missing \(trian is neither a command nor a folder\)'
    expect_status 2 "$FNR_EXE" trian p.xml q.xml
    expect_text err 'got 3 arguments \(trian is neither a command nor a folder\)'
    expect_status 2 "$FNR_EXE" train -o m.safetensors
    expect_text err 'at least one TrakEM2 project'
    expect_status 2 "$FNR_EXE" predict -m m -o o --type float64 x.tif
    expect_text err 'write float32 or uint16'
    expect_status 2 "$FNR_EXE" simulate "$scratch/s" --rows many
    expect_text err '--rows many: not a number'
    expect_status 2 "$FNR_EXE" simulate "$scratch/s" --rows 1.5
    expect_text err '--rows 1\.5: not a whole number'
    expect_status 2 "$FNR_EXE" em mbp.tif -m x -o y --dry-run=3
    expect_text err ': --dry-run=3: --dry-run takes no value; see'
    expect_status 2 "$FNR_EXE" em mbp.tif --modle x
    expect_text err ': --modle: unknown option \(did you mean --model\?\)'
    expect_status 2 "$FNR_EXE" em mbp.tif --if 100
    expect_text err ': --if: may mean --if-nm or --if-page; write it out'
}

options_before_the_command() {
    expect_status 0 "$FNR_EXE" -q --threads 1 --log "$scratch/log" -t2 simulate "$scratch/before" --rows 1 --cols 1 --tile-px 128
    [ -s "$scratch/before/truth.csv" ] && [ ! -s "$scratch/err" ] && [ -s "$scratch/log" ]
    expect_status 0 "$FNR_EXE" --quiet train --help
    expect_text out '^usage: fnet-register train '
    expect_status 0 "$FNR_EXE" help train
    expect_text out '^usage: fnet-register train '
    expect_status 2 "$FNR_EXE" help trian
    expect_text err 'no command trian'
    # the argument of an option is no command
    expect_status 1 "$FNR_EXE" -q --log simulate em mbp.tif -m x -o y
    expect_text err 'folder em: No such file'
    rm -f simulate
}

make_help_lists_every_target() {
    make --no-print-directory help >"$scratch/help"
    for target in $(sed -nE 's/^([a-z0-9-]+):.*## .*/\1/p' Makefile); do expect_text "$scratch/help" "^  $target +[a-z]"; done
    expect_text "$scratch/help" '^  bench-paper90 '
}

any_number_of_options() {
    local many=()
    for i in $(seq 200); do many+=(--set "train.steps=$i"); done
    expect_status 0 "$FNR_EXE" a b "${many[@]}" --print-config
    expect_text out '^steps = 200$'
}

settings_are_checked() {
    expect_status 2 "$FNR_EXE" a b --set train.stepz=5 --print-config
    expect_text err 'train\.steps' # the nearest known name
    expect_status 2 "$FNR_EXE" a b --set train.batch=0 --print-config
    expect_text err 'train\.batch'
    expect_status 2 "$FNR_EXE" a b --set register.scale_min=1.1 --print-config
    expect_text err 'register\.scale_min = 1\.1 is not below'
    expect_status 2 "$FNR_EXE" a b --set nonsense --print-config
    expect_text err 'NAME=VALUE'
    printf '[train]\nsteps = 7\nbatch = lots\n' >"$scratch/bad.ini"
    expect_status 2 "$FNR_EXE" a b -c "$scratch/bad.ini" --print-config || expect_status 1 "$FNR_EXE" a b -c "$scratch/bad.ini" --print-config
    expect_text err 'bad\.ini.*3.*batch'
    expect_status 1 "$FNR_EXE" a b -c "$scratch/absent.ini" --print-config
    expect_text err 'absent\.ini'
}

printed_settings_read_back_the_same() {
    expect_status 0 "$FNR_EXE" train p.xml -o m --set net.pixel_nm=33.3 --steps 123 --print-config
    expect_text out '^steps = 123'
    cp "$scratch/out" "$scratch/first.ini"
    expect_status 0 "$FNR_EXE" train p.xml -o m -c "$scratch/first.ini" --print-config
    cmp "$scratch/out" "$scratch/first.ini"
}

default_ini_is_what_the_table_says() {
    expect_status 0 "$FNR_EXE" a b --print-config
    diff configs/default.ini "$scratch/out" || fail "run: build/fnet-register a b --print-config > configs/default.ini"
}

recipes_are_valid() {
    for recipe in configs/*.ini; do
        expect_status 0 "$FNR_EXE" train p.xml -o m -c "$recipe" --print-config
    done
    expect_status 0 "$FNR_EXE" train p.xml -o m -c configs/em-mbp-paper.ini --print-config
    expect_text out '^pixel_nm = 10$'
    expect_text out '^steps = 50000$'
}

man_page_knows_every_command_and_option() {
    for c in $commands; do expect_text src/cli/fnet-register.1 "^\.(B|TP|BR) *.*$c|fnet-register $c"; done
    tests/cli/man_options.sh >"$scratch/options" || fail "--help cannot be read"
    [ "$(grep -c '^\.BI\? ' "$scratch/options")" -ge 40 ] || fail "too few options were found"
    sed -n '/^\.\\" ---- options:/,/^\.\\" ---- end/p' src/cli/fnet-register.1 | diff - "$scratch/options" ||
        fail "the man page and --help differ; run: make && tests/cli/man_options.sh --write"
    ! command -v man >/dev/null || man --warnings -E UTF-8 -l src/cli/fnet-register.1 2>&1 >/dev/null | (! grep .)
}

evaluate_compares_tables() {
    # moved by (3, 4) px everywhere: an error of exactly 5; the second tile is right
    printf 'tile,verdict,transform,width,height\na.tif,registered,1 0 0 1 3 4,64,48\nb.tif,doubtful,1 0 0 1 0 0,64,48\nc.tif,failed,,0,0\n' >"$scratch/r.csv"
    printf 'tile,transform,other\na.tif,1 0 0 1 0 0,1 0 0 1 3 4\nb.tif,1 0 0 1 0 0,1 0 0 1 0 0\n' >"$scratch/t.csv"
    expect_status 0 "$FNR_EXE" evaluate "$scratch/r.csv" --truth "$scratch/t.csv" --success-px 4
    expect_text out '^a.tif +registered +5\.000'
    expect_text out 'within 4 px: 1 \(50\.0 %\)'
    expect_text out 'called registered: 1, of them further than 4 px from the truth: 1'
    expect_status 0 "$FNR_EXE" evaluate "$scratch/r.csv" --truth "$scratch/t.csv:other"
    expect_text out 'worst 0\.000'
    expect_status 1 "$FNR_EXE" evaluate "$scratch/r.csv" --truth "$scratch/t.csv:absent"
    expect_text err 'no column "absent"'
    expect_status 2 "$FNR_EXE" evaluate "$scratch/r.csv"
}

paper90_as_published() {
    need_shared data/paper90/registrations.csv
    r=$FNR_SHARED/data/paper90/registrations.csv
    expect_status 0 "$FNR_EXE" evaluate "$r:predicted_tform" --manual "$r:ground_truth_forrest" --manual "$r:ground_truth_sharmi" \
        --tile-column path_signal --tile-px 1500
    [ "$(grep -c 'within 5 px: 86 ' "$scratch/out")" -eq 2 ] || fail "86 of 90 tiles below 5 px, against either annotator"
    # The figures in print (their authors' formula and NumPy's standard deviation).
    expect_status 0 "$FNR_EXE" evaluate "$r:predicted_tform" --manual "$r:ground_truth_forrest" --manual "$r:ground_truth_sharmi" \
        --tile-column path_signal --tile-px 1500 --as-published
    expect_text out 'within 5 px: 86 '
    expect_text out 'mean 1\.217 \+- 0\.759 px'
    expect_text out 'mean 1\.109 \+- 0\.645 px'
    expect_text out 'mean 0\.351 \+- 0\.190 px'
}

a_full_pipe_is_an_error() {
    [ -e /dev/full ] || skip "no /dev/full"
    local status=0
    "$FNR_EXE" a b --print-config >/dev/full 2>"$scratch/err" || status=$?
    [ $status -eq 1 ]
    expect_text err 'standard output'
}

evaluate_wants_tiles_in_common() {
    printf 'tile,verdict,transform,width,height\na.tif,registered,1 0 0 1 3 0,60,40\nb.tif,doubtful,,60,40\n' >"$scratch/result.csv"
    printf 'tile,transform\na.tif,1 0 0 1 0 4\nc.tif,1 0 0 1 0 0\n' >"$scratch/truth.csv"
    expect_status 0 "$FNR_EXE" evaluate "$scratch/result.csv" --truth "$scratch/truth.csv" --success-px 5.1
    expect_text out 'within 5\.1 px: 1 '
    expect_text out 'mean 5\.000'
    expect_text out '^c\.tif +not in the result'
    expect_text out 'not in the result: 1 '
    expect_status 0 "$FNR_EXE" evaluate "$scratch/result.csv" --truth "$scratch/truth.csv" --success-px 4.9
    ! grep -q 'mean nan' "$scratch/out" || fail "figures of no tiles are printed"
    printf 'tile,transform\nc.tif,1 0 0 1 0 0\n' >"$scratch/truth.csv"
    expect_status 1 "$FNR_EXE" evaluate "$scratch/result.csv" --truth "$scratch/truth.csv"
    expect_text err 'none of the 1 tiles of the truth is among the 2 tiles of the result'
    printf 'tile,transform,width,height\na.tif,1 0 0 1 0 4,1e300,-3\n' >"$scratch/result.csv"
    expect_status 2 "$FNR_EXE" evaluate "$scratch/result.csv" --truth "$scratch/result.csv"
    expect_text err 'a\.tif: its size is in neither file'
}

evaluate_leaves_files() {
    printf 'tile,verdict,transform,width,height\na.tif,registered,1 0 0 1 3 4,64,48\n' >"$scratch/r.csv"
    printf 'tile,transform,anna,bert\na.tif,,1 0 0 1 0 0,1 0 0 1 0.6 0.8\n' >"$scratch/t.csv"
    expect_status 0 "$FNR_EXE" evaluate "$scratch/r.csv" --manual "$scratch/t.csv:anna" --manual "$scratch/t.csv:bert" -o "$scratch/eval" --if-nm 50 --success-px 6
    expect_text "$scratch/eval/tiles.csv" '^"a.tif","result","anna",registered,5\.0000,250\.0,1,1,$'
    expect_text "$scratch/eval/summary.csv" '^"anna","bert",people,6,1,1,1,1,'
    expect_text "$scratch/eval/evaluation.html" 'Two people differ by 1\.00'
    [ -s "$scratch/eval/histogram.svg" ] && [ -s "$scratch/eval/summary.json" ] && [ ! -e "$scratch/eval/audit.csv" ]
}

tiles_of_one_name_are_told_apart_by_the_runs_folder() {
    mkdir -p "$scratch/run"
    printf 'tile,verdict,transform,width,height\nt.tif,registered,1 0 0 1 10 0,64,48\n' >"$scratch/run/transforms.csv"
    printf 'tile,transform\n/x/S1/t.tif,1 0 0 1 0 0\n/x/S2/t.tif,1 0 0 1 11 0\n' >"$scratch/t.csv"
    expect_status 1 "$FNR_EXE" evaluate "$scratch/run" --manual "$scratch/t.csv"
    expect_text err 'several tiles named t\.tif in different folders'
    echo '{"em_dir": "/data/S2", "if_nm": 50}' >"$scratch/run/run.json"
    expect_status 0 "$FNR_EXE" evaluate "$scratch/run" --manual "$scratch/t.csv"
    expect_text out 'mean 1\.000 .*\(mean 50\.0 nm\)'
}

faults_of_manual_projects_are_found() {
    expect_status 0 "$FNR_EXE" simulate "$scratch/case" -q --seed 3 --rows 2 --cols 2 --tile-px 400
    expect_status 0 "$FNR_EXE" evaluate --audit "$scratch/case/manual_a.xml" --audit "$scratch/case/manual_b.xml"
    expect_text out '^audit of [2-8] placements in 2 files: 0 errors, 0 warnings'
    # a click too many: the tile is mirrored
    sed -E -e '/Tile_r1-c2/s/matrix\(([-0-9.e]+),([-0-9.e]+),/matrix(-\1,-\2,/' -e 's/([(,])--/\1/g' "$scratch/case/manual_a.xml" >"$scratch/case/doctored.xml"
    ! cmp -s "$scratch/case/manual_a.xml" "$scratch/case/doctored.xml"
    expect_status 3 "$FNR_EXE" evaluate --audit "$scratch/case/doctored.xml" -o "$scratch/audit"
    expect_text out 'error: .*doctored.xml: .*Tile_r1-c2.*mirrored'
    expect_text "$scratch/audit/audit.csv" '^error,mirrored,"Tile_r1-c2'
    expect_text "$scratch/audit/evaluation.html" 'mirrored'
    expect_status 2 "$FNR_EXE" evaluate "$scratch/case/truth.csv" --audit "$scratch/case/manual_a.xml"
    expect_text err '--manual instead of --audit'
    expect_status 2 "$FNR_EXE" evaluate
}

tap_run help_at_every_level wrong_usage_is_explained options_before_the_command any_number_of_options make_help_lists_every_target settings_are_checked printed_settings_read_back_the_same default_ini_is_what_the_table_says \
    recipes_are_valid man_page_knows_every_command_and_option evaluate_compares_tables paper90_as_published a_full_pipe_is_an_error evaluate_wants_tiles_in_common \
    evaluate_leaves_files tiles_of_one_name_are_told_apart_by_the_runs_folder faults_of_manual_projects_are_found
