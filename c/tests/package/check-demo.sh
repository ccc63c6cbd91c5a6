#!/usr/bin/env bash
# The demo does its job on both backings, and says in one line what it can't do.
#   check-demo.sh DEMO
set -euo pipefail
demo=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc demo.XXXXXX")
trap 'rm -rf "$work"' EXIT
count=0
failed=0

# works WHAT ARGUMENT...
works() {
  local what=$1
  shift
  count=$((count + 1))
  if "$demo" "$@" >"$work/out" 2>"$work/err"; then
    echo "ok: $what"
  else
    echo "failed: $what"
    cat "$work/out" "$work/err"
    failed=$((failed + 1))
  fi
}

# said WHAT REGEX: the last output has such a line.
said() {
  count=$((count + 1))
  if grep -qE "$2" "$work/out"; then
    echo "ok: $1"
  else
    echo "failed: $1: nothing like '$2' in"
    cat "$work/out"
    failed=$((failed + 1))
  fi
}

# refuses WHAT ARGUMENT...: status 2, one line on standard error, nothing on standard output.
refuses() {
  local what=$1 rc=0
  shift
  count=$((count + 1))
  "$demo" "$@" >"$work/out" 2>"$work/err" || rc=$?
  if ((rc == 2)) && [[ $(wc -l <"$work/err") == 1 && ! -s $work/out ]]; then
    echo "ok: $what: $(<"$work/err")"
  else
    echo "failed: $what: status $rc"
    cat "$work/out" "$work/err"
    failed=$((failed + 1))
  fi
}

# named REGEX: so does the last refusal.
named() {
  count=$((count + 1))
  if grep -qE "$1" "$work/err"; then
    echo "ok: it says who"
  else
    echo "failed: nothing like '$1' in: $(<"$work/err")"
    failed=$((failed + 1))
  fi
}

head -c $((12 * 1024 * 1024 + 5)) /dev/urandom >"$work/input"
head -c 3 /dev/urandom >"$work/short"
: >"$work/empty"
works "files" "$work/input" --threads 2 --repeat 1 --backing file --path "$work"
works "anonymous memory" "$work/input" --threads 3 --repeat 1 --backing anonymous
said "what it needs" '^needs +[0-9.]+ [KMG]iB of memory at least; .* are '
said "the first round apart" '^1, cold +[0-9.]+ ms'
works "three rounds" "$work/input" --repeat 3 --path "$work"
said "what it needs of the disk" '^ +24 MiB of disk at least; '
said "the median of the others" '^median, 2 to 3 +[0-9.]+ ms'
said "a picture of lgalloc's memory" '^lgalloc: at most [0-9.]+ MiB; when all is free [0-9.]+ MiB; after a purge '
said "a picture of malloc's memory" '^malloc: at most [0-9.]+ MiB; when all is free '
said "a high column in it" '\|.*#'
said "whose picture it is" ' processors, Linux [0-9.]+, 20[0-9]{2}-[0-9]{2}-[0-9]{2}$'
said "who was at work" 'at work \+.*[lm]'
works "one thread" "$work/input" --threads 1 --repeat 1 --backing anonymous
works "help" --help
refuses "a file that is not there" "$work/missing"
refuses "a directory as the file" "$work"
refuses "a directory that is not there" "$work/input" --backing file --path "$work/missing"
refuses "a file as the directory" "$work/input" --backing file --path "$work/empty"
refuses "an unknown option" --no-such-option
refuses "no number" "$work/input" --threads many
# A number that isn't there, or isn't one; then less than any sort has in use.
for limit in 12parsecs -5M 0 1e9 0x10 . 1.2.3 "" M 1MM 1iB 99999999T 15.9M 1K; do
  refuses "--limit '$limit'" "$work/input" --limit "$limit"
done
# Less than a sort in memory has in use, which is 4 times 12 MiB at most.
refuses "a small limit on files" "$work/input" --limit 47.9M --backing file --path "$work"
for limit in 50331648 48M "48 MiB" 49152kb 0.05gib; do
  works "--limit '$limit'" "$work/input" --repeat 2 --backing anonymous --limit "$limit"
  said "that it is a limit" '^limit +(48|51.2) MiB for lgalloc, as asked for'
  held=$(sed -n 's/^lgalloc_purge cleared regions of \([0-9]*\).* MiB$/\1/p' "$work/out")
  count=$((count + 1))
  if ((held <= 51)); then
    echo "ok: lgalloc held $held MiB"
  else
    echo "failed: lgalloc held $held MiB"
    failed=$((failed + 1))
  fi
done

# Sealed regions, evicted to disk: one run, several, and more than are merged at a time.
head -c $((64 * 1024 * 1024 - 3)) /dev/urandom >"$work/larger"
head -c $((24 * 1024 * 1024)) < <(yes "the same words again and again") >"$work/same"
head -c $((20 * 1024 * 1024)) /dev/zero | tr '\0' '\377' >"$work/greatest"
where=()
for directory in "$work" /var/tmp; do
  case $(stat -f -c %T "$directory") in
    tmpfs | ramfs) ;;
    *)
      where=(--path "$directory")
      break
      ;;
  esac
