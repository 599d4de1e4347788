#!/bin/bash
# The report as a person uses it: headless Chromium, real keys, the downloaded review.csv, and the next run that follows it.
. tests/support/tap.sh

model=examples/models/demo.safetensors
case_dir=$scratch/case

browser() {
    local name
    for name in chromium chromium-browser google-chrome; do
        command -v $name && return
    done
    return 1
}

make_report() {
    local status=0
    [ -e "$scratch/out/report.html" ] && return
    "$FNR_EXE" simulate "$case_dir" -q --seed 11 --rows 2 --cols 2 --tile-px 500
    "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/out" -q || status=$?
    [ $status -eq 0 ] || [ $status -eq 3 ]
}

a_browser_shows_and_reviews_the_report() {
    browser >"$scratch/browser" || skip "no Chromium"
    python3 -c '' 2>/dev/null || skip "no python3"
    make_report
    timeout 600 python3 tests/pipeline/report_browser.py "$(cat "$scratch/browser")" "$scratch/out/report.html" "$scratch" >"$scratch/steps" ||
        { sed 's/^/# /' "$scratch/steps"; fail "in the browser"; }
}

the_next_run_follows_the_download() {
    [ -e "$scratch/review.csv" ] || skip "no review: no browser"
    local status=0
    "$FNR_EXE" "$case_dir/em" "$case_dir/mbp.tif" -m $model -o "$scratch/out" -q --review "$scratch/review.csv" || status=$?
    [ $status -eq 3 ] || fail "exit status $status: a rejected tile counts as failed"
    grep -q ',registered,"accepted by hand' "$scratch/out/transforms.csv"
    grep -q ',failed,"rejected by hand: a ""ja"", said k"' "$scratch/out/transforms.csv"
    # the new report knows the decisions without the browser's memory
    [ "$(grep -o 'data-decision="[a-z]*"' "$scratch/out/report.html" | sort | tr '\n' ' ')" = 'data-decision="accept" data-decision="reject" ' ]
}

tap_run a_browser_shows_and_reviews_the_report the_next_run_follows_the_download
