#!/usr/bin/env bash
# Debian packages are built, lintian has nothing against them, and a program is built with what is in them.
#   check-deb.sh CC
set -euo pipefail
cc=$1
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc-deb-check.XXXXXX")
trap 'rm -rf "$work"' EXIT
# shellcheck source=c/tests/package/try.sh
source "$(dirname "$0")/try.sh"

# CC and CFLAGS of the tests are nothing to the packages.
try "packages, by lintian" env -u CC -u CFLAGS -u LDFLAGS -u DEBEMAIL "$root/c/packaging/deb.sh" "$work/packages"
unpack() {
  local package
  for package in "$work"/packages/liblgalloc0_*.deb "$work"/packages/liblgalloc-dev_*.deb \
    "$work"/packages/liblgalloc-preload_*.deb; do
    dpkg-deb -x "$package" "$work/system" || return 1
  done
}
try "… unpack" unpack
libraries=$(find "$work/system/usr/lib" -maxdepth 2 -name 'liblgalloc.so.0' -printf '%h\n' 2>/dev/null || true)
export PKG_CONFIG_PATH=$libraries/pkgconfig LD_LIBRARY_PATH=$libraries
program() {
  # shellcheck disable=SC2046 # words
  "$cc" -Werror "$here/consumer.c" -o "$work/program" $(pkg-config --cflags --libs lgalloc) "$@" && "$work/program"
}
try "… a program runs with them" program
try "… and with the static library" program -static
preloaded() { [[ $(LD_PRELOAD=$libraries/liblgalloc-preload.so sh -c 'grep -c liblgalloc-preload /proc/self/maps') -gt 0 ]]; }
try "… any program runs with malloc on regions" preloaded
has_pages() { [[ -e $work/system/usr/share/man/man3/lgalloc.3.gz && -e $work/system/usr/share/man/man3/lgalloc_free.3.gz ]]; }
try "… with manual pages" has_pages
has_probes() { readelf -n "$libraries/liblgalloc.so.0" | grep -q stapsdt; }
try "… with static probes" has_probes
depends_on_libc_alone() {
  [[ $(dpkg-deb -f "$work"/packages/liblgalloc0_*.deb Depends) =~ ^libc6\ \(.*\)$ ]]
}
try "… the library's package needs libc alone" depends_on_libc_alone
echo "deb: $((count - failed)) passed, $failed failed"
((failed == 0))
