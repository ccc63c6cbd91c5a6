#!/usr/bin/env bash
# Counts the instructions of a hot pair, an allocation and a deallocation of 2 MiB through the shared library, which
# must not creep up. Callgrind counts exactly; what the first pair takes more falls out of the difference.
#   check-instructions.sh CC LIBRARY.so
set -euo pipefail
cc=$1 shared=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc instructions.XXXXXX")
trap 'rm -rf "$work"' EXIT

if [[ $(uname -m) != x86_64 ]]; then
  echo "instructions: 0 passed, 0 failed (the bounds are for x86-64)"
  exit 0
fi
"$cc" -O2 -I"$here/../../../include" "$here/hot-pair.c" -o "$work/pairs" "$shared" -Wl,-rpath,"$(dirname "$shared")"

# The instructions inside the functions, and in what they call, for so many pairs.
count() {
  valgrind --tool=callgrind --callgrind-out-file="$work/out" --toggle-collect='lgalloc_allocate*' \
    --toggle-collect='lgalloc_deallocate*' --toggle-collect='lgalloc_malloc*' --toggle-collect='lgalloc_free_sized*' \
    "$work/pairs" "$@" 2>&1 | sed -n 's/.*Collected : *//p'
}

passed=0 failed=0
# check WHICH MOST
check() {
  local few many pair
  few=$(count "$1" 1000) many=$(count "$1" 2000)
  pair=$(((many - few) / 1000))
  echo "a hot pair with $1 takes $pair instructions; at most $2"
  if ((pair > 30 && pair <= $2)); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
}
check handles 75
check malloc 55
echo "instructions: $passed passed, $failed failed"
((failed == 0))
