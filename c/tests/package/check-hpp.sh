#!/usr/bin/env bash
# include/lgalloc.hpp: its tests in every standard from C++17 on, plain and under AddressSanitizer, the example, and what
# compiles without exceptions and without RTTI.
#   check-hpp.sh LIBRARY.a CC:CXX...
set -euo pipefail
library=$1
shift
root=$(cd "$(dirname "$0")/../../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc-hpp.XXXXXX")
trap 'rm -rf "$work"' EXIT
warnings=(-Wall -Wextra -Wpedantic -Wshadow -Wundef -Wconversion -Wsign-conversion -Wold-style-cast -Woverloaded-virtual
  -Wnon-virtual-dtor -Werror)
sanitizers=(-g "-fsanitize=address,undefined" -fno-sanitize-recover=all)
count=0
failed=0

# done_with WHAT STATUS
done_with() {
  count=$((count + 1))
  if (($2 == 0)); then
    echo "ok: $1"
  else
    echo "failed: $1"
    failed=$((failed + 1))
  fi
}

# program CXX STANDARD SOURCE OBJECT [FLAG...]: compiles and runs.
program() {
  local cxx=$1 standard=$2 source=$3 object=$4 output
  shift 4
  output=$work/$cxx-$standard-${source##*/}
  "$cxx" "-std=$standard" "${warnings[@]}" "$@" -I"$root/include" "$root/c/$source" "$object" -pthread -o "$output" &&
    ASAN_OPTIONS=allocator_may_return_null=1 "$output"
}

# alone CXX FLAG...: the header compiles.
alone() {
  "$@" "${warnings[@]}" -I"$root/include" -fsyntax-only -x c++ - <<'SOURCE'
#include <lgalloc.hpp>
#include <lgalloc.hpp>
template class lgalloc::region<long>;
template class lgalloc::allocator<long>;
template class lgalloc::result<lgalloc::handle>;
SOURCE
}

# sanitized CC CXX STANDARD
sanitized() {
  "$1" "${sanitizers[@]}" -O1 -pthread -I"$root/include" -c "$root/c/lgalloc.c" -o "$work/$1.o" &&
    program "$2" "$3" tests/cpp/test_hpp.cpp "$work/$1.o" "${sanitizers[@]}" -DSANITIZED=1
}

# in_turn CC CXX SANITIZED-STANDARD STANDARD...: one compiler's share, each with its status in a file.
in_turn() {
  local cc=$1 cxx=$2 with_sanitizer=$3 standard
  shift 3
  report() {
    local what=$1 rc=0
    shift
    "$@" || rc=$?
    echo "$rc $what" >>"$work/$cc.done"
  }
  for standard in "$@"; do
    report "$cxx, $standard" program "$cxx" "$standard" tests/cpp/test_hpp.cpp "$library"
  done
  report "$cxx, $with_sanitizer, AddressSanitizer" sanitized "$cc" "$cxx" "$with_sanitizer"
  report "$cxx, the example" program "$cxx" c++17 examples/containers.cpp "$library"
  report "$cxx, the header alone" alone "$cxx" -std=c++17
  report "$cxx, without exceptions and RTTI" alone "$cxx" -std=gnu++20 -fno-exceptions -fno-rtti
  report "$cxx, C++14 is refused" refused alone "$cxx" -std=c++14
}
refused() { ! "$@" 2>/dev/null; }

# Both compilers at once; all standards between the two of them with and without the sanitizer.
for pair in "$@"; do
  if [[ ${pair%%:*} == clang ]]; then
    in_turn clang "${pair#*:}" c++17 c++20 c++2b
  else
    in_turn "${pair%%:*}" "${pair#*:}" c++2b c++17 c++20
  fi >"$work/${pair%%:*}.log" 2>&1 &
done
wait
for pair in "$@"; do
  cat "$work/${pair%%:*}.log"
  while read -r rc what; do
    done_with "$what" "$rc"
  done <"$work/${pair%%:*}.done"
done
echo "hpp: $((count - failed)) passed, $failed failed"
((failed == 0))
