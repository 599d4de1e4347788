#!/bin/sh
# Installs what the build and the tests need from Debian 12, or, without root, prints the command that does.
# Usage: deps.sh [build|test]     test adds what only tests use.
set -eu
build="gcc g++ make pkg-config libtiff-dev libjpeg-dev libpng-dev zlib1g-dev libxml2-dev libcjson-dev libinih-dev libgsl-dev libfftw3-dev libmd-dev
libdnnl-dev libopencv-core-dev libopencv-imgproc-dev libopencv-video-dev"
test="$build libcmocka-dev libxml2-utils clang locales"
case "${1:-build}" in
build) want=$build ;;
test) want=$test ;;
*) echo "usage: $0 [build|test]" >&2; exit 2 ;;
esac
if ! command -v dpkg-query >/dev/null; then
    echo "This is no Debian: please see to it that the counterparts of these packages are installed: $want" >&2
    exit 0
fi
missing=
for p in $want; do
    [ "$(dpkg-query -W -f='${Status}' "$p" 2>/dev/null)" = "install ok installed" ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "These packages are missing. Please run:" >&2
    echo "    sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
