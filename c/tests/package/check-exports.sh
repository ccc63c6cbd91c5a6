#!/usr/bin/env bash
# The shared library exports what the header declares and nothing else, under its soname, and needs libc
# alone; the static one takes no other names from the programs that it is linked with.
#   check-exports.sh CC LIBRARY.so LIBRARY.a
set -euo pipefail
export LC_ALL=C
cc=$1 shared=$2 static=$3
c=$(cd "$(dirname "$0")/../.." && pwd)
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

declared=$("$cc" -E -P "$c/../include/lgalloc.h" | tr '\n' ' ' | grep -oE '\blgalloc_[a-z0-9_]+ *\(' | tr -d ' (' | sort -u)
listed=$(sed -n 's/^ *\(lgalloc_[a-z0-9_]*\);$/\1/p' "$c/lgalloc.map" | sort)
exported=$(nm -D --defined-only "$shared" | awk '{print $NF}' | sort)
same "c/lgalloc.map lists what the header declares" "$declared" "$listed"
same "the shared library exports it and nothing else" "$declared" "$exported"

# A definition as tools find it that don't expand macros, and people who search.
defined=$(cat "$c"/src/*/*.c | tr '\n' ' ' | grep -oE '\b(LG_API|LG_HOT) [a-z0-9_* ]*\blgalloc_[a-z0-9_]+\([^;{}]*\) \{' |
  sed -E 's/^[^(]*\b(lgalloc_[a-z0-9_]+)\(.*/\1/' | sort)
same "each is a plain function" "$declared" "$defined"
if command -v ctags >/dev/null; then
  same "ctags finds each" "" \
    "$(comm -23 <(echo "$declared") <(ctags --options=NONE -x --c-kinds=f "$c"/src/*/*.c | awk '{print $1}' | sort -u))"
else
  echo "--: no ctags"
fi

dynamic=$(readelf -dW "$shared")
major=$(sed -n 's/^#define LGALLOC_VERSION_MAJOR \([0-9]*\)$/\1/p' "$c/../include/lgalloc.h")
same "soname" "liblgalloc.so.$major" "$(sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p' <<<"$dynamic")"
# Before glibc 2.34 threads were a library of their own.
same "needs libc alone" "libc.so.6" \
  "$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic" | grep -v '^libpthread\.so\.0$')"
same "no path to search for libraries, no relocation of code" "" "$(grep -E 'RPATH|RUNPATH|TEXTREL' <<<"$dynamic" || true)"
same "it stays loaded: dlclose would pull it away below threads that end, and the worker" "NODELETE" \
  "$(grep -o 'NODELETE' <<<"$dynamic" || true)"
# The thread's record is found without a call: that is what the initial-exec model is for.
same "no call to find thread-local data" "" "$(nm -D --undefined-only "$shared" | grep -o '__tls_get_addr' || true)"

same "the static library has these global names and no other" "$declared" \
  "$(nm -g --defined-only "$static" | awk 'NF == 3 {print $3}' | sort -u)"
# notes LIBRARY: the static probes, with the number of their arguments.
notes() {
  readelf -nW "$1" 2>/dev/null | awk '/Provider: / { ours = $NF == "lgalloc" } ours && $1 == "Name:" { name = $2 }
    ours && $1 == "Arguments:" { print name, NF - 1 }' | sort -u
}
probes=""
if "$cc" -E -x c - <<<'#include <sys/sdt.h>' >/dev/null 2>&1; then
  probes=$(sed -nE 's/^ \*     ([a-z_]+)\(([^)]*)\).*/\1 \2/p' "$c/src/base/probe.h" | awk -F, '{ split($1, w, " "); print w[1], NF }' | sort)
else
  echo "--: no <sys/sdt.h>, so there are no static probes"
fi
same "static probes" "$probes" "$(notes "$shared")"
work=$(mktemp "${TMPDIR:-/tmp}/lgalloc-stripped.XXXXXX")
strip --strip-unneeded -o "$work" "$shared"
same "static probes, stripped" "$probes" "$(notes "$work")"
rm -f "$work"
echo "exports: $((count - failed)) passed, $failed failed"
((failed == 0))
