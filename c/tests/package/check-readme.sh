#!/usr/bin/env bash
# The C programs in README.md compile without a warning and end well; its table of options has all of them, and the
# header all variables that the library reads.
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
# has WHAT FILE PATTERN
has() {
  count=$((count + 1))
  if ! grep -qE "$3" "$2"; then
    echo "failed: ${2##*/} doesn't say $1"
    failed=$((failed + 1))
  fi
}
while read -r option; do
  has "option $option" "$root/README.md" "^\|[^|]*\`$option\`[^|]*\|"
done < <(sed -nE 's/^(void|lgalloc_status) lgalloc_config_([a-z_]+)\(lgalloc_config \*config.*/\2/p' "$root/include/lgalloc.h" |
  grep -vxE 'free|from_env')
while read -r variable; do
  has "variable LGALLOC_$variable" "$root/include/lgalloc.h" "LGALLOC_${variable}[, .]"
done < <(sed -nE 's/^ +X\([a-z_]+, .*, "([A-Z_]+)"\).*/\1/p' "$root/c/src/config.h")

echo "readme: $((count - failed)) passed, $failed failed"
((failed == 0 && count > 0))
