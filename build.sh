#!/usr/bin/env bash
# The one front door: ./build.sh help. What tests and measures has scripts of its own beside what it runs.
# shellcheck disable=SC2154 # root, build and the like come from what is sourced
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=c/cmake/tools.sh
source "$here/c/cmake/tools.sh"
# shellcheck source=c/cmake/variants.sh
source "$here/c/cmake/variants.sh"

usage() {
  cat <<TEXT
usage: ./build.sh COMMAND

  build              the release library: build/liblgalloc.a, build/liblgalloc.so, build/liblgalloc-preload.so
  demo [ARGUMENT...] sorts a real file in parallel, in regions and with malloc; --help says more
  adapters [ROUNDS]  what other libraries gain by c/examples/adapters; gets those from the package managers
  test [STEP...]     all tests, or the steps named, of
$("$root/c/tests/run-tests.sh" --list | paste -sd ' ' | fold -s -w 70 | sed 's/^/                       /')
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
    test) script c/tests/run-tests.sh "$@" ;;
    bench) script c/bench/run-bench.sh "$@" ;;
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
      need cc cmake make gcc clang cmocka patch
      script fuzz/run-mutants.sh "$@"
      ;;
    coverage)
      need cc cmake make gcc cmocka
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
