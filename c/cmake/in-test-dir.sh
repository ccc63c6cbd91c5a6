#!/bin/sh
# Runs a test in which LGALLOC_TEST_DIR names a fresh directory, removed afterwards.
# LGALLOC_TEST_LAUNCHER is a command, split at blanks, that starts the test.
set -u
LGALLOC_TEST_DIR=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc-test.XXXXXX") || exit 1
export LGALLOC_TEST_DIR
trap 'rm -rf "$LGALLOC_TEST_DIR"' EXIT
trap 'exit 130' INT TERM HUP
# shellcheck disable=SC2086 # a list of words
${LGALLOC_TEST_LAUNCHER:-} "$@"
