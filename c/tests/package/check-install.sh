#!/usr/bin/env bash
# Installs into directories with blanks in their names and builds a user's program against what is there:
# shared, static and wholly static, as C and as C++, found through pkg-config, also after the directory has moved. Then
# uninstalls.
#   check-install.sh CC:CXX...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc install.XXXXXX")
trap 'rm -rf "$work"' EXIT
# shellcheck source=c/tests/package/try.sh
source "$here/try.sh"

refused() { ! "$@" 2>/dev/null; }

# build COMPILER LANGUAGE PROGRAM shared|archive|static
build() {
  local compiler=$1 language=$2 program=$3 linkage=$4 cflags libs
  local -a options=() flags=() cflags_words libs_words
  if [[ $linkage != shared ]]; then
    options=(--static)
  fi
  cflags=$(pkg-config "${options[@]}" --cflags lgalloc)
  libs=$(pkg-config "${options[@]}" --libs lgalloc)
  # pkg-config escapes blanks for a shell to read again.
  eval "cflags_words=($cflags) libs_words=($libs)"
  if [[ $linkage == static ]]; then
    flags=(-static)
  elif [[ $linkage == archive ]]; then
    libs_words=("${libs_words[@]/#-llgalloc/-l:liblgalloc.a}")
  fi
  "$compiler" -Wall -Wextra -Werror "${cflags_words[@]}" -x "$language" -c "$here/consumer.c" -o "$program.o" &&
    "$compiler" "$program.o" -o "$program" -Wl,--fatal-warnings "${flags[@]}" "${libs_words[@]}"
}

# shared PROGRAM LIBDIR: it runs, with the library that was installed.
shared() {
  readelf -dW "$1" | grep -qF '[liblgalloc.so.' && LD_LIBRARY_PATH=$2 "$1"
}

# static PROGRAM: it runs without the shared library.
static() {
  if readelf -dW "$1" | grep -qF liblgalloc; then
    return 1
  fi
  "$1"
}

