#!/usr/bin/env bash
# The benchmark, from ./build.sh bench: builds it and what it is compared with, and hands every option on.
#   run-bench.sh [OPTION...]              as the program's --help says
#   run-bench.sh --programs [OPTION...]   real programs
# shellcheck disable=SC2154 # root, build, logs and mallocs come from what is sourced
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=c/cmake/tools.sh
source "$here/../cmake/tools.sh"
# shellcheck source=c/cmake/variants.sh
source "$here/../cmake/variants.sh"

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
  want sqlite3 zstd redis-cli numpy "${mallocs[@]}"
  need_build
  build_quietly release lgalloc_preload measure-program
  cleanup
  BUILD_DIR=$build exec "$here/programs/bench.sh" "$build/release/measure-program" "$build/liblgalloc-preload.so" "$@"
}

# Every option is the program's; what they mean for the crate and for Rust is found out here.
main() {
  if [[ ${1:-} == --programs ]]; then
    bench_programs "${@:2}"
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
    want "${mallocs[@]}"
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

main "$@"
