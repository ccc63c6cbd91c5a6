#!/usr/bin/env bash
# The binary interface as programs rely on it: functions, and the layout of what they are given, in
# c/packaging/abi/lgalloc-MACHINE.abi.
#   abi.sh check CC    what was there is as it was; functions may have been added
#   abi.sh update CC   writes it anew. Where a change is shown other than functions that are added, or names for what
#                      was `reserved`, programs that were linked before don't work any more.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
command=${1:-} cc=${2:-gcc}
machine=$(uname -m)
baseline=$root/c/packaging/abi/lgalloc-$machine.abi
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc-abi.XXXXXX")
trap 'rm -rf "$work"' EXIT

for tool in abidw abidiff; do
  command -v "$tool" >/dev/null || {
    echo "$tool is missing; it comes with abigail-tools"
    exit 2
  }
done
if [[ $command == check && ! -e $baseline ]]; then
  echo "abi: 0 passed, 0 failed (there is no baseline for $machine)"
  exit 0
fi

# A function of which there are two, one chosen when a program is loaded, has no parameters in what debuggers are told.
flags=()
if [[ $machine == x86_64 ]]; then
  flags=(-mlzcnt)
fi
library=$work/liblgalloc.so
major=$(sed -n 's/^#define LGALLOC_VERSION_MAJOR \([0-9]*\)$/\1/p' "$root/include/lgalloc.h")
"$cc" -std=c11 -g -O0 "${flags[@]}" -fPIC -fvisibility=hidden -I"$root/include" "$root/c/lgalloc.c" -shared \
  "-Wl,--version-script=$root/c/lgalloc.map" "-Wl,-soname,liblgalloc.so.$major" -pthread -o "$library"

abidw --exported-interfaces-only --drop-private-types --headers-dir "$root/include" --no-comp-dir-path --no-corpus-path \
  --no-show-locs "$library" | sed "s|path='[^']*/c/lgalloc.c'|path='c/lgalloc.c'|" >"$work/now.abi"

case $command in
  check)
    if abidiff --no-added-syms "$baseline" "$work/now.abi"; then
      echo "abi: 1 passed, 0 failed"
    else
      echo "If programs that were linked before still work: c/packaging/abi.sh update"
      echo "abi: 0 passed, 1 failed"
      exit 1
    fi
    ;;
  update)
    mkdir -p "${baseline%/*}"
    cp "$work/now.abi" "$baseline"
    ;;
  *)
    echo "abi.sh: check or update"
    exit 2
    ;;
esac
