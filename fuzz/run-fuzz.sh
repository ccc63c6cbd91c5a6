#!/usr/bin/env bash
# Runs libFuzzer over one harness or all: run-fuzz.sh [HARNESS] [SECONDS], from ./build.sh fuzz, which has built them
# in $BUILD_DIR/clang-fuzz. New inputs are kept in the build directory; a crash is minimised.
#
#   run-fuzz.sh --keep [HARNESS]   merges what was found into the corpus in the repository, minimised
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
build=${BUILD_DIR:-$root/build}
programs=$build/clang-fuzz
found=$build/fuzz
wrapper=$root/c/cmake/in-test-dir.sh

keep=0
if [[ ${1:-} == --keep ]]; then
  keep=1
  shift
fi
harnesses=()
for source in "$root"/fuzz/harnesses/fuzz_*.c; do
  name=${source##*/}
  harnesses+=("${name%.c}")
done
seconds=60
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
  seconds=$1
elif [[ -n ${1:-} ]]; then
  name=${1#fuzz_}
  [[ " ${harnesses[*]} " == *" fuzz_$name "* ]] || {
    echo "no such harness: $1 (there are: ${harnesses[*]})" >&2
    exit 2
  }
  harnesses=("fuzz_$name")
  seconds=${2:-$seconds}
fi

# Every input in one file each, named by its contents.
keep_corpus() {
  local name=$1 merged
  merged=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc-merge.XXXXXX")
  "$wrapper" "$programs/$name" -merge=1 -use_counters=0 -max_len=160 "$merged" "$root/fuzz/corpus/$name" "$found/$name" 2>&1 | tail -n 1
  find "$root/fuzz/corpus/$name" -type f ! -name 'regression-*' ! -name 'seed*' -delete
  cp -n "$merged"/* "$root/fuzz/corpus/$name/"
  rm -rf "$merged"
  du -sh "$root/fuzz/corpus/$name"
}

failed=0
for name in "${harnesses[@]}"; do
  mkdir -p "$found/$name"
  if ((keep)); then
    keep_corpus "$name"
    continue
  fi
  echo "== $name, $seconds s"
  log=$found/$name.log
  rm -f "$found/$name-"*
  if "$wrapper" "$programs/$name" -max_total_time="$seconds" -timeout=600 -rss_limit_mb=4096 -max_len=256 \
    -print_final_stats=1 -artifact_prefix="$found/$name-" "$found/$name" "$root/fuzz/corpus/$name" >"$log" 2>&1; then
    awk '/stat::number_of_executed_units/ { n = $2 } /stat::average_exec_per_sec/ { r = $2 }
         /stat::new_units_added/ { a = $2 } END { print n " executions, " r " per second, " a " new inputs" }' "$log"
    continue
  fi
  failed=1
  crash=$(find "$found" -maxdepth 1 -name "$name-*" ! -name '*.log' -type f | head -n 1)
  grep -m 1 -E 'failed:|ERROR:|aborts|runtime error' "$log" || tail -n 20 "$log"
  [[ -n $crash ]] || continue
  smaller=$found/$name-minimised
  "$wrapper" "$programs/$name" -minimize_crash=1 -max_total_time=60 -exact_artifact_path="$smaller" "$crash" \
    >"$found/$name-minimise.log" 2>&1 || true
  [[ ! -s $smaller ]] || crash=$smaller
  echo "the input: $crash"
  echo "again:     $programs/$name $crash"
  echo "           or with any compiler: ./build.sh variant gcc-plain $name && $build/gcc-plain/$name $crash"
done
exit "$failed"