# check WHERE LIBDIR CC:CXX
check() {
  local where=$1 libdir=$2 cc=${3%%:*} cxx=${3#*:} program
  program="$work/the program"
  try "$cc, shared, $where" build "$cc" c "$program" shared
  try "… runs" shared "$program" "$libdir"
  try "$cc, static library, $where" build "$cc" c "$program" archive
  try "… runs" static "$program"
  try "$cc, static program, $where" build "$cc" c "$program" static
  try "… runs" static "$program"
  try "$cc, static and hardened" hardened "$cc" "$program"
  try "… runs" static "$program"
  try "$cxx, shared, $where" build "$cxx" c++ "$program" shared
  try "… runs" shared "$program" "$libdir"
}

# hardened CC PROGRAM: from the one file, wholly static, with a stack protector in every function. Which version of a hot
# function is called is decided in such a program before there is the storage that protectors need.
hardened() {
  "$1" -O0 -static -fstack-protector-all -finstrument-functions -pthread -I"$root/include" "$here/consumer.c" \
    "$root/c/lgalloc.c" -o "$2"
}

# below DIR LIBDIR: everything is there, and nothing else; manual pages for themselves.
below() {
  diff <(cd "$1" && find . \( -type f -o -type l \) ! -path './share/man/*' | sed 's/\.so\.\([0-9]*\)\..*/.so.\1.x/' | LC_ALL=C sort) - <<FILES
./include/lgalloc.h
./include/lgalloc.hpp
./$2/cmake/lgalloc/lgalloc-config-version.cmake
./$2/cmake/lgalloc/lgalloc-config.cmake
./$2/cmake/lgalloc/lgalloc-targets-noconfig.cmake
./$2/cmake/lgalloc/lgalloc-targets.cmake
./$2/liblgalloc-preload.so
./$2/liblgalloc.a
./$2/liblgalloc.so
./$2/liblgalloc.so.0
./$2/liblgalloc.so.0.x
./$2/pkgconfig/lgalloc.pc
./share/doc/lgalloc/LICENSE-APACHE
./share/doc/lgalloc/LICENSE-MIT
./share/lgalloc/install-manifest
FILES
}

# documented MAN3: each function that is exported has a page that leads to its text, and they are all well formed.
documented() {
  local name page
  while read -r name; do
    page=$1/$(sed -n 's|^\.so man3/||p' "$1/$name.3")
    if ! grep -q "^\.SS .*$name()" "$page"; then
      echo "$name has no page"
      return 1
    fi
  done < <(sed -n 's/^ *\(lgalloc_[a-z0-9_]*\);$/\1/p' "$root/c/lgalloc.map")
  # No macro of the header, no comment that was taken for something else.
  ! grep -nE '^\.SS$|LGALLOC_(NOPLT|API)' "$1"/lgalloc*.3 || return 1
  if command -v groff >/dev/null; then
    (cd "$1/.." && [[ -z $(groff -man -Tutf8 -ww -z man3/lgalloc*.3 2>&1 | tee /dev/stderr) ]])
  else
    echo "groff is not installed: what it says of them is left out"
  fi
}

# stripped LIBRARY...: no text for debuggers, nor symbols that nobody needs.
stripped() {
  local library
  for library in "$@"; do
    if readelf -SW "$library" | grep -qF ' .debug_' ||
      { [[ $library != *.a ]] && readelf -SW "$library" | grep -qF ' .symtab '; }; then
      return 1
    fi
  done
}

# install_into DESTDIR PREFIX [LIBDIR]
install_into() { DESTDIR=$1 PREFIX=$2 LIBDIR=${3:-} "$root/build.sh" install; }
uninstall_from() { DESTDIR=$1 PREFIX=$2 "$root/build.sh" uninstall; }

# untouched DIR: of what was there before, and of nothing else.
untouched() { [[ $(cd "$1" && find . | LC_ALL=C sort | paste -sd ' ') == ". ./lib ./lib/another" ]]; }

prefix="$work/a prefix"
mkdir -p "$prefix/lib"
touch "$prefix/lib/another"
install_into '' "$prefix" lib/some-machine
rm "$prefix/lib/another"
try "files in a prefix, with a directory of libraries of its own" below "$prefix" lib/some-machine
touch "$prefix/lib/another"
install_into '' "$prefix"
try "what moves with the next version goes" test ! -e "$prefix/lib/some-machine"
rm "$prefix/lib/another"
try "files in a prefix" below "$prefix" lib
try "a manual page for every function" documented "$prefix/share/man/man3"
try "libraries are stripped" stripped "$prefix/lib/liblgalloc.so" "$prefix/lib/liblgalloc.a"
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
try "pkg-config's version" pkg-config --exact-version="$(sed -nE 's/^#define LGALLOC_VERSION_(MAJOR|MINOR|PATCH) ([0-9]+)$/\2/p' \
  "$root/include/lgalloc.h" | paste -sd .)" lgalloc
for pair in "$@"; do
  check "in a prefix" "$prefix/lib" "$pair"
done
touch "$prefix/lib/another"
uninstall_from '' "$prefix"
try "uninstall removes it, and nothing else" untouched "$prefix"
try "what isn't installed isn't removed" refused uninstall_from '' "$prefix"

# As a package is made: nothing is written outside of DESTDIR, and what was packed may be unpacked anywhere.
destdir="$work/a package" prefix="/opt/lg alloc"
install_into "$destdir" "$prefix" lib64
try "files in a package" below "$destdir$prefix" lib64
try "no path of this machine in them" refused grep -rqF -e "$work" -e "$root" "$destdir"
moved="$work/moved here"
mv "$destdir$prefix" "$moved"
export PKG_CONFIG_PATH="$moved/lib64/pkgconfig"
try "${1%%:*}, shared, moved" build "${1%%:*}" c "$work/packaged" shared
try "… runs" shared "$work/packaged" "$moved/lib64"
try "${1%%:*}, static library, moved" build "${1%%:*}" c "$work/packaged" archive
try "… runs" static "$work/packaged"
mv "$moved" "$destdir$prefix"
uninstall_from "$destdir" "$prefix"
try "uninstall leaves nothing" test "$(find "$destdir")" = "$destdir"

prefix="$work/an absolute one"
install_into '' "$prefix" "$prefix/lib/a machine"
try "files in a prefix, LIBDIR with its whole path" below "$prefix" "lib/a machine"
export PKG_CONFIG_PATH="$prefix/lib/a machine/pkgconfig"
try "${1%%:*}, shared, LIBDIR with its whole path" build "${1%%:*}" c "$work/packaged" shared
try "… runs" shared "$work/packaged" "$prefix/lib/a machine"

for words in "install /opt/lgalloc" "build all" "uninstall here"; do
  # shellcheck disable=SC2086 # words
  try "an argument that $words doesn't know" refused env DESTDIR="$work/nowhere" "$root/build.sh" $words
done

echo "install: $((count - failed)) passed, $failed failed"
((failed == 0))
