#!/usr/bin/env bash
# Installs into directories with blanks in their names and builds a user's program against what is there:
# shared, static and wholly static, as C and as C++, found through pkg-config.
#   check-install.sh CC:CXX...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc install.XXXXXX")
trap 'rm -rf "$work"' EXIT
count=0
failed=0

# try WHAT COMMAND...
try() {
  local what=$1
  shift
  count=$((count + 1))
  if "$@"; then
    echo "ok: $what"
  else
    echo "failed: $what"
    failed=$((failed + 1))
  fi
}

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
    "$compiler" "$program.o" -o "$program" "${flags[@]}" "${libs_words[@]}"
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

# below DIR: everything is there, and nothing else.
below() {
  diff <(cd "$1" && find . \( -type f -o -type l \) | sed 's/\.so\.\([0-9]*\)\..*/.so.\1.x/' | LC_ALL=C sort) - <<FILES
./include/lgalloc.h
./lib/liblgalloc.a
./lib/liblgalloc.so
./lib/liblgalloc.so.0
./lib/liblgalloc.so.0.x
./lib/pkgconfig/lgalloc.pc
./share/doc/lgalloc/LICENSE-APACHE
./share/doc/lgalloc/LICENSE-MIT
FILES
}

prefix="$work/a prefix"
DESTDIR='' PREFIX=$prefix "$root/build.sh" install
try "files in a prefix" below "$prefix"
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
try "pkg-config's version" pkg-config --exact-version="$(sed -nE 's/^#define LGALLOC_VERSION_(MAJOR|MINOR|PATCH) ([0-9]+)$/\2/p' \
  "$root/include/lgalloc.h" | paste -sd .)" lgalloc
for pair in "$@"; do
  check "in a prefix" "$prefix/lib" "$pair"
done

# As a package is made: nothing is written outside of DESTDIR, and the prefix is the one of later.
destdir="$work/a package" prefix="/opt/lg alloc"
DESTDIR=$destdir PREFIX=$prefix "$root/build.sh" install
try "files in a package" below "$destdir$prefix"
try "pkg-config's prefix" test "$(PKG_CONFIG_PATH="$destdir$prefix/lib/pkgconfig" pkg-config --variable=prefix lgalloc)" = "$prefix"
export PKG_CONFIG_PATH="$destdir$prefix/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR=$destdir
try "${1%%:*}, shared, in a package" build "${1%%:*}" c "$work/packaged" shared
try "… runs" shared "$work/packaged" "$destdir$prefix/lib"

echo "install: $((count - failed)) passed, $failed failed"
((failed == 0))
