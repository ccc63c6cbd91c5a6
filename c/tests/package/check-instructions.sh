#!/usr/bin/env bash
# Counts the instructions of a hot pair, an allocation and a deallocation of 2 MiB through a shared library as each compiler
# makes it for a release, which must not creep up. Callgrind counts exactly; what the first pair takes more falls out of the
# difference.
#   check-instructions.sh CC...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc instructions.XXXXXX")
trap 'rm -rf "$work"' EXIT

if [[ $(uname -m) != x86_64 ]]; then
  echo "instructions: 0 passed, 0 failed (the bounds are for x86-64)"
  exit 0
fi

# build CC: the library, and the program that calls it.
build() {
  cmake -S "$root/c" -B "$work/$1" -DCMAKE_C_COMPILER="$1" -DLGALLOC_LIBRARY_DIR="$work/$1"
  cmake --build "$work/$1" --target lgalloc_shared
  "$1" -O2 -I"$root/include" "$here/hot-pair.c" -o "$work/$1/pairs" "$work/$1/liblgalloc.so" -Wl,-rpath,"$work/$1"
}

# The instructions inside the functions, and in what they call, for so many pairs.
count() { # CC WHICH PAIRS
  valgrind --tool=callgrind --callgrind-out-file="$work/out" --toggle-collect='lgalloc_allocate*' \
    --toggle-collect='lgalloc_deallocate*' --toggle-collect='lgalloc_malloc*' --toggle-collect='lgalloc_free_sized*' \
    "$work/$1/pairs" "$2" "$3" 2>&1 | sed -n 's/.*Collected : *//p'
}

passed=0 failed=0
check() { # CC WHICH MOST
  local few many pair
  few=$(count "$1" "$2" 1000) many=$(count "$1" "$2" 2000)
  pair=$(((many - few) / 1000))
  echo "$1: a hot pair with $2 takes $pair instructions; at most $3"
  if ((pair > 30 && pair <= $3)); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
}
for cc in "$@"; do
  if ! command -v "$cc" >/dev/null; then
    echo "left out: there is no $cc"
    continue
  fi
  build "$cc"
  case $cc in
    *clang*) check "$cc" handles 75 && check "$cc" malloc 55 ;;
    *) check "$cc" handles 74 && check "$cc" malloc 52 ;;
  esac
done
echo "instructions: $passed passed, $failed failed"
((failed == 0))
