#!/usr/bin/env bash
# The adapters among the examples: each is compiled against the other side, if that can be had, and tried beside what that
# has by itself.
#   check-adapters.sh BUILD-DIRECTORY ROUNDS
set -euo pipefail
build=$(cd "$1" && pwd)
rounds=$2
root=$(cd "$(dirname "$0")/../../.." && pwd)
adapters=$root/c/examples/adapters
work=$build/adapters
mkdir -p "$work"
log=$work/log
# The library and the headers have to be of one version.
duckdb=1.5.6
duckdb_library=$duckdb-r.1
duckdb_headers=1.10506.1
passed=0
failed=0
link=("-I$root/include" -O2 -Wall -Wextra)
lgalloc=("-L$build" -llgalloc "-Wl,-rpath,$build")

left_out() { echo "left out: $*"; }

# tried WHAT COMMAND...: 77 says that the system here can't.
tried() {
  local what=$1 rc=0
  shift
  "$@" || rc=$?
  if ((rc == 77)); then
    left_out "$what: this system doesn't let it run"
  elif ((rc == 0)); then
    passed=$((passed + 1))
  else
    echo "failed: $what: status $rc"
    failed=$((failed + 1))
  fi
}

# compiled WHAT COMMAND...
compiled() {
  if ! "${@:2}" >"$log" 2>&1 || grep -q 'warning:' "$log"; then
    echo "failed: $1 does not compile, or with warnings"
    head -n 30 "$log"
    failed=$((failed + 1))
    return 1
  fi
}

# ---------------------------------------------------------------- io_uring

if echo '#include <liburing.h>' | gcc -E - >/dev/null 2>&1; then
  head -c $((64 << 20)) /dev/urandom >"$work/input"
  compiled uring gcc -std=gnu11 -Wpedantic "${link[@]}" "$adapters/uring_try.c" -o "$work/uring_try" -luring "${lgalloc[@]}" &&
    tried uring "$work/uring_try" "$work/input" "$rounds"
  rm -f "$work/input"
else
  left_out "uring: liburing isn't there (Debian: liburing-dev)"
fi

# ---------------------------------------------------------------- NumPy and Arrow, from the Python package index

python=$work/python/bin/python3
if [[ ! -e $work/python/ready ]]; then
  rm -rf "$work/python"
  if python3 -m venv "$work/python" >"$log" 2>&1 && "$python" -m pip install --quiet --retries 1 --timeout 20 numpy pyarrow >"$log" 2>&1; then
    : >"$work/python/ready"
  fi
fi
if [[ ! -e $work/python/ready ]]; then
  left_out "numpy, arrow: no Python environment with numpy and pyarrow can be made: $(tail -n 1 "$log")"
else
  header=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
  numpy=$("$python" -c 'import numpy; print(numpy.get_include())')
  arrow=$("$python" -c 'import pyarrow; print(pyarrow.get_include())')
  library=$("$python" -c 'import pyarrow; print(pyarrow.get_library_dirs()[0])')
  if [[ -e $header/Python.h ]]; then
    compiled numpy gcc -std=gnu11 -shared -fPIC "${link[@]}" -isystem "$header" -isystem "$numpy" \
      "$adapters/numpy_lgalloc.c" -o "$work/numpy_lgalloc.so" "${lgalloc[@]}" &&
      tried numpy env "PYTHONPATH=$work" "$python" "$adapters/numpy_try.py" "$rounds"
  else
    left_out "numpy: Python's headers aren't there (Debian: python3-dev)"
  fi
  compiled arrow g++ -std=c++20 "${link[@]}" -isystem "$arrow" "$adapters/arrow_try.cpp" -o "$work/arrow_try" \
    "-L$library" "-l:$(basename "$(find "$library" -maxdepth 1 -name 'libarrow.so.*' | head -n 1)")" \
    "-Wl,-rpath,$library" "${lgalloc[@]}" && tried arrow "$work/arrow_try" "$rounds"
fi

# ---------------------------------------------------------------- DuckDB: the library is in a package of npm, the headers in one of cargo

# get_duckdb: into $work/duckdb; false, with the reason in the log.
get_duckdb() {
  local machine
  case $(uname -m) in
    x86_64) machine=x64 ;;
    aarch64) machine=arm64 ;;
    *) echo "no library for $(uname -m)"; return 1 ;;
  esac
  rm -rf "$work/duckdb"
  mkdir -p "$work/duckdb/headers/src"
  cd "$work/duckdb"
  npm pack --silent --fetch-retries=1 "@duckdb/node-bindings-linux-$machine@$duckdb_library" || return 1
  tar xzf duckdb-node-bindings-*.tgz && rm duckdb-node-bindings-*.tgz || return 1
  : >headers/src/lib.rs
  printf '%s\n' '[workspace]' '[package]' 'name = "headers"' 'version = "0.0.0"' 'edition = "2021"' '[dependencies]' \
    "libduckdb-sys = { version = \"=$duckdb_headers\", default-features = false }" >headers/Cargo.toml
  (cd headers && CARGO_NET_RETRY=1 cargo vendor --quiet vendor >/dev/null) || return 1
  tar xzf headers/vendor/libduckdb-sys/duckdb.tar.gz duckdb/src/include || return 1
  rm -rf headers
  : >ready
}

if [[ ! -e $work/duckdb/ready ]]; then
  (get_duckdb) >"$log" 2>&1 || true
fi
if [[ -e $work/duckdb/ready ]]; then
  compiled duckdb g++ -std=c++17 "${link[@]}" -isystem "$work/duckdb/duckdb/src/include" "$adapters/duckdb_try.cpp" \
    -o "$work/duckdb_try" "-L$work/duckdb/package" -lduckdb "-Wl,-rpath,$work/duckdb/package" "${lgalloc[@]}" &&
    tried duckdb "$work/duckdb_try" "$rounds"
else
  left_out "duckdb: its library (by npm) or its headers (by cargo) can't be had: $(tail -n 1 "$log")"
fi

echo "adapters: $passed passed, $failed failed"
((failed == 0))
