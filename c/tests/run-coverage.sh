#!/usr/bin/env bash
# Line and branch coverage of c/src from all tests and the fuzzers' corpora; lists what is not reached, with the
# reason where coverage-reasons.txt gives one. From ./build.sh coverage. Leaves the annotated sources in
# $BUILD_DIR/coverage.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
build=${BUILD_DIR:-$root/build}
variant=$build/gcc-coverage
out=$build/coverage

command -v gcov >/dev/null || {
  echo "gcov is missing; it comes with gcc" >&2
  exit 2
}
CFLAGS="${CFLAGS:-} -include $(printf '%q' "$root/c/tests/coverage_exit.h")" BUILD_DIR=$build \
  "$root/build.sh" variant gcc-coverage
find "$variant" -name '*.gcda' -delete
rm -rf "$out"
mkdir -p "$out"

echo "running the tests"
(cd "$variant" && ctest --parallel 2 --output-on-failure) >"$out/tests.log" 2>&1 || {
  tail -n 20 "$out/tests.log" >&2
  echo "a test failed: $out/tests.log" >&2
}

# The library is compiled several times: for the shared library, and with its internal checks.
number=0
while IFS= read -r data; do
  number=$((number + 1))
  mkdir -p "$out/$number"
  (cd "$out/$number" && gcov --branch-counts --branch-probabilities --object-file "$data" "$root/c/lgalloc.c") \
    >/dev/null 2>&1
done < <(find "$variant" -name 'lgalloc.c.gcda')
((number > 0)) || {
  echo "no test has run the library" >&2
  exit 1
}

# A line or branch is covered if it is in one of them. Branches of misuse and internal checks, which abort, do not count.
awk -v src="$root/c/src/" -v reasons="$root/c/tests/coverage-reasons.txt" '
  BEGIN {
    while ((getline line < reasons) > 0)
      if (line !~ /^#/ && split(line, part, /\t+/) == 2) { pattern[++patterns] = part[1]; why[patterns] = part[2] }
  }
  FNR == 1 { file = "" }
  match($0, /0:Source:/) {
    name = substr($0, RSTART + RLENGTH)
    file = index(name, "/src/") ? name : ""
    sub(/.*\/src\//, "", file)
    next
  }
  file == "" { next }
  /^branch/ {
    if (dead) next
    key = file ":" at ":" $2
    if (!(key in branch)) { branches[file]++; branch[key] = 0 }
    if ($0 !~ /never executed/ && $4 + 0 > 0) branch[key] = 1
    branch_file[key] = file
    next
  }
  /^(call|function|unconditional)/ { next }
  {
    split($0, part, ":")
    count = part[1]; at = part[2] + 0
    gsub(/[ *]/, "", count)
    text = $0
    sub(/^[^:]*:[^:]*:/, "", text)
    dead = text ~ /LG_DIE|LG_ASSERT/
    # Definitions begin in the first column.
    if (text ~ /^[A-Za-z]/ && text !~ /;$/ && match(text, /[a-z_0-9]+\(/))
      in_function = substr(text, RSTART, RLENGTH - 1)
    if (count == "-" || at == 0) next
    key = file ":" at
    if (!(key in seen)) { seen[key] = 0; lines[file]++; order[++total] = key; source[key] = text; line_file[key] = file; place[key] = file " " in_function }
    if (count !~ /^[#=]/) seen[key] = 1
  }
  END {
    for (key in branch) taken[branch_file[key]] += branch[key]
    for (i = 1; i <= total; i++) covered[line_file[order[i]]] += seen[order[i]]
    printf "%-18s %15s %22s\n", "file", "lines", "branches"
    count = asorted(lines, names)
    for (i = 1; i <= count; i++) {
      f = names[i]
      row(f, covered[f], lines[f], taken[f], branches[f])
      a += covered[f]; b += lines[f]; c += taken[f]; d += branches[f]
    }
    row("all", a, b, c, d)
    print "\nlines that no test reaches:"
    for (i = 1; i <= total; i++) {
      key = order[i]
      if (seen[key]) continue
      because = "no reason given"
      for (p = 1; p <= patterns; p++)
        if ((place[key] ":" source[key]) ~ pattern[p]) { because = why[p]; used[p] = 1; break }
      text = source[key]
      sub(/^ +/, "", text)
      printf "%-18s %-60.60s  %s\n", key, text, because
    }
    for (p = 1; p <= patterns; p++)
      if (!(p in used)) printf "reached, or no longer there: %s (%s)\n", pattern[p], why[p]
  }
  function row(name, a, b, c, d) {
    printf "%-18s %5d of %5d %5.1f%%   %5d of %5d %5.1f%%\n", name, a, b, b ? 100 * a / b : 100, c, d, d ? 100 * c / d : 100
  }
  # The keys of an array in order, for awks that cannot sort.
  function asorted(array, to, key, n, i, j, swap) {
    for (key in array) to[++n] = key
    for (i = 2; i <= n; i++)
      for (j = i; j > 1 && to[j - 1] > to[j]; j--) { swap = to[j]; to[j] = to[j - 1]; to[j - 1] = swap }
    return n
  }
' "$out"/*/*.gcov | tee "$out/report.txt"
