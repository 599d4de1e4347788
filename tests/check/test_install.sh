#!/bin/bash
# `make install` puts everything below DESTDIR/PREFIX, also with a blank in the path; `make uninstall` takes all of it away again.
. tests/support/tap.sh
unset MAKEFLAGS
build=$(dirname "$FNR_EXE")
build=${build#"$PWD/"}
dest="$scratch/a root"

installs() {
    expect_status 0 make -s install BUILD="$build" PREFIX=/opt/fnr DESTDIR="$dest"
    expect_status 0 "$dest/opt/fnr/bin/fnet-register" --version
    cmp LICENSE "$dest/opt/fnr/share/doc/fnet-register/LICENSE"
    local f
    for f in configs/*.ini; do
        [ ! -e "$f" ] || cmp "$f" "$dest/opt/fnr/share/fnet-register/$f"
    done
    [ ! -e src/cli/fnet-register.1 ] || cmp src/cli/fnet-register.1 "$dest/opt/fnr/share/man/man1/fnet-register.1"
    [ "$(ls "$dest")" = opt ] || fail "something was put outside of the prefix"
}
uninstalls() {
    echo mine >"$dest/opt/fnr/share/mine"
    expect_status 0 make -s uninstall BUILD="$build" PREFIX=/opt/fnr DESTDIR="$dest"
    [ "$(find "$dest" -type f)" = "$dest/opt/fnr/share/mine" ] || fail "left: $(find "$dest" -type f)"
}

tap_run installs uninstalls
