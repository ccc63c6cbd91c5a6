#!/usr/bin/env bash
# Real programs under one malloc after the other, each loaded before the C library's: what they take in time and memory,
# as Markdown tables. From ./build.sh bench --programs.
#   bench.sh MEASURE LIBRARY.so [--rounds N] [--scale N] [--filter NAME]
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null # it is checked by itself
. "$here/programs.sh"
measure=$1 library=$2
shift 2
rounds=5 scale=8 filter=""
while (($# > 0)); do
  case $1 in
    --rounds) rounds=$2 ;;
    --scale) scale=$2 ;;
    --filter) filter=$2 ;;
    *)
      echo "bench --programs: --rounds N, --scale N, --filter NAME" >&2
      exit 2
      ;;
  esac
  shift 2
done
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc-programs.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/measured"

# The contestants: a name, and what is loaded; "" is the C library's own. Small blocks are the next malloc's with this
# library, so it is there once more over each of the others.
names=(glibc)
loaded=("")
over=()
over_loaded=()
installed() {
  PATH=$PATH:/sbin:/usr/sbin ldconfig -p | sed -n "s/.* => \\(.*\\/$1\\.so[^ ]*\\)\$/\\1/p" | head -n 1
}
for name in jemalloc mimalloc tcmalloc; do
  object=$(installed "lib$name")
  [[ -n $object ]] || object=$(installed "lib${name}_minimal")
  if [[ -z $object ]]; then
    echo "--: $name is left out; it is not installed" >&2
    continue
  fi
  names+=("$name")
  loaded+=("$object")
  over+=("lgalloc over $name")
  over_loaded+=("$library:$object")
done
own=${#names[@]}
names+=(lgalloc "${over[@]}")
loaded+=("$library" "${over_loaded[@]}")

chosen=()
for name in $(program_names); do
  [[ -z $filter || $name == *"$filter"* ]] || continue
  missing=$(program_missing "$name" | paste -sd ' ')
  if [[ -n $missing ]]; then
    echo "--: $name is left out; there is no $missing" >&2
  else
    chosen+=("$name")
  fi
done
((${#chosen[@]} > 0)) || exit 1

# turn PROGRAM CONTESTANT
turn() {
  local name=$1 who=$2
  # shellcheck disable=SC2016 # for that shell
  if ! "$measure" "$work/measured/$name.$who" "${loaded[who]}" \
    bash -c '. "$1" && program_run "$2" "$3" "$4"' - "$here/programs.sh" "$name" "$scale" "$work" \
    >"$work/result.$who" 2>"$work/errors"; then
    tail -n 3 "$work/errors" >&2
    echo "$name failed under ${names[who]}" >&2
    return 1
  fi
  cmp "$work/result.0" "$work/result.$who" >&2
}

for name in "${chosen[@]}"; do
  program_prepare "$name" "$scale" "$work"
done
# Everybody has a turn before anybody has the next one; the first round, which fills caches, doesn't count: in it each
# process of this library's says at exit which size classes it has used.
for ((round = 0; round <= rounds; round++)); do
  for name in "${chosen[@]}"; do
    [[ ! -t 2 ]] || printf '\r%s, round %d of %d \033[K' "$name" "$round" "$rounds" >&2
    for who in "${!names[@]}"; do
      unset LGALLOC_STATS
      ((round > 0 || who != own)) || export LGALLOC_STATS=$work/classes.$name
      turn "$name" "$who" || echo "- - -" >>"$work/measured/$name.$who"
    done
    ((round > 0)) || rm "$work/measured/$name".*
  done
done
[[ ! -t 2 ]] || printf '\r\033[K' >&2

# median FILE COLUMN
median() {
  awk -v c="$2" '$c != "-" { print $c }' "$1" | sort -n | awk '{ v[NR] = $1 }
    END { if (NR == 0) print "-"; else print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# table COLUMN FORMAT TITLE: a row per program, and the medians of what is relative to the first contestant.
table() {
  local name who value first
  printf '\n%s\n\n| |' "$3"
  printf ' %s |' "${names[@]}"
  printf '\n|---|'
  printf -- '---:|%.0s' "${names[@]}"
  printf '\n'
  for name in "${chosen[@]}"; do
    printf '| %s |' "$name"
    first=""
    for who in "${!names[@]}"; do
      value=$(median "$work/measured/$name.$who" "$1")
      first=${first:-$value}
      if [[ $value == - || $first == - ]]; then
        printf ' - |'
      else
        awk -v v="$value" -v f="$first" -v format="$2" 'BEGIN { printf format " (%.2f) |", v, v / f }'
        awk -v v="$value" -v f="$first" 'BEGIN { print v / f }' >>"$work/relative.$1.$who"
      fi
    done
    printf '\n'
  done
  printf '| median |'
  for who in "${!names[@]}"; do
    printf ' %.2f |' "$(median "$work/relative.$1.$who" 1)"
  done
  printf '\n'
}

printf 'Medians of %d rounds at scale %d; in brackets relative to glibc. %s\n' "$rounds" "$scale" \
  "$(uname -sr | cut -d. -f1,2), $(nproc) processors."
table 2 ' %.2f' 'Seconds of processors, children included:'
table 1 ' %.2f' 'Seconds by the clock:'
table 3 ' %.0f' 'MiB resident at most, in one process:'

# classes FILE: how many size classes one process had regions of, at most.
classes() {
  awk '/^regions since/ { counting = 1; next }
    /^lgalloc .* process/ || /^options/ { counting = 0 }
    /^lgalloc .* process/ { now = 0 }
    counting && $2 ~ /^[KMG]iB$/ && $3 > 0 { now++; if (now > most) most = now }
    END { print most + 0 }' "$1"
}

# The bound on memory: 1.15 times what it takes with glibc, and a chunk for each size class in use. In every round.
printf '\nMiB resident at most, against the bound of 1.15 times glibc and a chunk of 32 MiB for each size class used:\n\n'
printf '| | glibc | lgalloc, worst round | size classes | beyond 1.15 x glibc | allowed beyond | |\n'
printf '|---|---:|---:|---:|---:|---:|---|\n'
for name in "${chosen[@]}"; do
  [[ -e $work/classes.$name ]] || continue
  awk -v name="$name" -v base="$(median "$work/measured/$name.0" 3)" -v classes="$(classes "$work/classes.$name")" '
    $3 > worst { worst = $3 }
    END {
      beyond = worst - 1.15 * base
      printf "| %s | %.0f | %.0f | %d | %.0f | %d | %s |\n", name, base, worst, classes, (beyond > 0 ? beyond : 0),
        32 * classes, (beyond <= 32 * classes ? "within" : "**ABOVE**")
    }' "$work/measured/$name.$own"
done
