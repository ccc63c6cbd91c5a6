#!/usr/bin/env bash
# The one front door: ./build.sh help
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
build=${BUILD_DIR:-$root/build}
[[ $build == /* ]] || build=$PWD/$build
logs=$build/log
jobs=$(nproc 2>/dev/null || echo 2)
cmake_wanted=3.18

# Every compiler and flavour that the tests go through; the first part names the compiler.
variants=(gcc-plain clang-plain gcc-asan clang-asan gcc-tsan clang-tsan gcc-valgrind)
# The long tests keep two cores busy for a while: once plain and once under each sanitizer is enough.
stress_variants=(gcc-plain gcc-asan clang-tsan)

say() { printf 'build.sh: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 2
}

# The steps of the tests, in their order.
test_steps=(build header hpp alone exports exit preload instructions
  install cmake meson reproducible abi musl deb conan
  "${variants[@]}" fuzz cargo peers crates demo adapters readme shellcheck)

usage() {
  cat <<TEXT
usage: ./build.sh COMMAND

  build              the release library: build/liblgalloc.a, build/liblgalloc.so, build/liblgalloc-preload.so
  demo [ARGUMENT...] sorts a real file in parallel, in regions and with malloc; --help says more
  adapters [ROUNDS]  what other libraries gain by c/examples/adapters; gets those from the package managers
  test [STEP...]     all tests, or the steps named, of
$(printf '%s\n' "${test_steps[*]}" | fold -s -w 70 | sed 's/^/                       /')
                     LGALLOC_PEERS=1 adds peers and crates, which need other crates; FUZZ_SECONDS=N fuzzes
                     each harness for so long
  bench [ARGUMENT...]
                     measures, also the original crate where cargo finds it; without --filter also from Rust;
                     --help says more; with --programs first: real programs under the preload library and
                     other mallocs
  install            into PREFIX (/usr/local) and its LIBDIR (lib), below DESTDIR if that is set
  uninstall          removes what install put there, with the same PREFIX and DESTDIR
  variant NAME [TARGET...]
                     one build of the library and its tests: COMPILER-FLAVOUR with gcc or clang, and
                     plain, asan, tsan, valgrind, fuzz or coverage, in build/NAME
  soak [SECONDS]     threads, faults, forks and configurations at random, payloads checked; a minute
  fuzz [HARNESS] [SECONDS]
                     libFuzzer over one harness or all, a minute each
  mutants [--jobs N] [MUTANT...]
                     breaks the library in known ways and shows which test sees it
  coverage           which lines and branches the tests reach
  clean              removes what was built
  help               this text

What is missing is installed with apt-get where that is allowed. CC names the compiler of the release
library, CFLAGS adds flags, BUILD_DIR takes the place of build/.
TEXT
}

# ---------------------------------------------------------------- what has to be there

scratch=""
cleanup() { [[ -z $scratch ]] || rm -rf "$scratch"; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

need_scratch() {
  [[ -n $scratch ]] || scratch=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc-build.XXXXXX")
}

# compiles LANGUAGE COMPILER [FLAG...]: the compiler is there and makes a program with those flags.
compiles() {
  local language=$1 text='#include <stdio.h>\nint main(void) { return puts("") < 0; }\n'
  shift
  command -v "$1" >/dev/null || return 1
  case " $* " in
    *=fuzzer*) text='#include <stddef.h>\nint LLVMFuzzerTestOneInput(const unsigned char *d, size_t n) { return !d && n; }\n' ;;
    *-lcmocka*) text='#include <setjmp.h>\n#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <cmocka.h>\nint main(void) { print_message("x"); return 0; }\n' ;;
  esac
  if [[ $language == c++ ]]; then
    text='#include <string>\nint main() { return (int)std::string("").size(); }\n'
  fi
  need_scratch
  # shellcheck disable=SC2059 # the text is ours
  printf "$text" >"$scratch/probe.$language"
  # Libraries come after what needs them.
  "$1" -x "$language" "$scratch/probe.$language" -x none -o "$scratch/probe" "${@:2}" >/dev/null 2>&1
}

release_compiler() {
  local cc
  local -a candidates=(gcc cc clang)
  [[ -z ${CC:-} ]] || candidates=("$CC")
  for cc in "${candidates[@]}"; do
    if compiles c "$cc"; then
      echo "$cc"
      return
    fi
  done
  return 1
}

# cargo as rustup has it, else the distribution's.
find_cargo() {
  local cargo
  for cargo in cargo "${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}/bin/cargo" /usr/bin/cargo; do
    if command -v "$cargo" >/dev/null && (cd "$root" && "$cargo" --version) >/dev/null 2>&1; then
      command -v "$cargo"
      return
    fi
  done
  return 1
}

clang_runtime_package() {
  local major
  major=$(clang -dumpversion | cut -d. -f1)
  # Until version 14 it was part of another package.
  if command -v apt-cache >/dev/null && [[ -z $(apt-cache show "libclang-rt-$major-dev" 2>/dev/null) ]] &&
    [[ -n $(apt-cache show "libclang-common-$major-dev" 2>/dev/null) ]]; then
    echo "libclang-common-$major-dev"
  else
    echo "libclang-rt-$major-dev"
  fi
}

has_clang_runtime() {
  compiles c clang -fsanitize=address,undefined && compiles c clang -fsanitize=thread &&
    compiles c clang -fsanitize=fuzzer
}

# Python with its headers, and able to make an environment of its own.
has_python() {
  python3 -c 'import ensurepip, os, sysconfig
os.stat(sysconfig.get_paths()["include"] + "/Python.h")' >/dev/null 2>&1
}

# missing TOOL...: the Debian packages to install for those that are not there.
missing() {
  local tool
  for tool in "$@"; do
    case $tool in
      cc) release_compiler >/dev/null || echo "${CC:-gcc}" libc6-dev ;;
      gcc) compiles c gcc || echo gcc libc6-dev ;;
      g++) compiles c++ g++ || echo g++ ;;
      clang)
        if ! compiles c clang; then
          echo clang libc6-dev
        elif ! has_clang_runtime; then
          clang_runtime_package
        fi
        ;;
      liburing) compiles c gcc -luring || echo liburing-dev ;;
      python3-dev) has_python || echo python3 python3-dev python3-venv ;;
      cmocka) compiles c gcc -lcmocka || echo libcmocka-dev ;;
      binutils) command -v readelf >/dev/null || echo binutils ;;
      llvm-symbolizer) command -v llvm-symbolizer >/dev/null || echo llvm ;;
      mkfs.*)
        if ! PATH=$PATH:/sbin:/usr/sbin command -v "$tool" >/dev/null; then
          case $tool in
            mkfs.ext4) echo e2fsprogs ;;
            mkfs.btrfs) echo btrfs-progs ;;
            *) echo "${tool#mkfs.}progs" ;;
          esac
        fi
        ;;
      abidiff) command -v abidiff >/dev/null || echo abigail-tools ;;
      meson) command -v meson >/dev/null || echo meson ninja-build ;;
      dpkg-buildpackage) command -v dpkg-buildpackage >/dev/null || echo dpkg-dev ;;
      dh) command -v dh >/dev/null || echo debhelper ;;
      musl-gcc) command -v musl-gcc >/dev/null || echo musl-tools ;;
      aarch64-linux-gnu-gcc) command -v "$tool" >/dev/null || echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;;
      groff) command -v groff >/dev/null || echo groff-base ;;
      sdt) compiles c "$(release_compiler)" -include sys/sdt.h || echo systemtap-sdt-dev ;;
      redis-cli) command -v redis-cli >/dev/null || echo redis-tools ;; # its server by another name, and no service
      numpy) python3 -c 'import numpy' 2>/dev/null || /usr/bin/python3 -c 'import numpy' 2>/dev/null || echo python3-numpy ;;
      gnuplot) command -v gnuplot >/dev/null || echo gnuplot-nox ;;
      cargo) find_cargo >/dev/null || echo cargo rustc ;;
      *.so*) PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | grep -F "${tool#*:}" >/dev/null || echo "${tool%%:*}" ;;
      *) command -v "$tool" >/dev/null || echo "$tool" ;;
    esac
  done | tr ' ' '\n' | sort -u
}

as_root=()
may_install() {
  command -v apt-get >/dev/null || return 1
  if ((EUID != 0)); then
    sudo -n true 2>/dev/null || return 1
    as_root=(sudo -n)
  fi
}

# apt_install PACKAGE...
apt_install() {
  local -a apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)
  mkdir -p "$logs"
  "${apt[@]}" install --no-install-recommends "$@" >"$logs/apt.log" 2>&1 </dev/null && return
  # The lists of packages are old, or not there.
  "${apt[@]}" update >>"$logs/apt.log" 2>&1 </dev/null || true
  "${apt[@]}" install --no-install-recommends "$@" >>"$logs/apt.log" 2>&1 </dev/null
}

# need TOOL...: afterwards they are there, or the script has ended.
need() {
  local packages before=""
  need_scratch
  if [[ -n ${CC:-} ]] && ! compiles c "$CC" && [[ $CC != gcc && $CC != clang ]]; then
    die "CC=$CC makes no program"
  fi
  while packages=$(missing "$@" | paste -sd ' ') && [[ -n $packages ]]; do
    may_install || die "missing, and not allowed to install: $packages (Debian: apt-get install $packages)"
    if [[ $packages == "$before" ]]; then
      die "installed, and still not usable: $packages"
    fi
    say "installing $packages"
    # shellcheck disable=SC2086 # a list of words
    if ! apt_install $packages; then
      tail -n 15 "$logs/apt.log" >&2
      die "apt-get could not install: $packages"
    fi
    hash -r
    before=$packages
  done
  local found
  found=$(cmake --version | sed -n '1s/^cmake version //p')
  if [[ $(printf '%s\n' "$cmake_wanted" "$found" | sort -V | head -n 1) != "$cmake_wanted" ]]; then
    die "cmake $found is too old, $cmake_wanted or later is needed"
  fi
}

# want TOOL...: installs what can be; what can't is a line.
want() {
  local packages
  need_scratch
  packages=$(missing "$@" | paste -sd ' ')
  [[ -n $packages ]] || return 0
  if may_install; then
    say "installing $packages"
    local package
    for package in $packages; do
      apt_install "$package" || say "going on without $package"
    done
    hash -r
  else
    say "going on without $packages (Debian: apt-get install $packages)"
  fi
}

need_build() { need cc cmake make; }
need_test() {
  need cc cmake make gcc g++ clang cmocka binutils pkg-config valgrind cargo
  # Without it what clang's sanitizers report has addresses in place of lines.
  want llvm-symbolizer groff python3 sdt
  # What some tests make file systems with, and look at cores; without it these are skipped.
  want mkfs.ext4 mkfs.xfs mkfs.btrfs gdb
}

# ---------------------------------------------------------------- building

# with_lock FILE COMMAND...: two calls at once must not write the same build.
with_lock() {
  local file=$1
  shift
  (
    if command -v flock >/dev/null; then
      exec 9>"$file"
      flock 9
    fi
    "$@" 9>&-
  )
}

configure() {
  local variant=$1 dir=$build/$1 cc arguments stamp
  if [[ $variant == release ]]; then
    cc=$(release_compiler)
    arguments=(-DLGALLOC_FLAVOUR=release "-DLGALLOC_LIBRARY_DIR=$build")
  else
    cc=${variant%%-*}
    arguments=(-DLGALLOC_FLAVOUR="${variant#*-}" -DLGALLOC_TESTS=ON)
  fi
  # A directory that was moved, another compiler, other flags: CMake would go on with what it remembers.
  stamp=$(printf '%s\n' "$root" "$dir" "${arguments[@]}" "${CFLAGS:-}" "${LDFLAGS:-}" "$("$cc" --version)" "$(cmake --version)")
  if [[ ! -e $dir/.arguments || $(<"$dir/.arguments") != "$stamp" ]]; then
    rm -rf "$dir"
    mkdir -p "$dir"
    cmake -S "$root/c" -B "$dir" -G "Unix Makefiles" -DCMAKE_C_COMPILER="$cc" "${arguments[@]}" || return 1
    printf '%s\n' "$stamp" >"$dir/.arguments"
  fi
}

# build_variant NAME [TARGET...]
build_variant() {
  local variant=$1 target
  local -a targets=()
  shift
  for target in "$@"; do
    targets+=(--target "$target")
  done
  mkdir -p "$build"
  # Says to clean that this directory is ours.
  : >"$build/.lgalloc"
  with_lock "$build/.lock-$variant" build_locked "$variant" "${targets[@]}"
}

build_locked() {
  configure "$1" || return 1
  cmake --build "$build/$1" --parallel "$jobs" "${@:2}" -- --output-sync=target --no-print-directory --keep-going
}

# build_quietly NAME [TARGET...]: what the compiler says is shown only if it complains.
build_quietly() {
  mkdir -p "$logs"
  local log=$logs/build-$1.log rc=0
  build_variant "$@" >"$log" 2>&1 || rc=$?
  if ((rc != 0)); then
    tail -n 60 "$log" >&2
    say "building $* failed; all of it: $log"
    exit 1
  fi
  grep -A 5 'warning:' "$log" >&2 || true
}

command_build() {
  need_build
  build_quietly release lgalloc_static lgalloc_shared lgalloc_preload
  printf '%s\n' "$build/liblgalloc.a" "$build/liblgalloc.so" "$build/liblgalloc-preload.so"
}

# run_program TARGET [ARGUMENT...]
run_program() {
  local target=$1
  shift
  need_build
  build_quietly release "$target"
  cleanup
  exec "$build/release/$target" "$@"
}

command_adapters() {
  need_build
  want liburing g++ python3-dev
  build_quietly release lgalloc_shared
  cleanup
  exec "$root/c/tests/package/check-adapters.sh" "$build" "${1:-9}"
}

command_install() {
  need_build
  build_quietly release lgalloc_static lgalloc_shared lgalloc_preload
  with_lock "$build/.lock-release" "$root/c/packaging/install.sh" install "$build/release"
}

command_clean() {
  if [[ -e $build/.lgalloc ]]; then
    rm -rf "$build"
  elif [[ -e $build ]]; then
    die "$build was not made by this script; nothing is removed"
  fi
  if [[ -e $root/target/CACHEDIR.TAG ]]; then
    rm -rf "$root/target"
  fi
}

# ---------------------------------------------------------------- testing

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

shm_has_room() {
  local free
  [[ -w /dev/shm ]] && free=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1) && ((free > 6 * 1024 * 1024))
}

step_variant() {
  local variant=$1 rc=0 passed failed skipped programs words complaints=""
  local -a options=(--parallel "$jobs" --output-on-failure --no-tests=error)
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
    options+=(--label-exclude '^stress$')
    words=" (without stress)"
  fi
  rm -f "$log"
  # Files on the disk once; in memory, where there is enough of it, for the others: punching holes takes its time.
  local files=$TMPDIR
  if [[ $variant != gcc-plain ]] && shm_has_room; then
    files=/dev/shm
  fi
  (cd "$build/$variant" && TMPDIR=$files ctest "${options[@]}") || rc=$?
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
  # Programs that use memory; the test does with those that are there.
  want sqlite3 zstd redis-cli numpy libjemalloc2:libjemalloc.so.2 libmimalloc2.0:libmimalloc.so.2 \
    libtcmalloc-minimal4:libtcmalloc_minimal.so.4
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
  want musl-gcc aarch64-linux-gnu-gcc
  CARGO=$(find_cargo) CARGO_TERM_COLOR=never "$root/ffi-tests/check.sh" "$build/crates" 2>&1 | tee "$log" || rc=$?
  result "$(grep -c '^passed' "$log")" "$(grep -c '^FAILED' "$log")" "$(grep -c '^left out' "$log") left out"
  ((rc == 0))
}

step_shellcheck() {
  local -a scripts
  mapfile -t scripts < <(cd "$root" && find . \( -name .git -o -path ./build -o -name target \) -prune -o -type f \
    \( -name '*.sh' -o -path './.ci/*' \) -print)
  (cd "$root" && shellcheck "${scripts[@]}")
  result 1 0 "${#scripts[@]} scripts"
}

total_passed=0
total_failed=0
# run_step NAME COMMAND...
run_step() {
  local name=$1 rc start seconds log=$logs/$1.log word=ok
  local -a counts
  shift
  rm -f "$TMPDIR/result"
  [[ ! -t 1 ]] || printf '… %s' "$name"
  start=${EPOCHREALTIME/[^0-9]/}
  # Not in a condition, where the shell would go on after a failure inside.
  set +e
  (
    set -e
    "$@"
  ) >"$log" 2>&1 </dev/null
  rc=$?
  set -e
  seconds=$(((${EPOCHREALTIME/[^0-9]/} - start) / 100000))
  counts=()
  [[ ! -e $TMPDIR/result ]] || mapfile -t counts <"$TMPDIR/result"
  ((${#counts[@]} == 3)) || counts=($((rc == 0)) $((rc != 0)) "not finished")
  if ((rc != 0 && counts[1] == 0)); then
    counts[1]=1
  fi
  ((counts[1] == 0)) || word=FAIL
  total_passed=$((total_passed + counts[0]))
  total_failed=$((total_failed + counts[1]))
  [[ ! -t 1 ]] || printf '\r\033[K'
  printf '%-4s %s: %s%s  %d.%d s\n' "$word" "$name" "${counts[2]}" \
    "$( ((counts[1] == 0)) || echo ", ${counts[1]} failed")" $((seconds / 10)) $((seconds % 10))
  if [[ $word == FAIL ]]; then
    tail -n 60 "$log" | sed 's/^/  | /'
    echo "  all of it: $log"
  fi
}

# step_with TOOLS STEP: without one of the tools it is left out.
step_with() {
  local tool
  for tool in $1; do
    want "$tool"
    if ! command -v "$tool" >/dev/null; then
      echo "--   $2: left out; $tool is not installed"
      return
    fi
  done
  run_step "$2" "step_$2"
}

command_test() {
  local step
  local -a chosen=("$@")
  for step in "$@"; do
    [[ " ${test_steps[*]} " == *" $step "* ]] || die "no such step: $step (there are: ${test_steps[*]})"
  done
  ((${#chosen[@]} > 0)) || chosen=("${test_steps[@]}")
  need_test
  mkdir -p "$logs"
  need_scratch
  # Whatever a test leaves behind when it is killed goes with this.
  export TMPDIR=$scratch
  for step in "${chosen[@]}"; do
    case $step in
      *-*) run_step "$step" step_variant "$step" ;;
      peers | crates)
        if [[ ${LGALLOC_PEERS:-0} == 1 || $# -gt 0 ]]; then
          run_step "$step" "step_$step"
        else
          echo "--   $step: left out; LGALLOC_PEERS=1 fetches other crates"
        fi
        ;;
      meson) step_with meson meson ;;
      abi) step_with abidiff abi ;;
      musl) step_with musl-gcc musl ;;
      conan)
        if command -v conan >/dev/null; then
          run_step conan step_conan
        else
          echo "--   conan: left out; it is not installed (pip install conan)"
        fi
        ;;
      deb) step_with "dpkg-buildpackage dh lintian" deb ;;
      shellcheck) step_with shellcheck shellcheck ;;
      adapters)
        want liburing python3-dev
        run_step adapters step_adapters
        ;;
      *) run_step "$step" "step_$step" ;;
    esac
  done
  echo "$total_passed passed, $total_failed failed"
  ((total_failed == 0))
}

# ---------------------------------------------------------------- measuring

# cargo_in_log NAME ARGUMENT...: cargo with a log of that name, in few tries where there is no network.
cargo_in_log() {
  local name=$1 cargo
  shift
  mkdir -p "$logs"
  if ! cargo=$(find_cargo); then
    echo "error: cargo is not there" >"$logs/$name.log"
    return 1
  fi
  (cd "$root" && CARGO_NET_RETRY=1 CARGO_TERM_COLOR=never "$cargo" "$@" --release --locked) >"$logs/$name.log" 2>&1 </dev/null
}

# why NAME: the first thing that such a log complains about.
why() {
  local line
  line=$(grep -m 1 '^error' "$logs/$1.log" || true)
  echo "${line:-error}; all of it: $logs/$1.log"
}

# The versions of the original crate as contestants: shared libraries whose thread-local variables are found as
# in a program, and as in this library, without a call for each: 19 instead of 22 ns per pair. The compiler has
# no stable option for that.
crates=()
find_crates() {
  local version dir=$build/contestants
  [[ -e $dir/release ]] || say "compiling the original crate"
  if ! RUSTC_BOOTSTRAP=1 RUSTFLAGS="${RUSTFLAGS:-} -Ztls-model=initial-exec" CARGO_TARGET_DIR=$dir \
    cargo_in_log contestants build --manifest-path ffi-tests/peers/contestants/Cargo.toml --examples; then
    say "going on without the original crate: $(why contestants)"
    return
  fi
  for version in 0.1.6 0.6.0 0.7.0; do
    crates+=(--peer "crate $version=$dir/release/examples/libcrate_${version//./_}.so")
  done
}

# rust_table ARGUMENT...: this library's crate beside the original, measured by a Rust program.
rust_table() {
  [[ -e $build/cargo/release/bench ]] || say "compiling the table of Rust"
  if ! CARGO_TARGET_DIR=$build/cargo cargo_in_log rust-table build --manifest-path ffi-tests/peers/Cargo.toml --bin bench; then
    say "going on without the table of Rust: $(why rust-table)"
    return
  fi
  printf '\nFrom Rust:\n\n'
  "$build/cargo/release/bench" "$@"
}

# beside FILE: results.json -> results-rust.json
beside() {
  local name=${1##*/}
  if [[ $name == ?*.* ]]; then
    echo "${1%.*}-rust.${name##*.}"
  else
    echo "$1-rust"
  fi
}

