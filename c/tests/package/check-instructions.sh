#!/usr/bin/env bash
# Counts the instructions of a hot pair, an allocation and a deallocation of 2 MiB through the shared library, which
# must not creep up. Callgrind counts exactly; what the first pair takes more falls out of the difference.
#   check-instructions.sh CC LIBRARY.so
set -euo pipefail
cc=$1 shared=$2 most=75
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc instructions.XXXXXX")
trap 'rm -rf "$work"' EXIT

if [[ $(uname -m) != x86_64 ]]; then
  echo "instructions: 0 passed, 0 failed (the bound is for x86-64)"
  exit 0
fi
"$cc" -O2 -I"$here/../../../include" "$here/hot-pair.c" -o "$work/pairs" "$shared" -Wl,-rpath,"$(dirname "$shared")"

# The instructions inside the two functions, and in what they call, for so many pairs.
count() {
  valgrind --tool=callgrind --callgrind-out-file="$work/out" --toggle-collect='lgalloc_allocate*' \
    --toggle-collect='lgalloc_deallocate*' "$work/pairs" "$1" 2>&1 | sed -n 's/.*Collected : *//p'
}

few=$(count 1000) many=$(count 2000)
pair=$(((many - few) / 1000))
echo "a hot pair takes $pair instructions; at most $most"
if ((pair > 30 && pair <= most)); then
  echo "instructions: 1 passed, 0 failed"
else
  echo "instructions: 0 passed, 1 failed"
  exit 1
fi
