#!/usr/bin/env bash
# The release library is the same, byte by byte, when it is built from a copy of the tree somewhere else.
#   check-reproducible.sh CC DIRECTORY-OF-LIBRARY
set -euo pipefail
cc=$1 libraries=$2
root=$(cd "$(dirname "$0")/../../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc reproducible.XXXXXX")
trap 'rm -rf "$work"' EXIT
count=0
failed=0

mkdir "$work/another place"
cp -r "$root/build.sh" "$root/c" "$root/include" "$root/LICENSE-MIT" "$root/LICENSE-APACHE" "$work/another place"
# At another time, for another user, in another language.
CC=$cc BUILD_DIR="$work/and not below it" TZ=Asia/Tokyo LC_ALL=C HOME=$work "$work/another place/build.sh" build
for library in liblgalloc.a liblgalloc.so liblgalloc-preload.so; do
  count=$((count + 1))
  if cmp "$libraries/$library" "$work/and not below it/$library"; then
    echo "ok: $library"
  else
    echo "failed: $library"
    failed=$((failed + 1))
  fi
done
count=$((count + 1))
if grep -lF "$root" "$libraries/liblgalloc.a" "$libraries/liblgalloc.so" "$libraries/liblgalloc-preload.so"; then
  echo "failed: these say where they were built"
  failed=$((failed + 1))
fi
echo "reproducible: $((count - failed)) passed, $failed failed"
((failed == 0))
