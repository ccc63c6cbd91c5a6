#!/usr/bin/env bash
# The tests, from ./build.sh test, which says what can be set:
#   run-tests.sh [STEP...]   all steps, or those named
#   run-tests.sh --list      the steps
# Steps run beside each other, a few more than there are processors, since many wait for something. What changes the
# machine for a moment (the label serial) comes last, by itself.
# shellcheck disable=SC2154 # root, build, logs, scratch, jobs and mallocs come from what is sourced
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=c/cmake/tools.sh
source "$here/../cmake/tools.sh"
# shellcheck source=c/cmake/variants.sh
source "$here/../cmake/variants.sh"

# Every compiler and flavour that the tests go through; the first part names the compiler.
variants=(gcc-plain gcc-asan clang-asan clang-tsan clang-plain gcc-tsan gcc-valgrind)
# The long tests keep two cores busy for a while: once plain and once under each sanitizer is enough.
stress_variants=(gcc-plain gcc-asan clang-tsan)

# Those that take long come first, so that what is left at the end is short.
steps=(build "${variants[@]}" fuzz cargo peers crates adapters hpp preload musl deb cmake instructions reproducible alone
  meson install conan exit demo shellcheck format readme header exports abi)

# Steps write what they counted here: passed, failed, and words for the line.
result() { printf '%s\n' "$@" >"$TMPDIR/result"; }

# ThreadSanitizer of some compilers can't live with how far some kernels spread addresses.
tsan_launcher() {
  local round setarch=""
  compiles c "$1" -fsanitize=thread || return 1
  for round in {1..6}; do
    if ! $setarch "$scratch/probe" >/dev/null 2>&1; then
      [[ -z $setarch && $round != 6 ]] || return 1
      setarch="setarch $(uname -m) -R"
    fi
  done
  echo "$setarch"
}

# Programs with cmocka say how many cases they had; any other is one.
count_cases() {
  awk '
    / Testing: / && /^[0-9]+\/[0-9]+ / { p = f = s = 0; passed = 0; open = 1 }
    match($0, /\[  PASSED  \] [0-9]+ test/) { p += substr($0, RSTART + 13) + 0 }
    match($0, /\[  FAILED  \] [0-9]+ test/) { f += substr($0, RSTART + 13) + 0 }
    match($0, /\[  SKIPPED \] [0-9]+ test/) { s += substr($0, RSTART + 13) + 0 }
    /^Test Passed\./ { passed = 1 }
    open && /^".*" end time: / {
      if (passed && p + f + s == 0) p = 1
      if (!passed && f == 0) f = 1
      P += p; F += f; S += s; n++; open = 0
    }
    END { print P + 0, F + 0, S + 0, n + 0 }' "$1"
}

# For as many variants as run at once.
shm_has_room() {
  local free
  [[ -w /dev/shm ]] && free=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1) && ((free > lanes * 6 * 1024 * 1024))
}

step_variant() {
  local variant=$1 rc=0 passed failed skipped programs words complaints=""
  local -a options=(--parallel "$jobs" --output-on-failure --no-tests=error)
  local left_out='^serial$'
  local log=$build/$variant/Testing/Temporary/LastTest.log
  # What could be built is run all the same; the rest fails there.
  build_variant "$variant" >"$TMPDIR/make.log" 2>&1 || rc=1
  cat "$TMPDIR/make.log"
  if ((rc != 0)); then
    complaints=$(grep -E 'error|\*\*\*' "$TMPDIR/make.log" || true)
  fi
  export LGALLOC_TEST_LAUNCHER=""
  if [[ $variant == *-tsan ]] && ! LGALLOC_TEST_LAUNCHER=$(tsan_launcher "${variant%%-*}"); then
    echo "no program of ${variant%%-*} -fsanitize=thread runs here"
    return 1
  fi
  words=""
  if [[ " ${stress_variants[*]} " != *" $variant "* ]]; then
    left_out='^(serial|stress)$'
    words=" (without stress)"
  fi
  options+=(--label-exclude "$left_out")
  rm -f "$log"
  # Files on the disk once; in memory, where there is enough of it, for the others: punching holes takes its time.
  local files=""
  if [[ $variant != gcc-plain ]] && shm_has_room; then
    files=/dev/shm
  fi
  (cd "$build/$variant" && LGALLOC_TEST_FAST_DIR=$files ctest "${options[@]}") || rc=$?
  if [[ -n $complaints ]]; then
    printf 'not everything could be built:\n%s\n' "$complaints" | head -n 30
  fi
  [[ -e $log ]] || return 1
  cp "$log" "$logs/$variant-tests.log"
  read -r passed failed skipped programs < <(count_cases "$log")
  if ((skipped > 0)); then
    words=", $skipped skipped$words"
  fi
  result "$passed" "$failed" "$programs programs, $((passed + failed)) tests$words"
  return "$rc"
}

