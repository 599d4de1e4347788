#!/bin/bash
# The man page's lists of options, from what the program itself says: FNR_EXE COMMAND --help, as roff.
# tests/cli/test_cli.sh compares them with the page; to bring the page up to date: tests/cli/man_options.sh --write
set -eu
exe=${FNR_EXE:-$PWD/build/fnet-register} page=src/cli/fnet-register.1
begin='.\" ---- options: written by tests/cli/man_options.sh ----' end='.\" ---- end of options ----'

# lines_to_roff SECTION: "  -o, --output FILE   text" below "SECTION:" -> .TP, its name in bold, its argument in italics, the text
lines_to_roff() {
    awk -v section="$1:" '
        function roff(s) { gsub(/\\/, "\\e", s); gsub(/-/, "\\-", s); return s }
        /^[a-z ]+:$/ { on = $0 == section; next }
        !on || /^$/ { next }
        match($0, /^  (-[a-zA-Z],|   ) --[a-z-]+( [^ ]+)?(  +| +$)/) {
            n = split(substr($0, 1, RLENGTH), word, " ")
            i = word[1] ~ /,$/ ? 2 : 1
            name = (i == 2 ? word[1] " " : "") word[i]
            print ".TP"
            print (n > i ? ".BI \"" roff(name) " \" " roff(word[n]) : ".B \"" roff(name) "\"")
            print "\\&" roff(substr($0, RLENGTH + 1))
            next
        }
        { print "cannot read: " $0 > "/dev/stderr"; exit 1 }'
}

options() {
    local c
    echo "$begin"
    for c in $("$exe" --help | awk '/^commands:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }'); do
        printf '.SS Options of %s\n' "$c"
        "$exe" "$c" --help | lines_to_roff options
    done
    echo '.SS Settings: register, train and predict'
    "$exe" register --help | lines_to_roff settings
    echo '.SS Every command'
    "$exe" register --help | lines_to_roff 'every command'
    echo "$end"
}

if [ "${1:-}" = --write ]; then
    options >"$page.options"
    begin=$begin end=$end awk -v f="$page.options" '
        BEGIN { b = ENVIRON["begin"]; e = ENVIRON["end"] } # -v would interpret the backslash
        $0 == b { while ((getline line < f) > 0) print line; skip = 1 }
        !skip { print }
        $0 == e { skip = 0 }' "$page" >"$page.new"
    rm "$page.options"
    mv "$page.new" "$page"
else
    options
fi
