#!/usr/bin/env bash
# Compiles include/lgalloc.h as every standard it promises, under the compilers named:
#   check.sh CC:CXX...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
include=$(cd "$here/../../../include" && pwd)
warnings=(-Wall -Wextra -Wpedantic -Wshadow -Wundef -Wconversion -Wsign-conversion -Werror)
count=0
failed=0

# try COMPILER FLAG...
try() {
  count=$((count + 1))
  if ! "$@" "${warnings[@]}" -I"$include" -fsyntax-only "$here/header.c"; then
    echo "failed: $*"
    failed=$((failed + 1))
  fi
}

for pair in "$@"; do
  for std in c99 c11 c17 c2x gnu11 gnu17; do
    try "${pair%%:*}" -x c -std="$std" -Wstrict-prototypes -Wmissing-prototypes
  done
  for std in c++11 c++14 c++17 c++20 gnu++17; do
    try "${pair#*:}" -x c++ -std="$std" -Wold-style-cast
  done
done
echo "header: $((count - failed)) passed, $failed failed"
((failed == 0 && count > 0))
