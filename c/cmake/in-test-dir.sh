#!/bin/sh
# Runs a test in which LGALLOC_TEST_DIR names a fresh directory, removed afterwards: in LGALLOC_TEST_FAST_DIR, if that is
# set and LGALLOC_TEST_DISK isn't, else in TMPDIR or /tmp.
# LGALLOC_TEST_LAUNCHER is a command, split at blanks, that starts the test.
set -u
parent=${TMPDIR:-/tmp}
[ -n "${LGALLOC_TEST_DISK:-}" ] || parent=${LGALLOC_TEST_FAST_DIR:-$parent}
LGALLOC_TEST_DIR=$(mktemp -d "$parent/lgalloc-test.XXXXXX") || exit 1
export LGALLOC_TEST_DIR
trap 'rm -rf "$LGALLOC_TEST_DIR"' EXIT
trap 'exit 130' INT TERM HUP
# shellcheck disable=SC2086 # a list of words
${LGALLOC_TEST_LAUNCHER:-} "$@"
