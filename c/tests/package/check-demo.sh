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

head -c $((12 * 1024 * 1024 + 5)) /dev/urandom >"$work/input"
head -c 3 /dev/urandom >"$work/short"
: >"$work/empty"
works "files" "$work/input" --threads 2 --repeat 1 --backing file --path "$work"
works "anonymous memory" "$work/input" --threads 3 --repeat 1 --backing anonymous
works "one thread" "$work/input" --threads 1 --repeat 1 --backing anonymous
works "help" --help
refuses "a file that is not there" "$work/missing"
refuses "a directory as the file" "$work"
refuses "a directory that is not there" "$work/input" --backing file --path "$work/missing"
refuses "a file as the directory" "$work/input" --backing file --path "$work/empty"
refuses "an unknown option" --no-such-option
refuses "no number" "$work/input" --threads many
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
