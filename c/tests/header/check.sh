#!/usr/bin/env bash
# Compiles include/lgalloc.h as every standard it promises, under the compilers named, finds out what its attributes do,
# and has other languages' tools read it:
#   check.sh CC:CXX...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
include=$(cd "$here/../../../include" && pwd)
warnings=(-Wall -Wextra -Wpedantic -Wshadow -Wundef -Wconversion -Wsign-conversion -Werror)
count=0
failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc-header.XXXXXX")
trap 'rm -rf "$work"' EXIT

# try COMPILER FLAG...
try() {
  count=$((count + 1))
  if ! "$@" "${warnings[@]}" -I"$include" -fsyntax-only "$here/header.c"; then
    echo "failed: $*"
    failed=$((failed + 1))
  fi
}

# says TEXT|nothing COMPILER STATEMENT [FLAG...]: what the compiler has to say to a function of that statement.
says() {
  local wanted=$1 cc=$2 statement=$3 good=no
  shift 3
  count=$((count + 1))
  printf '#include <stdlib.h>\n#include "lgalloc.h"\nint run(void) { %s; return 0; }\n' "$statement" >"$work/statement.c"
  if "$cc" "${warnings[@]}" -O2 -I"$include" "$@" -c "$work/statement.c" -o "$work/statement.o" >"$work/said" 2>&1; then
    [[ $wanted == nothing ]] && good=yes
  elif grep -q -e "$wanted" "$work/said"; then
    good=yes
  fi
  if [[ $good == no ]]; then
    echo "failed: $cc $* should say $wanted to: $statement"
    cat "$work/said"
    failed=$((failed + 1))
  fi
}

# knows_size CC SIZE STATEMENT [FLAG...]: what the compiler takes for the size of what that returns; -1: nothing.
knows_size() {
  says nothing "$1" "extern void no(void) __attribute__((error(\"another size\")));
    void *p = $3; if (__builtin_object_size(p, 0) != (size_t)$2) no(); lgalloc_any_free(p)" "${@:4}"
}

attributes() {
  local cc=$1
  says unused-result "$cc" 'lgalloc_malloc(65536)'
  says unused-result "$cc" 'lgalloc_any_realloc(NULL, 1)'
  says unused-result "$cc" 'lgalloc_config_new()'
  says nothing "$cc" 'lgalloc_set_config(NULL)'
  # Every one that may free it.
  says nothing "$cc" 'lgalloc_free(lgalloc_malloc(65536))'
  says nothing "$cc" 'lgalloc_free_sized(lgalloc_calloc(1, 65536), 65536)'
  says nothing "$cc" 'lgalloc_free(lgalloc_realloc(lgalloc_malloc(65536), 131072))'
  says nothing "$cc" 'lgalloc_any_free(lgalloc_malloc(65536)); lgalloc_any_free(malloc(1)); lgalloc_any_free(lgalloc_any_malloc(1))'
  if "$cc" -dM -E - </dev/null | grep -c '__clang__\|__GNUC__ \([4-9]\|10\)$' >/dev/null; then
    says nothing "$cc" 'free(lgalloc_malloc(65536))'
  else
    says mismatched-dealloc "$cc" 'free(lgalloc_malloc(65536))'
    says mismatched-dealloc "$cc" 'lgalloc_free(malloc(65536))'
    says mismatched-dealloc "$cc" 'free(lgalloc_config_new())'
  fi
  # Programs may use all of a region, unless they say that they don't.
  knows_size "$cc" -1 'lgalloc_malloc(100000)'
  knows_size "$cc" 100000 'lgalloc_malloc(100000)' -DLGALLOC_EXACT_SIZES
  knows_size "$cc" 100000 'lgalloc_any_calloc(100, 1000)' -DLGALLOC_EXACT_SIZES
}

# read_by MODULE CC: by a Python that has it.
read_by() {
  local module=$1 python
  [[ $module != libclang ]] || module=clang.cindex
  for python in python3 /usr/bin/python3; do
    if "$python" -c "import $module" 2>/dev/null; then
      count=$((count + 1))
      if ! PYTHONDONTWRITEBYTECODE=1 "$python" "$here/tools.py" "$1" "$2"; then
        echo "failed: $1"
        failed=$((failed + 1))
      fi
      return
    fi
  done
  echo "left out: $1, since Python has no module $module"
}

for pair in "$@"; do
  for std in c99 c11 c17 c2x gnu11 gnu17; do
    try "${pair%%:*}" -x c -std="$std" -Wstrict-prototypes -Wmissing-prototypes
  done
  for std in c++98 c++11 c++14 c++17 c++20 gnu++17; do
    try "${pair#*:}" -x c++ -std="$std" -Wold-style-cast
  done
  attributes "${pair%%:*}"
  read_by cffi "${pair%%:*}"
done
read_by libclang clang
echo "header: $((count - failed)) passed, $failed failed"
((failed == 0 && count > 0))
