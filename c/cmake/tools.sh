# What has to be there: compilers, other tools and libraries, found, or installed with apt-get where that is allowed.
# Sourced by build.sh, c/tests/run-tests.sh and c/bench/run-bench.sh.
# shellcheck shell=bash disable=SC2034 # what others use
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
build=${BUILD_DIR:-$root/build}
[[ $build == /* ]] || build=$PWD/$build
logs=$build/log
cmake_wanted=3.18
# Other mallocs, as package:library.
mallocs=(libjemalloc2:libjemalloc.so.2 libmimalloc2.0:libmimalloc.so.2 libtcmalloc-minimal4:libtcmalloc_minimal.so.4)

say() { printf 'build.sh: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 2
}

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

imports() { python3 -c "import $1" 2>/dev/null || /usr/bin/python3 -c "import $1" 2>/dev/null; }

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
      numpy | cffi) imports "$tool" || echo "python3-$tool" ;;
      libclang) imports clang.cindex || echo python3-clang ;;
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
  local packages package
  need_scratch
  packages=$(missing "$@" | paste -sd ' ')
  [[ -n $packages ]] || return 0
  if ! may_install; then
    say "going on without $packages (Debian: apt-get install $packages)"
    return
  fi
  say "installing $packages"
  # shellcheck disable=SC2086 # a list of words
  if ! apt_install $packages; then
    # One that can't be had keeps out none of the others.
    for package in $packages; do
      apt_install "$package" || say "going on without $package"
    done
  fi
  hash -r
}

need_build() { need cc cmake make; }
