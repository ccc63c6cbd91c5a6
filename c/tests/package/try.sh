# What several check-*.sh count. Sourced; $work is a directory of the caller's.
# shellcheck shell=bash disable=SC2154

count=0
failed=0

# try WHAT COMMAND...: what the command says is shown if it fails.
try() {
  local what=$1
  shift
  count=$((count + 1))
  if "$@" >"$work/log" 2>&1; then
    echo "ok: $what"
  else
    echo "failed: $what"
    cat "$work/log"
    failed=$((failed + 1))
  fi
}
