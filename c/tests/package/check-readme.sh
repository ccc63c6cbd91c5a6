#!/usr/bin/env bash
# The C programs in README.md compile without a warning and end well; its table of options has all of them, and the
# header all variables that the library reads. Links between the documents lead somewhere, c/README.md names no file and
# no function that isn't there, and fuzz/README.md has all mutants.
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
# as_printed KIND DEFAULT: as the README and the statistics have it.
as_printed() {
  case $1:$2 in
    SWITCH:0) echo false ;;
    SWITCH:1) echo true ;;
    BACKING:LGALLOC_BACKING_FILE) echo file ;;
    BYTES:UINT64_MAX) echo unlimited ;;
    BYTES:*' * LG_MIB') echo "${2%% *} MiB" ;;
    *) echo "$2" ;;
  esac
}
while read -r option; do
  has "option $option" "$root/README.md" "^\|[^|]*\`$option\`[^|]*\|"
done < <(sed -nE 's/^(void|lgalloc_status) lgalloc_config_([a-z_]+)\(lgalloc_config \*config.*/\2/p' "$root/include/lgalloc.h" |
  grep -vxE 'free|from_env|variable')
# The table that the library is generated from, one line each: variable, and for numbers and switches the kind and the
# default.
while read -r variable kind default; do
  has "variable LGALLOC_$variable" "$root/include/lgalloc.h" "LGALLOC_${variable}[, .:]"
  case $kind in
    "") has "variable $variable" "$root/README.md" "^\|.*\| \`$variable\` \| none \|" ;;
    *) has "variable $variable with its default" "$root/README.md" "^\|.*\| \`$variable\` \| $(as_printed "$kind" "$default") \|" ;;
  esac
done < <(sed -nE 's/^ +X\([a-z_]+, ([A-Z]+), (.*), "([A-Z_]+)"\).*/\3 \1 \2/p; s/^ +X\([a-z_]+, "([A-Z_]+)", .*/\1/p' "$root/c/src/base/options.h")
while read -r variable; do
  has "other variable LGALLOC_$variable" "$root/include/lgalloc.h" "LGALLOC_${variable/\*/…}[, .;)]"
done < <(sed -n '/^#define LG_VARIABLES_OF_OTHERS/,/^$/p' "$root/c/src/base/options.h" | grep -oE '"[A-Z_*]+"' | tr -d '"')

# is FAILS-BECAUSE COMMAND...
is() {
  count=$((count + 1))
  if ! "${@:2}"; then
    echo "failed: $1"
    failed=$((failed + 1))
  fi
}
# A heading's anchor, as web pages of repositories make it.
anchors() {
  sed -nE 's/^#+ +//p' "$1" | tr '[:upper:]' '[:lower:]' | sed -E 's/[^a-z0-9 _-]//g; s/ /-/g'
}
has_anchor() { anchors "$1" | grep -qxF -- "$2"; }
documents=("$root"/README.md "$root"/.github/*.md "$root"/c/*.md "$root"/c/{tests,bench,packaging}/*.md
  "$root"/c/examples/adapters/*.md "$root"/fuzz/*.md "$root"/ffi-tests/README.md)
for document in "${documents[@]}"; do
  [[ -e $document ]] || continue
  while read -r target; do
    file=$document
    [[ -z ${target%%#*} ]] || file=$(dirname "$document")/${target%%#*}
    is "${document#"$root/"} links to $target" test -e "$file"
    if [[ $target == *.md#* || $target == \#* ]]; then
      is "${document#"$root/"} links to $target" has_anchor "$file" "${target#*#}"
    fi
  done < <(grep -oE '\]\([^)]+\)' "$document" | sed -E 's/^\]\(//; s/\)$//' | grep -vE '^[a-z]+:' | sort -u)
done
is_file() { [[ -n $(find "$root"/c/{src,tests} -name "$1") ]]; }
# The house: files of c/src, and what is named lg_... or LG_... there.
while read -r file; do
  is "c/README.md names $file" is_file "$file"
done < <(grep -oE '\b[a-z_]+\.[ch]\b' "$root/c/README.md" |
  grep -vxE 'lgalloc\.[ch]|sdt\.h|program\.c|test_\.c' | sort -u)
while read -r file; do
  room=$(basename "${file%.*}")
  is "c/README.md lacks $room" grep -qE "\\b$room\\.[ch]\\b" "$root/c/README.md"
done < <(find "$root/c/src" -name '*.[ch]')
while read -r name; do
  is "c/README.md names $name" grep -qrw -- "$name" "$root/c/src"
done < <(grep -oE '\b(lg|LG)_[A-Za-z0-9_]+' "$root/c/README.md" | sort -u)
for patch in "$root"/fuzz/mutants/*.patch; do
  name=$(basename "$patch" .patch)
  is "fuzz/README.md lacks mutant $name" grep -q "^| \`$name\` |" "$root/fuzz/README.md"
done

echo "readme: $((count - failed)) passed, $failed failed"
((failed == 0 && count > 0))
