#!/usr/bin/env bash
# The recipe for Conan makes a package of either library, with which its test programs run.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc-conan.XXXXXX")
trap 'rm -rf "$work"' EXIT
export CONAN_HOME=$work/home TMPDIR=$work
count=0
failed=0
conan profile detect
for shared in False True; do
  count=$((count + 1))
  if conan create "$root/c/packaging/conan" -o "lgalloc/*:shared=$shared" \
    -c "tools.cmake.cmake_layout:test_folder=\$TMP" >"$work/log" 2>&1 && grep -F ' squares' "$work/log"; then
    echo "ok: shared $shared"
  else
    echo "failed: shared $shared"
    cat "$work/log"
    failed=$((failed + 1))
  fi
done
echo "conan: $((count - failed)) passed, $failed failed"
((failed == 0))