# The tests that must run alone, of all variants that were tested.
step_serial() {
  local variant rc=0 passed=0 failed=0 skipped=0 p f s
  local log
  for variant in "${tested[@]}"; do
    log=$build/$variant/Testing/Temporary/LastTest.log
    rm -f "$log"
    echo "---- $variant"
    (cd "$build/$variant" && ctest --label-regex '^serial$' --output-on-failure --no-tests=ignore) || rc=1
    [[ -e $log ]] || continue
    read -r p f s _ < <(count_cases "$log")
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  done
  result "$passed" "$failed" "$((passed + failed)) tests$( ((skipped == 0)) || echo ", $skipped skipped")"
  return "$rc"
}

step_build() {
  build_variant release
  result 1 0 "release library"
}

# counted COMMAND...: its last line says "WHAT: N passed, N failed".
counted() {
  local rc=0 log=$TMPDIR/counted
  "$@" 2>&1 | tee "$log" || rc=$?
  local line
  line=$(tail -n 1 "$log")
  if [[ $line =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    result "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "$((BASH_REMATCH[1] + BASH_REMATCH[2])) checks"
  fi
  return "$rc"
}

step_header() { counted "$root/c/tests/header/check.sh" gcc:g++ clang:clang++; }
step_hpp() {
  build_variant release lgalloc_static lgalloc_shared
  counted "$root/c/tests/package/check-hpp.sh" "$build/liblgalloc.a" gcc:g++ clang:clang++
}
step_alone() { counted "$root/c/tests/package/check-alone.sh" gcc clang; }
step_install() { counted "$root/c/tests/package/check-install.sh" gcc:g++ clang:clang++; }
step_reproducible() {
  build_variant release lgalloc_static lgalloc_shared lgalloc_preload
  counted "$root/c/tests/package/check-reproducible.sh" "$(release_compiler)" "$build"
}
step_abi() { counted "$root/c/packaging/abi.sh" check "$(release_compiler)"; }
step_musl() { counted "$root/c/tests/package/check-musl.sh" musl-gcc; }
step_meson() { counted "$root/c/tests/package/check-meson.sh" gcc:g++; }
step_deb() { counted "$root/c/tests/package/check-deb.sh" gcc; }
step_conan() { counted "$root/c/tests/package/check-conan.sh"; }
step_cmake() { counted "$root/c/tests/package/check-cmake.sh" gcc:g++; }
step_instructions() { counted "$root/c/tests/package/check-instructions.sh" gcc clang; }
step_exports() {
  build_variant release lgalloc_static lgalloc_shared
  counted "$root/c/tests/package/check-exports.sh" "$(release_compiler)" "$build/liblgalloc.so" "$build/liblgalloc.a"
}
step_exit() {
  build_variant release lgalloc_static lgalloc_shared
  counted "$root/c/tests/package/check-exit.sh" "$(release_compiler)" "$build/liblgalloc.so" "$build/liblgalloc.a"
}
step_preload() {
  build_variant release lgalloc_preload
  counted "$root/c/tests/package/check-preload.sh" "$(release_compiler)" g++ "$build/liblgalloc-preload.so"
}
step_adapters() {
  build_variant release lgalloc_shared
  counted "$root/c/tests/package/check-adapters.sh" "$build" 1
}
step_demo() {
  build_variant release demo
  counted "$root/c/tests/package/check-demo.sh" "$build/release/demo"
}
step_readme() {
  build_variant release lgalloc_static lgalloc_shared
  counted "$root/c/tests/package/check-readme.sh" "$build" gcc clang
}

# Each harness from its corpus, for a bounded number of inputs or for FUZZ_SECONDS; what it finds on the
# way isn't kept.
step_fuzz() {
  local source name passed=0 failed=0 words
  local -a bound
  if [[ -n ${FUZZ_SECONDS:-} ]]; then
    bound=("-max_total_time=$FUZZ_SECONDS")
    words="$FUZZ_SECONDS s each"
  else
    bound=(-runs=20000 -max_total_time=15)
    words="20000 inputs or 15 s each"
  fi
  build_variant clang-fuzz
  for source in "$root"/fuzz/harnesses/fuzz_*.c; do
    name=${source##*/}
    name=${name%.c}
    [[ -x $build/clang-fuzz/$name ]] || continue
    echo "---- $name"
    mkdir -p "$TMPDIR/found-$name"
    if "$root/c/cmake/in-test-dir.sh" "$build/clang-fuzz/$name" "${bound[@]}" -timeout=600 -rss_limit_mb=4096 \
      -print_final_stats=1 -artifact_prefix="$logs/$name-" "$TMPDIR/found-$name" "$root/fuzz/corpus/$name"; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
      echo "failed: $name; the input is in $logs"
    fi
  done
  result "$passed" "$failed" "$((passed + failed)) harnesses, $words"
  ((failed == 0 && passed > 0))
}

# cargo_test ARGUMENT...
cargo_test() {
  local rc=0 cargo log=$TMPDIR/cargo passed failed ignored
  cargo=$(find_cargo)
  (cd "$root" && CARGO_TARGET_DIR=$build/cargo CARGO_TERM_COLOR=never "$cargo" test --no-fail-fast "$@") 2>&1 | tee "$log" || rc=$?
  read -r passed failed ignored < <(awk '/^test result: / { for (i = 2; i <= NF; i++) {
    if ($i ~ /^passed/) p += $(i - 1); if ($i ~ /^failed/) f += $(i - 1); if ($i ~ /^ignored/) g += $(i - 1) } }
    END { print p + 0, f + 0, g + 0 }' "$log")
  result "$passed" "$failed" "$((passed + failed)) tests$( ((ignored == 0)) || echo ", $ignored ignored")"
  ((rc == 0 && passed > 0))
}
step_cargo() { cargo_test --workspace; }
step_peers() { cargo_test --workspace --manifest-path ffi-tests/peers/Cargo.toml; }

# The crates as packages, in the place of the original, with other crates and for other targets.
step_crates() {
  local rc=0 log=$TMPDIR/crates
  CARGO=$(find_cargo) CARGO_TERM_COLOR=never "$root/ffi-tests/check.sh" "$build/crates" 2>&1 | tee "$log" || rc=$?
  result "$(grep -c '^passed' "$log")" "$(grep -c '^FAILED' "$log")" "$(grep -c '^left out' "$log") left out"
  ((rc == 0))
}

step_shellcheck() {
  local -a scripts
  mapfile -t scripts < <(cd "$root" && find . \( -name .git -o -path ./build -o -name target \) -prune -o -type f \
    \( -name '*.sh' -o -path './.ci/*' \) -print)
  (cd "$root" && shellcheck --external-sources "${scripts[@]}")
  result 1 0 "${#scripts[@]} scripts"
}

# All of the C, as .clang-format says. By the one version, since another breaks lines elsewhere.
step_format() {
  local -a files
  mapfile -t files < <(cd "$root" && find c ffi-tests fuzz include \( -name build -o -name target \) -prune -o -type f \
    -name '*.[ch]' -print)
  (cd "$root" && clang-format-14 --dry-run --Werror "${files[@]}")
  result 1 0 "${#files[@]} files"
}

# ---------------------------------------------------------------- one step

# tools_of STEP: what it needs beyond what all need.
tools_of() {
  case $1 in
    meson) echo meson ;;
    abi) echo abidiff ;;
    musl) echo musl-gcc ;;
    deb) echo dpkg-buildpackage dh lintian sdt ;;
    shellcheck) echo shellcheck ;;
    format) echo clang-format-14 ;;
  esac
}

