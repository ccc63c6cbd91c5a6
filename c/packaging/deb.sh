#!/usr/bin/env bash
# Debian packages: liblgalloc0, liblgalloc-dev and liblgalloc-preload, with the sources they are made from. They go into
# DIRECTORY, and lintian has its say.
#   deb.sh DIRECTORY
# DEBFULLNAME and DEBEMAIL name the maintainer in what is built.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
[[ $# == 1 ]] || {
  echo "usage: deb.sh DIRECTORY" >&2
  exit 2
}
for tool in dpkg-buildpackage dh lintian; do
  command -v "$tool" >/dev/null || {
    echo "$tool is missing (apt-get install dpkg-dev debhelper lintian)" >&2
    exit 2
  }
done
mkdir -p "$1"
out=$(cd "$1" && pwd -P)
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc-deb.XXXXXX")
trap 'rm -rf "$work"' EXIT

version=$(sed -nE 's/^#define LGALLOC_VERSION_(MAJOR|MINOR|PATCH) ([0-9]+)$/\2/p' "$root/include/lgalloc.h" | paste -sd .)
major=${version%%.*}
listed=$(sed -n '1s/^lgalloc (\(.*\)) .*/\1/p' "$root/c/packaging/debian/changelog")
if [[ $listed != "$version" ]]; then
  echo "c/packaging/debian/changelog ends with $listed, and the header says $version" >&2
  exit 1
fi
if ! grep -qxF "Package: liblgalloc$major" "$root/c/packaging/debian/control"; then
  echo "c/packaging/debian/control has no package liblgalloc$major" >&2
  exit 1
fi

tree=$work/lgalloc-$version
mkdir "$tree"
cp -r "$root/c" "$root/include" "$root/README.md" "$root/LICENSE-MIT" "$root/LICENSE-APACHE" "$tree"
mv "$tree/c/packaging/debian" "$tree/debian"
if [[ -n ${DEBEMAIL:-} ]]; then
  sed -i "s|^Maintainer: .*|Maintainer: ${DEBFULLNAME:-lgalloc maintainers} <$DEBEMAIL>|" "$tree/debian/control"
fi

(cd "$tree" && dpkg-buildpackage -us -uc)
lintian --profile debian --info --fail-on error,warning "$work"/*.changes
find "$work" -maxdepth 1 -type f -exec cp {} "$out" \;
