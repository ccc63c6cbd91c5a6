#!/usr/bin/env bash
# Breaks the library in known ways, one patch of mutants/ at a time, and shows which step of the ladder sees it.
#
#   run-mutants.sh [--jobs N] [MUTANT...]
#
# A patch begins with a line "# ..." that says what the bug is, and applies to the repository with patch -p1. A mutant
# is done at the first step that fails. Exits with 1 if one survives, or if the library fails by itself.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
build=${BUILD_DIR:-$root/build}
work=$build/mutants
jobs=1
if [[ ${1:-} == --jobs ]]; then
  jobs=$2
  shift 2
fi

# Where everything is copied to, built and broken.
prepare() {
  local to=$1
  mkdir -p "$to"
  rm -rf "$to/c" "$to/include" "$to/fuzz"
  cp -Rp "$root/c" "$root/include" "$root/fuzz" "$to/"
  # The last mutant's objects are younger than the files that it changed.
  find "$to/c/src" -type f -exec touch {} +
}

configure() { # DIRECTORY COMPILER FLAVOUR
  cmake -S "$1/c" -B "$1/$2-$3" -DCMAKE_C_COMPILER="$2" -DLGALLOC_FLAVOUR="$3" -DLGALLOC_TESTS=ON >/dev/null
}

# Cheapest first. step NAME DIRECTORY fails if the mutant in DIRECTORY is seen.
steps=(compile exhaustive units corpora api stress tsan asan)
step() {
  local plain=$2/gcc-plain tsan=$2/clang-tsan asan=$2/clang-asan
  case $1 in
    compile)
      configure "$2" gcc plain
      cmake --build "$plain" --parallel 2 --target lgalloc_testing lgalloc_shared
      ;;
    exhaustive)
      cmake --build "$plain" --parallel 2 --target exhaustive
      "$plain/exhaustive"
      ;;
    units)
      cmake --build "$plain" --parallel 2
      cd "$plain" && ctest --parallel 2 --output-on-failure -E '^(test_api_|fuzz_|exhaustive|example|soak)' -LE stress
      ;;
    corpora) cd "$plain" && ctest --parallel 2 --output-on-failure -R '^fuzz_' ;;
    api) cd "$plain" && ctest --parallel 2 --output-on-failure -R '^test_api_' -LE stress ;;
    stress) cd "$plain" && ctest --output-on-failure -L stress ;;
    tsan)
      configure "$2" clang tsan
      cmake --build "$tsan" --parallel 2 --target stress_seams
      cd "$tsan" && ctest --output-on-failure -R stress_seams
      ;;
    asan)
      configure "$2" clang asan
      cmake --build "$asan" --parallel 2 --target stress_seams fuzz_api fuzz_faults
      cd "$asan" && ctest --output-on-failure -R '^(stress_seams|fuzz_api|fuzz_faults)$'
      ;;
  esac
}
if [[ ${1:-} == --step ]]; then
  step "$2" "$3"
  exit
fi

# run_one DIRECTORY PATCH: a line of the table.
run_one() {
  local to=$1 patch=$2 name step start log
  name=$(basename "$patch" .patch)
  log=$work/$name.log
  prepare "$to"
  if ! patch -s -p1 -d "$to" <"$patch" >"$log" 2>&1; then
    printf '%-36s %-12s\n' "$name" "DOES NOT APPLY"
    return 1
  fi
  start=$EPOCHSECONDS
  for step in "${steps[@]}"; do
    if ! timeout 1800 "$0" --step "$step" "$to" >>"$log" 2>&1 </dev/null; then
      printf '%-36s %-12s %5d s   %s\n' "$name" "$step" $((EPOCHSECONDS - start)) "$(sed -n '1s/^# //p' "$patch")"
      return 0
    fi
  done
  printf '%-36s %-12s %5d s   %s\n' "$name" "SURVIVED" $((EPOCHSECONDS - start)) "$(sed -n '1s/^# //p' "$patch")"
  return 1
}

mkdir -p "$work"
# ThreadSanitizer of some compilers can't live with how far some kernels spread addresses.
printf 'int main(void) { return 0; }\n' >"$work/probe.c"
if clang -fsanitize=thread "$work/probe.c" -o "$work/probe" 2>/dev/null &&
  ! "$work/probe" 2>/dev/null; then
  LGALLOC_TEST_LAUNCHER="setarch $(uname -m) -R"
  export LGALLOC_TEST_LAUNCHER
fi

patches=()
if (($# > 0)); then
  for name in "$@"; do
    patches+=("$root/fuzz/mutants/${name%.patch}.patch")
  done
else
  patches=("$root"/fuzz/mutants/*.patch)
fi

# The ladder must stand on its own first.
if (($# == 0)); then
  prepare "$work/unbroken"
  for step in "${steps[@]}"; do
    if ! "$0" --step "$step" "$work/unbroken" >"$work/unbroken.log" 2>&1 </dev/null; then
      tail -n 20 "$work/unbroken.log" >&2
      echo "the library fails $step without any mutant: $work/unbroken.log" >&2
      exit 2
    fi
  done
fi

worker() { # NUMBER: every jobs-th patch
  local i rc=0
  for ((i = $1; i < ${#patches[@]}; i += jobs)); do
    run_one "$work/tree-$1" "${patches[i]}" || rc=1
  done
  return "$rc"
}
printf '%-36s %-12s %7s   %s\n' mutant "caught by" after "what it is"
failed=0
pids=()
for ((n = 0; n < jobs; n++)); do
  worker "$n" &
  pids+=($!)
done
for pid in "${pids[@]}"; do
  wait "$pid" || failed=1
done
exit "$failed"
