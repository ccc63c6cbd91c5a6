# One build directory for each variant of the library, by CMake. Sourced like tools.sh, which has to come first.
# shellcheck shell=bash disable=SC2154

jobs=${LGALLOC_JOBS:-$(nproc 2>/dev/null || echo 2)}

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

# works_with_cache COMPILER: what was compiled before comes from ccache.
works_with_cache() {
  command -v ccache >/dev/null && compiles c "$1" &&
    ccache "$1" -c "$scratch/probe.c" -o "$scratch/probe.o" >/dev/null 2>&1
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
  if [[ -z ${CMAKE_C_COMPILER_LAUNCHER+set} && $variant != *-coverage ]] && works_with_cache "$cc"; then
    export CMAKE_C_COMPILER_LAUNCHER=ccache
  fi
  # A directory that was moved, another compiler, other flags: CMake would go on with what it remembers.
  stamp=$(printf '%s\n' "$root" "$dir" "${arguments[@]}" "${CFLAGS:-}" "${LDFLAGS:-}" \
    "${CMAKE_C_COMPILER_LAUNCHER:-}" "$("$cc" --version)" "$(cmake --version)")
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
