#!/usr/bin/env bash
# The library with musl: it compiles without a warning, and without headers that musl doesn't have; its tests pass in
# static programs, with a header in cmocka's place. Left out are stress, failing system calls, which are the same with any
# C library, and what needs the kernel's own headers.
#   check-musl.sh MUSL-GCC [TEST...]
set -euo pipefail
cc=$1
shift
c=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc-musl.XXXXXX")
trap 'rm -rf "$work"' EXIT
flags=(-std=gnu11 -O1 -static -pthread -Wall -Wextra -Wpedantic -Wno-unused-parameter
  -Wno-use-after-free -Werror # what is free is asked about on purpose
  -I"$c/../include" -I"$c/src" -I"$c/tests" -I"$c/tests/musl")
inside=(-DLG_TESTING=1 -DLG_DEBUG=1)
# The tests do with fewer rounds: what they are about isn't the C library's.
export LGALLOC_TEST_SLOW=1

tests=("$@")
if (($# == 0)); then
  for source in "$c"/tests/test_*.c; do
    name=${source##*/}
    name=${name%.c}
    if [[ $name =~ stress || $name =~ ^test_(world|faults) ]] || grep -q '<linux/' "$source"; then
      continue
    fi
    tests+=("$name")
  done
fi

# one NAME: compiles and runs a test; the last line of what it says is its result.
one() {
  local name=$1 seen=()
  local library=$work/public.o
  if [[ $name != test_api_* ]]; then
    seen=("${inside[@]}")
    library=$work/inside.o
  fi
  "$cc" "${flags[@]}" "${seen[@]}" "$c/tests/$name.c" "$work"/support*.o "$library" -o "$work/$name" &&
    "$c/cmake/in-test-dir.sh" "$work/$name"
}

"$cc" "${flags[@]}" -c "$c/lgalloc.c" -o "$work/public.o" &
"$cc" "${flags[@]}" "${inside[@]}" -c "$c/lgalloc.c" -o "$work/inside.o" &
for source in "$c"/tests/support*.c; do
  if ! grep -q '<linux/' "$source"; then
    "$cc" "${flags[@]}" -c "$source" -o "$work/$(basename "$source" .c).o"
  fi
done
wait
[[ -e $work/public.o && -e $work/inside.o ]] || {
  echo "musl: 0 passed, 1 failed"
  exit 1
}

count=0
failed=0
# Two at a time.
for ((i = 0; i < ${#tests[@]}; i += 2)); do
  for name in "${tests[@]:i:2}"; do
    (one "$name" >"$work/$name.log" 2>&1 && touch "$work/$name.ok") &
  done
  wait
  for name in "${tests[@]:i:2}"; do
    count=$((count + 1))
    if [[ -e $work/$name.ok ]]; then
      echo "ok: $name: $(grep -h 'PASSED' "$work/$name.log" | paste -sd ' ')"
    else
      echo "failed: $name"
      cat "$work/$name.log"
      failed=$((failed + 1))
    fi
  done
done
echo "musl: $((count - failed)) passed, $failed failed"
((failed == 0))
