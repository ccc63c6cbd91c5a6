#!/usr/bin/env bash
# Installs the release library that was built, or removes what an earlier call installed; from ./build.sh install and
# uninstall. PREFIX, LIBDIR (below it, or absolute) and DESTDIR say where.
#   install.sh install BUILD-DIRECTORY
#   install.sh uninstall
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
prefix=${PREFIX:-/usr/local}
destdir=${DESTDIR:-}
[[ $prefix == /* ]] || prefix=$PWD/$prefix
[[ $prefix == / ]] || prefix=${prefix%/}
[[ -z $destdir || $destdir == /* ]] || destdir=$PWD/$destdir
# Plain lib, whatever the prefix: what pkg-config and the compilers search everywhere.
libdir=${LIBDIR:-lib}
# What was installed, in the order of its removal: a path below DESTDIR per line; directories that were made for it end
# in a slash.
manifest=$prefix/share/lgalloc/install-manifest

die() {
  printf 'build.sh: %s\n' "$*" >&2
  exit 2
}

# These the system's loader finds by its cache.
refresh_loader() {
  if [[ -z $destdir && $EUID == 0 && ($prefix == /usr || $prefix == /usr/local) ]]; then
    ldconfig || true
  fi
}

# remove_listed FILE: what it lists; directories only if they are empty by then.
remove_listed() {
  local path
  while IFS= read -r path; do
    if [[ $path == */ ]]; then
      rmdir "$destdir$path" 2>/dev/null || true
    else
      rm -f "$destdir$path" || die "$destdir$path can't be removed"
    fi
  done <"$1"
}

# copy_listed TREE: the files of the tree's manifest, and first of all that: what was copied when copying fails can be
# removed.
copy_listed() {
  local path
  mkdir -p "$destdir${manifest%/*}" && cp "$1$manifest" "$destdir$manifest" || return 1
  while IFS= read -r path; do
    [[ $path != */ ]] || continue
    # Programs that run with a library keep it: its file is replaced, not overwritten.
    mkdir -p "$destdir${path%/*}" &&
      cp --no-dereference --preserve=mode --remove-destination "$1$path" "$destdir$path" || return 1
  done <"$1$manifest"
}

install_library() {
  local build=$1 stage path
  stage=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc-install.XXXXXX")
  # shellcheck disable=SC2064 # as it is now
  trap "rm -rf '$stage'" EXIT
  if ! {
    cmake -S "$root/c" -B "$build" "-DCMAKE_INSTALL_PREFIX=$prefix" "-DCMAKE_INSTALL_LIBDIR=$libdir" &&
      DESTDIR=$stage/tree cmake --install "$build" --prefix "$prefix" --strip
  } >"$stage/log" 2>&1; then
    tail -n 15 "$stage/log" >&2
    die "installing failed"
  fi
  mkdir -p "$stage/tree${manifest%/*}"
  : >"$stage/tree$manifest"

  # Deepest first. Directories that were made by the call before are still ours.
  (cd "$stage/tree" && find . -mindepth 1 ! -type d ! -path ".$manifest" -printf '/%P\n') >"$stage/list"
  echo "$manifest" >>"$stage/list"
  while IFS= read -r path; do
    if [[ ! -d $destdir$path ]] || { [[ -e $destdir$manifest ]] && grep -qxF -- "$path/" "$destdir$manifest"; }; then
      printf '%s/\n' "$path"
    fi
  done < <(cd "$stage/tree" && find . -depth -mindepth 1 -type d -printf '/%P\n') >>"$stage/list"
  cp "$stage/list" "$stage/tree$manifest"

  # A version before this one may have had files that this one doesn't have.
  if [[ -e $destdir$manifest ]]; then
    grep -vxF -f "$stage/list" "$destdir$manifest" >"$stage/left" || true
    remove_listed "$stage/left"
  fi
  if ! copy_listed "$stage/tree" 2>"$stage/log"; then
    head -n 3 "$stage/log" >&2
    die "installing into $destdir$prefix failed"
  fi
  refresh_loader
  echo "installed into $destdir$prefix"
}

uninstall_library() {
  local list
  [[ -e $destdir$manifest ]] || die "$destdir$manifest is not there: nothing was installed into $destdir$prefix"
  list=$(mktemp "${TMPDIR:-/tmp}/lgalloc-uninstall.XXXXXX")
  # shellcheck disable=SC2064 # as it is now
  trap "rm -f '$list'" EXIT
  cp "$destdir$manifest" "$list"
  remove_listed "$list"
  refresh_loader
  echo "removed from $destdir$prefix"
}

case ${1:-} in
  install) install_library "$2" ;;
  uninstall) uninstall_library ;;
  *) die "install.sh: install BUILD-DIRECTORY, or uninstall" ;;
esac
