#!/usr/bin/env bash
# The C programs in README.md compile without a warning and end well.
#   check-readme.sh DIRECTORY-OF-LIBRARY CC...
set -euo pipefail
libraries=$1
shift
root=$(cd "$(dirname "$0")/../../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc-readme.XXXXXX")
trap 'rm -rf "$work"' EXIT
count=0
failed=0

awk -v work="$work" '
  /^```c$/ { inside = 1; name = sprintf("%s/%02d.c", work, ++n); next }
  /^```/ { inside = 0 }
  inside { print > name }' "$root/README.md"

for source in "$work"/*.c; do
  # Fragments are for reading.
  if [[ ! -e $source ]] || ! grep -q 'int main(' "$source"; then
    continue
  fi
  for cc in "$@"; do
    count=$((count + 1))
    if "$cc" -Wall -Wextra -Werror -I"$root/include" "$source" "$libraries/liblgalloc.a" -pthread -o "$work/program" &&
      (cd "$work" && ./program); then
      echo "ok: $cc ${source##*/}"
    else
      echo "failed: $cc"
      cat "$source"
      failed=$((failed + 1))
    fi
  done
done
echo "readme: $((count - failed)) passed, $failed failed"
((failed == 0 && count > 0))
