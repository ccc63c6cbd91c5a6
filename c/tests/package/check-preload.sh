#!/usr/bin/env bash
# The preload library: what it exports, what programs see of malloc under it, and that real programs, whichever are
# there, come to the same results with it as without.
#   check-preload.sh CC CXX LIBRARY.so
set -euo pipefail
export LC_ALL=C
cc=$1 cxx=$2 library=$3
c=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc preload.XXXXXX")
trap 'rm -rf "$work"' EXIT
count=0
failed=0

# same WHAT EXPECTED FOUND
same() {
  count=$((count + 1))
  if [[ $2 == "$3" ]]; then
    echo "ok: $1"
  else
    echo "failed: $1 (< expected, > found)"
    diff <(echo "$2") <(echo "$3") || true
    failed=$((failed + 1))
  fi
}

# preloaded [VARIABLE=VALUE...] COMMAND...: what it prints, errors too, and how it ends. LD_PRELOAD takes no blanks.
ln -s "$library" "${TMPDIR:-/tmp}/lgalloc-preload-$$.so"
preload=${TMPDIR:-/tmp}/lgalloc-preload-$$.so
trap 'rm -rf "$work" "$preload"' EXIT
preloaded() {
  local rc=0
  env "LD_PRELOAD=$preload${next:+:$next}" "$@" 2>&1 || rc=$?
  echo "exit $rc"
}
bare() {
  local rc=0
  "$@" 2>&1 || rc=$?
  echo "exit $rc"
}

# ---- the object

listed=$(sed -n 's/^ *\([A-Za-z0-9_]*\);$/\1/p' "$c/preload/preload.map" | sort)
same "exports the functions of malloc and nothing else" "$listed" "$(nm -D --defined-only "$library" | awk '{print $NF}' | sort)"
dynamic=$(readelf -dW "$library")
# Before glibc 2.34 threads and dlsym were libraries of their own.
same "needs libc alone" "libc.so.6" \
  "$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic" | grep -vE '^lib(pthread|dl)\.so\.[0-9]$')"
same "no path to search for libraries, no relocation of code" "" "$(grep -E 'RPATH|RUNPATH|TEXTREL' <<<"$dynamic" || true)"
same "it stays loaded" "NODELETE" "$(grep -o 'NODELETE' <<<"$dynamic" || true)"
same "no call to find thread-local data" "" "$(nm -D --undefined-only "$library" | grep -o '__tls_get_addr' || true)"

# ---- what programs see

"$cc" -O2 -Wall -Wextra -fno-builtin -o "$work/semantics" "$c/tests/preload/semantics.c" -pthread
for program in operators replaced; do
  "$cxx" -std=c++17 -O2 -Wall -Wextra -Wno-sized-deallocation -o "$work/$program" "$c/tests/preload/$program.cpp"
done
early=${TMPDIR:-/tmp}/lgalloc-early-$$.so
trap 'rm -rf "$work" "$preload" "$early"' EXIT
"$cc" -O2 -Wall -Wextra -fno-builtin -fPIC -shared -o "$early" "$c/tests/preload/early.c" -ldl
mkdir "$work/files"
mib=1048576
expected=$(bare "$work/semantics")
same "the test itself: what glibc's malloc does" "exit 0" "${expected##*$'\n'}"
same "malloc and its like" "$expected" "$(preloaded "$work/semantics" $mib)"
same "… on files, as asked for" "$expected" \
  "$(preloaded LGALLOC_BACKING=file "LGALLOC_PATH=$work/files" "$work/semantics" $mib nofork)"
same "… from 64 KiB on" "$expected" "$(preloaded LGALLOC_PRELOAD_THRESHOLD=64KiB "$work/semantics" 65536)"
same "… from a size on that nothing has" "$expected" "$(preloaded LGALLOC_PRELOAD_THRESHOLD=1T "$work/semantics")"
same "… while the library is disabled" "$expected" "$(preloaded LGALLOC_ENABLE=0 "$work/semantics")"
same "… with a worker" "$expected" "$(preloaded LGALLOC_INTERVAL_NS=1ms LGALLOC_RELEASE_TICKS=1 "$work/semantics" $mib)"
same "… where files can't be made: the heap's" "$expected" \
  "$(preloaded LGALLOC_BACKING=file LGALLOC_PATH=/nowhere/at/all "$work/semantics")"
