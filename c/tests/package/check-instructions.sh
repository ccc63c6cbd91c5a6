#!/usr/bin/env bash
# Counts the instructions of a hot pair, an allocation and a deallocation of 2 MiB through a shared library as each compiler
# makes it for a release, which must not creep up. Callgrind counts exactly; what the first pair takes more falls out of the
# difference. The same of a pair that goes to the shared pools; and of what the preload library adds to a pair of small
# blocks, which are the next malloc's.
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
  cmake --build "$work/$1" --target lgalloc_shared lgalloc_preload
  "$1" -O2 -I"$root/include" "$here/hot-pair.c" -o "$work/$1/pairs" "$work/$1/liblgalloc.so" -Wl,-rpath,"$work/$1"
  strip --strip-debug "$work/$1/liblgalloc-preload.so" # valgrind doesn't understand all of it
  "$1" -O2 -fno-builtin "$here/small-pair.c" -o "$work/$1/small"
}

# The instructions inside the functions, and in what they call, for so many pairs.
count() { # CC WHICH PAIRS
  valgrind --tool=callgrind --callgrind-out-file="$work/out" --toggle-collect='lgalloc_allocate*' \
    --toggle-collect='lgalloc_deallocate*' --toggle-collect='lgalloc_malloc*' --toggle-collect='lgalloc_free_sized*' \
    "$work/$1/pairs" "$2" "$3" 2>&1 | sed -n 's/.*Collected : *//p'
}

# All instructions of a program with so many small pairs. LD_PRELOAD takes no blanks.
count_small() { # CC OBJECT PAIRS
  (cd "$work/$1" && LD_PRELOAD=$2 valgrind --tool=callgrind --callgrind-out-file="$work/out" ./small "$3" 2>&1) |
    sed -n 's/.*Collected : *//p'
}

passed=0 failed=0
verdict() { # CC WHAT FOUND LEAST MOST
  echo "$1: $2 takes $3 instructions; at most $5"
  if (($3 >= $4 && $3 <= $5)); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
}
check() { # CC WHICH MOST
  local few many
  few=$(count "$1" "$2" 1000) many=$(count "$1" "$2" 2000)
  verdict "$1" "a pair with $2" $(((many - few) / 1000)) 30 "$3"
}
check_small() { # CC MOST
  local object total=0
  for object in "" ./liblgalloc-preload.so; do
    total=$(($(count_small "$1" "$object" 20000) - $(count_small "$1" "$object" 10000) - total))
  done
  verdict "$1" "a small pair under the preload library, besides what it takes anyhow," $((total / 10000)) 10 "$2"
}
for cc in "$@"; do
  if ! command -v "$cc" >/dev/null; then
    echo "left out: there is no $cc"
    continue
  fi
  build "$cc"
  case $cc in
    *clang*) check "$cc" handles 75 && check "$cc" malloc 55 && check "$cc" pools 540 && check_small "$cc" 22 ;;
    *) check "$cc" handles 74 && check "$cc" malloc 52 && check "$cc" pools 540 && check_small "$cc" 22 ;;
  esac
done
echo "instructions: $passed passed, $failed failed"
((failed == 0))
