#!/usr/bin/env bash
# Every file of c/src compiles by itself, headers also twice, and no headers include one another in a circle.
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

# Guards would hide it, and then what a file sees would depend on who came first.
count=$((count + 1))
if ! (
  cd "$c/src"
  for file in */*.h; do
    sed -nE 's/^ *# *include "([a-z0-9_./]+\.h)".*/\1/p' "$file" | sed "s|.*/||; s|^|${file##*/} |"
  done
) | tsort >/dev/null; then
  echo "failed: these headers include one another"
  failed=$((failed + 1))
fi
echo "alone: $((count - failed)) passed, $failed failed"
((failed == 0))