# Real programs under this malloc and others.
bench_programs() {
  want sqlite3 zstd redis-cli numpy libjemalloc2:libjemalloc.so.2 libmimalloc2.0:libmimalloc.so.2 \
    libtcmalloc-minimal4:libtcmalloc_minimal.so.4
  need_build
  build_quietly release lgalloc_preload measure-program
  script c/bench/programs/bench.sh "$build/release/measure-program" "$build/liblgalloc-preload.so" "$@"
}

# Every option is the program's; what they mean for the crate and for Rust is found out here.
command_bench() {
  if [[ ${1:-} == --programs ]]; then
    bench_programs "${@:2}"
    return
  fi
  local with_crates=yes with_table=yes with_peers=yes quick=no word value
  local -a words=("$@") table=(--path "${TMPDIR:-/var/tmp}")
  while ((${#words[@]} > 0)); do
    word=${words[0]}
    words=("${words[@]:1}")
    # The value is part of the word, or the next one.
    value=${words[0]:-}
    [[ $word != *=* ]] || value=${word#*=}
    case ${word%%=*} in
      --quick) quick=yes table+=(--quick) ;;
      --path) table+=(--path "$value") ;;
      --json) table+=(--json "$(beside "$value")") ;;
      --markdown) table+=(--markdown) ;;
      --charts) want gnuplot ;;
      --filter) with_table=no ;;
      --memory) with_table=no with_crates=no ;;
      --list | --help) with_table=no with_crates=no with_peers=no ;;
    esac
  done
  if [[ $with_peers == yes ]]; then
    want libjemalloc2:libjemalloc.so.2 libmimalloc2.0:libmimalloc.so.2 libtcmalloc-minimal4:libtcmalloc_minimal.so.4
  fi
  need_build
  build_quietly release lgalloc-bench
  [[ $with_crates == no ]] || find_crates
  local start=$SECONDS
  "$build/release/lgalloc-bench" "${crates[@]}" "$@"
  # The table takes 20 seconds, on a busy machine minutes.
  if [[ $with_table == yes && $quick == yes ]] && ((SECONDS - start > 95)); then
    say "going on without the table of Rust: the two minutes of --quick are over"
  elif [[ $with_table == yes ]]; then
    rust_table "${table[@]}"
  fi
}