# likes_of STEP: what it does more with.
likes_of() {
  case $1 in
    preload) echo sqlite3 zstd redis-cli numpy "${mallocs[@]}" ;; # programs that use memory; it does with those that are there
    adapters) echo liburing python3-dev ;;
    header) echo cffi libclang ;;
    crates) echo musl-gcc aarch64-linux-gnu-gcc ;;
  esac
}

# unwanted STEP: a reason to leave it out, whatever is installed.
unwanted() {
  if [[ ($1 == peers || $1 == crates) && ${LGALLOC_PEERS:-0} != 1 && $named == no ]]; then
    echo "LGALLOC_PEERS=1 fetches other crates"
  elif [[ $1 == conan ]] && ! command -v conan >/dev/null; then
    echo "it is not installed (pip install conan)"
  fi
}

# lacking STEP: the packages that it needs and could not be installed.
lacking() {
  # shellcheck disable=SC2046 # words
  missing $(tools_of "$1") | paste -sd ' '
}

# step NAME, in a process of its own: runs it in a directory of its own, and leaves there its time and how it ended.
step() {
  local name=$1 begun
  local -a command=("step_$name")
  [[ $name != *-* ]] || command=(step_variant "$name")
  scratch=$scratch/$name
  export TMPDIR=$scratch
  begun=${EPOCHREALTIME/[^0-9]/}
  # Not in a condition, where the shell would go on after a failure inside.
  set +e
  (
    set -e
    "${command[@]}"
  ) >"$logs/$name.log" 2>&1 </dev/null
  printf '%s\n' $? $(((${EPOCHREALTIME/[^0-9]/} - begun) / 100000)) >"$scratch/ended.new"
  mv "$scratch/ended.new" "$scratch/ended"
}

