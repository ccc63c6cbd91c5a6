#!/usr/bin/env bash
# Other projects use the library through Meson: as a subproject, static and shared, and installed.
#   check-meson.sh CC:CXX
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
export CC=${1%%:*} CXX=${1#*:}
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc meson.XXXXXX")
trap 'rm -rf "$work"' EXIT
user="$work/a user"
cp -r "$here/meson" "$user"
cp "$here/consumer.c" "$root/c/examples/containers.cpp" "$user"
# shellcheck source=c/tests/package/try.sh
source "$(dirname "$0")/try.sh"

# build DIRECTORY ARGUMENT...: builds and runs the user's programs; Meson has nothing to warn of.
build() {
  local dir=$work/$1
  shift
  meson setup "$user" "$dir" "$@" | tee "$dir.log" && ! grep -i warning "$dir.log" && meson test -C "$dir"
}

up_to_date() { ninja -C "$1" -n | grep -q 'no work to do'; }

# links PROGRAM shared|static
links() {
  local found=static
  if readelf -dW "$1" | grep -qF '[liblgalloc.so.0]'; then
    found=shared
  fi
  [[ $found == "$2" ]]
}

# names ARCHIVE: its global names are the library's public ones.
names() {
  local globals
  globals=$(nm -g --defined-only "$1" | awk 'NF == 3 {print $3}')
  grep -q '^lgalloc_malloc$' <<<"$globals" && ! grep -v '^lgalloc_' <<<"$globals"
}

# alone DIRECTORY: installs the user's program and nothing else; has the user's tests and no other.
alone() {
  DESTDIR="$work/root" meson install -C "$1" && [[ $(find "$work/root" -type f -printf '%f ') == "consumer " ]] &&
    [[ $(meson test -C "$1" --no-rebuild --list | sort | paste -sd ' ') == "consumer containers" ]]
}

# In the user's tree, as a copy that a version control system put there.
mkdir -p "$user/subprojects" "$user/third_party/lgalloc"
cp -r "$root/c" "$root/include" "$user/third_party/lgalloc"
ln -s ../third_party/lgalloc/c "$user/subprojects/lgalloc"
try "a subproject, static" build static -Ddefault_library=static
try "… with nothing left to do" up_to_date "$work/static"
try "… with the library in the program" links "$work/static/consumer" static
try "… which takes no names from the program" names "$work/static/subprojects/lgalloc/liblgalloc.a"
try "… and nothing else comes along" alone "$work/static"

# Somewhere else.
rm -rf "$user/third_party" "$user/subprojects/lgalloc"
ln -s "$root/c" "$user/subprojects/lgalloc"
try "a subproject elsewhere, shared" build shared -Ddefault_library=shared -Dlgalloc:install=true
try "… with the library beside the program" links "$work/shared/consumer" shared
try "… which is installed if that is asked for" env "DESTDIR=$work/asked" meson install -C "$work/shared"
try "… under its name" test -n "$(find "$work/asked" -name 'liblgalloc.so.0')"

rm -rf "$user/subprojects"
DESTDIR='' PREFIX="$work/prefix" LIBDIR=lib "$root/build.sh" install
export PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig LD_LIBRARY_PATH=$work/prefix/lib
try "what is installed" build installed
try "… as a shared library" links "$work/installed/consumer" shared

echo "meson: $((count - failed)) passed, $failed failed"
((failed == 0))