done
if ((${#where[@]} > 0)); then
  sealed() { # WHAT PASSES ARGUMENT...
    works "sealed regions: $1" "${@:3}" "${where[@]}"
    said "… passes" "passes: $2\$"
    said "… the result" '^result   sorted, and the words of the input$'
    said "… memory" '^memory .* within the limit, 2 percent, '
    said "… without a failure" '^regions .* loaded, 0 failures$'
  }
  sealed "few at a time" 2 "$work/larger" --limit 16M
  said "… written" '^1 .* s +1[0-9.]* MiB +[0-9.]+ MiB'
  sealed "many at a time, by four threads" 1 "$work/larger" --limit 64M --threads 4
  sealed "one run" 0 "$work/input" --limit 47.9M --threads 1
  sealed "two rounds" 1 "$work/input" --limit 16M --repeat 2
  sealed "the same words" 2 "$work/same" --limit 16M --threads 3
  sealed "the greatest word" 2 "$work/greatest" --limit 16M
else
  echo "left out: there is no directory on disk to evict to"
fi
if [[ $(stat -f -c %T /dev/shm 2>/dev/null) == tmpfs && -w /dev/shm ]]; then
  refuses "to evict memory to memory" "$work/input" --limit 16M --path /dev/shm
fi
rm "$work/larger" "$work/same" "$work/greatest"

# What doesn't fit, by each who may say so.
truncate -s 8T "$work/huge" 2>/dev/null || truncate -s 1T "$work/huge"
refuses "more than the memory" "$work/huge" --path "$work"
named 'available on this machine$'
refuses "more than the memory, anonymous" "$work/huge" --backing anonymous
rm "$work/huge"
unlimited=$demo
cat >"$work/limited" <<'SCRIPT'
#!/bin/sh
ulimit -v "$1" && shift && exec "$@"
SCRIPT
chmod +x "$work/limited"
demo=$work/limited
refuses "more than the addresses" 100000 "$unlimited" "$work/input"
named 'RLIMIT_AS'
demo=$unlimited
if ((EUID == 0)) && mkdir "$work/small" && unshare -m mount -t tmpfs -o size=16m none "$work/small" 2>/dev/null; then
  cat >"$work/limited" <<'SCRIPT'
#!/bin/sh
exec unshare -m sh -c 'mount -t tmpfs -o size=16m none "$1" && d=$1 && shift && exec "$@" --path "$d"' sh "$@"
SCRIPT
  demo=$work/limited
  refuses "more than the disk" "$work/small" "$unlimited" "$work/input"
  named "^demo: 24 MiB of disk are needed, and 1[0-9.]* MiB are free in '.*small'$"
  demo=$unlimited
else
  echo "left out: a small file system can't be mounted here"
fi
cgroup=/sys/fs/cgroup
own=$(sed -n 's/^0:://p' /proc/self/cgroup)
file=memory.max
if grep -q ':memory:' /proc/self/cgroup; then
  cgroup=/sys/fs/cgroup/memory
  own=$(sed -n 's/.*:memory://p' /proc/self/cgroup)
  file=memory.limit_in_bytes
fi
group=$cgroup$own/lgalloc-demo.$$
if mkdir "$group" 2>/dev/null && mkdir "$group/inner" && echo 50M 2>/dev/null >"$group/$file"; then
  # The limit is that of the group around.
  cat >"$work/limited" <<'SCRIPT'
#!/bin/sh
echo $$ >"$1/cgroup.procs" && shift && exec "$@"
SCRIPT
  demo=$work/limited
  refuses "more than the cgroup's memory" "$group/inner" "$unlimited" "$work/input"
  named "left under .*/$file\$"
  demo=$unlimited
else
  echo "left out: no cgroup with a limit can be made here"
fi
rmdir "$group/inner" "$group" 2>/dev/null || true

# On a terminal it says how far it is.
if command -v script >/dev/null; then
  script -qec "'$demo' '$work/input' --repeat 1 --path '$work'" /dev/null </dev/null >"$work/out" 2>&1 || true
  said "progress with lgalloc" 'round 1 of 1, lgalloc: [0-9]+%'
  said "progress with malloc" 'round 1 of 1, malloc: [0-9]+%'
  said "progress of the comparison" 'round 1 of 1, comparing the results: 100%'
else
  echo "left out: there is no program to make a terminal"
fi

for odd in short empty; do
  count=$((count + 1))
  rc=0
  "$demo" "$work/$odd" --repeat 1 --backing anonymous >"$work/out" 2>"$work/err" || rc=$?
  if ((rc == 0 || rc == 2)); then
    echo "ok: a $odd file: status $rc"
  else
    echo "failed: a $odd file: status $rc"
    cat "$work/out" "$work/err"
    failed=$((failed + 1))
  fi
done
# Anybody but root may be refused by permissions.
if ((EUID != 0)); then
  mkdir "$work/closed"
  chmod 500 "$work/closed"
  refuses "a directory that can't be written" "$work/input" --backing file --path "$work/closed"
  chmod 000 "$work/short"
  refuses "a file that can't be read" "$work/short"
fi
echo "demo: $((count - failed)) passed, $failed failed"
((failed == 0))