start_step() {
  mkdir -p "$scratch/$1"
  # A process group of its own, to be ended as a whole.
  set -m
  (
    set +m
    trap - EXIT INT TERM
    step "$1"
  ) &
  running[$1]=$!
  set +m
}

total_passed=0
total_failed=0
# report_step NAME: its line, and the end of its log if it failed.
report_step() {
  local name=$1 log=$logs/$1.log word=ok rc=1 tenths=0
  local -a ended=() counts=()
  [[ ! -e $scratch/$name/ended ]] || mapfile -t ended <"$scratch/$name/ended"
  if ((${#ended[@]} == 2)); then
    rc=${ended[0]} tenths=${ended[1]}
  fi
  [[ ! -e $scratch/$name/result ]] || mapfile -t counts <"$scratch/$name/result"
  ((${#counts[@]} == 3)) || counts=($((rc == 0)) $((rc != 0)) "not finished")
  if ((rc != 0 && counts[1] == 0)); then
    counts[1]=1
  fi
  ((counts[1] == 0)) || word=FAIL
  total_passed=$((total_passed + counts[0]))
  total_failed=$((total_failed + counts[1]))
  [[ ! -t 1 ]] || printf '\r\033[K'
  printf '%-4s %s: %s%s  %d.%d s\n' "$word" "$name" "${counts[2]}" \
    "$( ((counts[1] == 0)) || echo ", ${counts[1]} failed")" $((tenths / 10)) $((tenths % 10))
  if [[ $word == FAIL ]]; then
    tail -n 60 "$log" | sed 's/^/  | /'
    echo "  all of it: $log"
  fi
  rm -rf "${scratch:?}/$name"
}

# ---------------------------------------------------------------- all of them

lanes=1 # so many steps run at once
declare -A running=()
# Whoever ends this ends what it started.
end_running() {
  local name
  for name in "${!running[@]}"; do
    kill -TERM -- "-${running[$name]}" 2>/dev/null || true
  done
  cleanup
}
trap end_running EXIT

# run_steps NAME...: `lanes` of them at a time.
run_steps() {
  local name
  while (($# > 0 || ${#running[@]} > 0)); do
    if (($# > 0 && ${#running[@]} < lanes)); then
      start_step "$1"
      shift
      continue
    fi
    [[ ! -t 1 ]] || printf '\r\033[K… %s' "${!running[*]}"
    wait -n || true
    for name in "${!running[@]}"; do
      if [[ -e $scratch/$name/ended ]] || ! kill -0 "${running[$name]}" 2>/dev/null; then
        unset "running[$name]"
        report_step "$name"
      fi
    done
  done
}

main() {
  local step reason
  local -a chosen=("$@") wanted=() todo=()
  named=yes
  for step in "$@"; do
    [[ " ${steps[*]} " == *" $step "* ]] || die "no such step: $step (there are: ${steps[*]})"
  done
  if (($# == 0)); then
    chosen=("${steps[@]}")
    named=no
  fi
  need cc cmake make gcc g++ clang cmocka binutils pkg-config valgrind cargo
  for step in "${chosen[@]}"; do
    # shellcheck disable=SC2207 # words
    [[ -n $(unwanted "$step") ]] || wanted+=($(tools_of "$step") $(likes_of "$step"))
  done
  # llvm-symbolizer: without it what clang's sanitizers report has addresses in place of lines. What some tests make file
  # systems with, and look at cores; without it these are skipped.
  want llvm-symbolizer groff python3 sdt mkfs.ext4 mkfs.xfs mkfs.btrfs gdb "${wanted[@]}"
  mkdir -p "$logs"
  need_scratch
  for step in "${chosen[@]}"; do
    reason=$(unwanted "$step")
    [[ -n $reason ]] || reason=$(lacking "$step")
    if [[ -n $reason ]]; then
      echo "--   $step: left out; $reason"
    else
      todo+=("$step")
    fi
  done
  lanes=$((jobs < 8 ? jobs + 1 : 8))
  # Two at once must not write the same build.
  command -v flock >/dev/null || lanes=1
  ((lanes <= ${#todo[@]})) || lanes=${#todo[@]}
  if ((lanes > 1)); then
    jobs=$(((jobs + lanes - 1) / lanes))
    export CARGO_BUILD_JOBS=$jobs
  fi
  ((lanes == 0)) || run_steps "${todo[@]}"
  tested=()
  for step in "${todo[@]}"; do
    [[ $step != *-* ]] || tested+=("$step")
  done
  lanes=1
  ((${#tested[@]} == 0)) || run_steps serial
  echo "$total_passed passed, $total_failed failed"
  ((total_failed == 0))
}

if [[ ${1:-} == --list ]]; then
  printf '%s\n' "${steps[@]}"
else
  main "$@"
fi
