# Real programs with work that takes memory, for scripts that run them under several mallocs: the test that compares their
# results, and the benchmark that compares their time and memory. To be sourced.
#
#   program_names      one a line
#   program_missing N  what N needs and is not there; nothing if it can run
#   program_prepare N SCALE DIR   makes N's input in DIR, the same each time
#   program_run N SCALE DIR       runs N there; its results are what it prints
#
# SCALE 1 takes a second or so.
# shellcheck shell=bash
program_names() { printf '%s\n' numpy multiprocessing sqlite redis gcc sort zstd node; }

program_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program_root=$(cd "$program_dir/../../.." && pwd)

# One that has numpy: the distribution's, where another comes first.
program_python() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -c 'import numpy' >/dev/null 2>&1; then
      echo "$python"
      return
    fi
  done
  return 1
}

program_missing() {
  local tool
  local -a tools=()
  case $1 in
    numpy | multiprocessing)
      program_python >/dev/null || echo "python3 with numpy"
      return
      ;;
    redis)
      command -v redis-cli >/dev/null || tools+=(redis-cli)
      command -v redis-server >/dev/null || command -v redis-check-rdb >/dev/null || tools+=(redis-server)
      ;;
    sqlite) tools=(sqlite3) ;;
    *) tools=("$1") ;;
  esac
  for tool in "${tools[@]}"; do
    command -v "$tool" >/dev/null || echo "$tool"
  done
}

# A text of SCALE times 5 MB, in no order.
program_text() {
  awk -v lines=$((70000 * $1)) 'BEGIN {
    seed = 42
    for (i = 0; i < lines; i++) {
      line = ""
      for (k = 0; k < 6; k++) {
        seed = (seed * 1103515245 + 12345) % 2147483648
        line = line sprintf("%08x ", seed)
      }
      print line "line number " i
    }
  }'
}

program_prepare() {
  local name=$1 scale=$2 dir=$3
  case $name in
    sort | zstd) [[ -e $dir/text ]] || program_text "$scale" >"$dir/text" ;;
    sqlite) sed "s/@SCALE@/$scale/g" "$program_dir/sqlite.sql" >"$dir/sqlite.sql" ;;
  esac
}

program_run() {
  local name=$1 scale=$2 dir=$3
  case $name in
    numpy) OPENBLAS_NUM_THREADS=1 "$(program_python)" "$program_dir/arrays.py" "$scale" ;;
    multiprocessing) OPENBLAS_NUM_THREADS=1 "$(program_python)" "$program_dir/forks.py" "$scale" ;;
    sqlite) sqlite3 -batch -bail :memory: <"$dir/sqlite.sql" ;;
    redis) "$program_dir/redis.sh" "$scale" "$dir" ;;
    gcc)
      # The whole library is one file; more of the same for every eight of the scale.
      local i
      for ((i = 0; i < (scale + 7) / 8; i++)); do
        gcc -O2 -S -w -pthread "-DLG_DEBUG=$((i % 2))" -I"$program_root/include" "$program_root/c/lgalloc.c" -o -
      done | cksum
      ;;
    sort) LC_ALL=C sort --parallel=2 -S 256M "$dir/text" | cksum ;;
    zstd) zstd -q -T2 -12 --long=25 -c "$dir/text" | zstd -q -d --long=25 -c | cksum ;;
    node) node "$program_dir/node.js" "$scale" ;;
  esac
}