same "… with few addresses" "$expected" "$(ulimit -v 4000000 && preloaded "$work/semantics" $mib)"
same "C++" "$(bare "$work/operators")" "$(preloaded "$work/operators")"
same "C++ with a delete of its own" "$(bare "$work/replaced")" "$(preloaded "$work/replaced")"
# What these do differs in places; that all goes well is enough. They have operators for C++ of their own.
mapfile -t others < <(PATH=$PATH:/sbin:/usr/sbin ldconfig -p |
  sed -n 's/.* => \(.*lib\(jemalloc\|mimalloc\|tcmalloc_minimal\)\.so[^ ]*\)$/\1/p' | sort -u)
for next in "${others[@]}"; do
  same "below the threshold ${next##*/}" "0 failures exit 0" "$(preloaded "$work/semantics" $mib | tail -n 2 | paste -sd ' ')"
  same "… C++" "$(bare env "LD_PRELOAD=$next" "$work/operators")" "$(preloaded "$work/operators")"
  same "… blocks of a dlsym that allocates" "early blocks are well exit 0" \
    "$(next=$early:$next preloaded true | paste -sd ' ')"
done
next=$early
same "blocks of a dlsym that allocates" "early blocks are well exit 0" "$(preloaded true | paste -sd ' ')"
next=""

# ---- options that are refused

refusal() { grep -c '^lgalloc-preload: .*'"$1"'.*; going on without regions$' || true; }
for setting in LGALLOC_PRELOAD_THRESHOLD=1K LGALLOC_PRELOAD_THRESHOLD=much LGALLOC_LIMIT_BYTES=-1 LGALLOC_BACKING=paper; do
  found=$(preloaded "$setting" "$work/operators")
  same "$setting is refused in one line" 1 "$(refusal "${setting%%=*}" <<<"$found")"
  same "… and the program goes on" "$(bare "$work/operators")" "$(grep -v '^lgalloc-preload: ' <<<"$found")"
done

# ---- a limit is a limit, and misuse is found

cat >"$work/limit.c" <<'TEXT'
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
    char *first = malloc(8u << 20);
    errno = 0;
    char *second = malloc(8u << 20);
    printf("%d %d %s\n", first != NULL, second != NULL, strerror(errno));
    free(first);
    if (argc > 1 && argv[1] != NULL)
        free(first);
    return 0;
}
TEXT
"$cc" -w -fno-builtin -o "$work/limit" "$work/limit.c"
same "LGALLOC_LIMIT_BYTES" "1 0 Cannot allocate memory exit 0" "$(preloaded LGALLOC_LIMIT_BYTES=12M "$work/limit" | paste -sd ' ')"
same "freeing a large block twice is found" 1 \
  "$(preloaded "$work/limit" twice | grep -c 'lgalloc: double free: the region at 0x[0-9a-f]* of 0x800000 bytes is free already' || true)"

# ---- real programs

# shellcheck source=/dev/null # it is checked by itself
. "$c/bench/programs/programs.sh"
# The shell that runs them runs under it as well.
run_program() {
  # shellcheck disable=SC2016 # for that shell
  "$1" bash -c '. "$1" && program_run "$2" 2 "$3"' - "$c/bench/programs/programs.sh" "$2" "$3"
}
for name in $(program_names); do
  missing=$(program_missing "$name" | paste -sd ' ')
  if [[ -n $missing ]]; then
    echo "--: $name is left out; there is no $missing"
    continue
  fi
  mkdir -p "$work/$name"
  program_prepare "$name" 2 "$work/$name"
  expected=$(run_program bare "$name" "$work/$name")
  same "$name ends well by itself" "exit 0" "${expected##*$'\n'}"
  same "… and comes to the same under the library" "$expected" "$(run_program preloaded "$name" "$work/$name")"
  [[ $name == multiprocessing ]] || continue
  for next in "${others[@]}"; do
    same "… over ${next##*/}" "$expected" "$(run_program preloaded "$name" "$work/$name")"
  done
  next=""
done
echo "preload: $((count - failed)) passed, $failed failed"
((failed == 0))
