#!/usr/bin/env bash
# Every file of c/src compiles by itself, headers also twice. And it includes
# - only what stands above it in c/lgalloc.c, so that no files include one another in a circle;
# - of other folders only what is in their doors, which c/lgalloc.c names;
# - the header of every name that it has, itself or by the header of its own room: not by chance, by somebody else's;
# - nothing that it has no name of.
# And what a folder's headers declare is defined there, so that nobody calls upwards.
#   check-alone.sh CC...
set -euo pipefail
c=$(cd "$(dirname "$0")/../.." && pwd)
# Alone, a header's functions are used by nobody.
flags=(-std=c11 -Wall -Wextra -Wpedantic -Werror -Wno-unused-function
  -I"$c/../include" -I"$c/src" -fsyntax-only)
count=0
failed=0

# try FILE COMPILER [DEFINE...]
try() {
  local file=$1 source
  shift
  source="#include \"$file\""
  if [[ $file == *.h ]]; then
    source+=$'\n'$source
  fi
  count=$((count + 1))
  if ! "$@" "${flags[@]}" -x c - <<<"$source"; then
    echo "failed: $* ${file#"$c/"}"
    failed=$((failed + 1))
  fi
}

for cc in "$@"; do
  for file in "$c"/src/*/*.[ch]; do
    try "$file" "$cc" -Wshadow
    try "$file" "$cc" -Wshadow -DLG_DEBUG=1 -DLG_TESTING=1
  done
done

whole=$(mktemp "${TMPDIR:-/tmp}/lgalloc-whole.XXXXXX")
trap 'rm -f "$whole"*' EXIT
"$1" -E -dD -std=c11 -DLG_DEBUG=1 -DLG_TESTING=1 -I"$c/../include" "$c/lgalloc.c" >"$whole"
awk -f "$c/tests/package/layers.awk" "$c/lgalloc.c" "$whole" "$c"/src/*/*.[ch] 2>"$whole.counts"
read -r checks failures <"$whole.counts"
count=$((count + checks))
failed=$((failed + failures))
echo "alone: $((count - failed)) passed, $failed failed"
((failed == 0))