# ---------------------------------------------------------------- commands

# script PATH ARGUMENT...
script() {
  [[ -x $root/$1 ]] || die "$1 is not there"
  cleanup
  BUILD_DIR=$build exec "$root/$1" "${@:2}"
}

main() {
  local command=${1:-help}
  shift || true
  case $command in
    build | install | uninstall | coverage | clean) (($# == 0)) || die "$command takes no argument: $1" ;;
  esac
  case $command in
    build) command_build ;;
    demo) run_program demo "$@" ;;
    adapters) command_adapters "$@" ;;
    test) command_test "$@" ;;
    bench) command_bench "$@" ;;
    install) command_install ;;
    uninstall) script c/packaging/install.sh uninstall ;;
    variant)
      [[ ${1:-} =~ ^(gcc|clang)-(plain|asan|tsan|valgrind|fuzz|coverage)$ ]] || die "variant: COMPILER-FLAVOUR"
      need cmake make cmocka "${1%%-*}"
      build_quietly "$@"
      ;;
    soak)
      need gcc cmake make cmocka
      build_quietly gcc-plain soak
      cleanup
      exec "$root/c/cmake/in-test-dir.sh" "$build/gcc-plain/soak" "${@:-60}"
      ;;
    fuzz)
      need clang gcc cmake make
      build_quietly clang-fuzz
      script fuzz/run-fuzz.sh "$@"
      ;;
    mutants)
      need_test
      need patch
      script fuzz/run-mutants.sh "$@"
      ;;
    coverage)
      need_test
      script c/tests/run-coverage.sh
      ;;
    clean) command_clean ;;
    help | --help | -h) usage ;;
    *)
      usage >&2
      die "no such command: $command"
      ;;
  esac
}

main "$@"
