#!/usr/bin/env bash
# What LGALLOC_STATS asks for is printed at exit: by programs on the shared and on the static library, by children of
# fork, and where the library is embedded in a plugin that was closed, whether that unloads it or not.
#   check-exit.sh CC LIBRARY.so LIBRARY.a
set -euo pipefail
export LC_ALL=C
cc=$1 shared=$(realpath "$2") static=$(realpath "$3")
c=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc exit.XXXXXX")
trap 'rm -rf "$work"' EXIT
count=0
failed=0

cat >"$work/program.c" <<'TEXT'
#include "lgalloc.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int use(void)
{
    lgalloc_config *config = lgalloc_config_new();
    lgalloc_status status = lgalloc_config_from_env(config);
    if (status == LGALLOC_STATUS_OK)
        status = lgalloc_set_config(config);
    if (status != LGALLOC_STATUS_OK)
        printf("%s\n", lgalloc_config_error(config));
    lgalloc_config_free(config);
    lgalloc_free(lgalloc_malloc(1 << 20));
    return status;
}

int main(int argc, char **argv)
{
    int status = use();
    if (argc > 1 && strcmp(argv[1], "fork") == 0) {
        if (fork() == 0)
            exit(0);
        wait(NULL);
    }
    if (argc > 1 && strcmp(argv[1], "_exit") == 0)
        _exit(0);
    if (argc > 1 && strcmp(argv[1], "elsewhere") == 0)
        status = chdir("/");
    return status;
}
TEXT
cat >"$work/host.c" <<'TEXT'
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    void *plugin = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    int (*use)(void) = plugin != NULL ? (int (*)(void))dlsym(plugin, "use") : NULL;
    if (use == NULL || use() != 0) {
        puts("no plugin");
        return 1;
    }
    if (dlclose(plugin) != 0)
        return 1;
    if (dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) == NULL)
        _exit(0); /* it is gone, so nothing may be left to do at exit */
    return 0;
}
TEXT
flags=(-D_GNU_SOURCE -O1 "-I$c/../include" -pthread)
"$cc" "${flags[@]}" "$work/program.c" "$shared" "-Wl,-rpath,$(dirname "$shared")" -o "$work/shared"
"$cc" "${flags[@]}" "$work/program.c" "$static" -o "$work/static"
"$cc" "${flags[@]}" -fPIC -shared -Dmain=unused "$work/program.c" "$c/lgalloc.c" -o "$work/plugin.so"
"$cc" "${flags[@]}" "$work/host.c" -o "$work/host" -ldl

# run STATS COMMAND...: with its outputs in $work/out and $work/err.
run() {
  local stats=$1
  shift
  rm -f "$work/out" "$work/err"
  (cd "$work" && env LGALLOC_ENABLE=on LGALLOC_BACKING=anon ${stats:+"LGALLOC_STATS=$stats"} "$@" >out 2>err) || status=$?
}
# check WHAT STATUS FILE PRINTS: it ended so, and there are so many texts in the file, complete, and nothing on the outputs.
check() {
  local begun=0 ended=0
  count=$((count + 1))
  if [[ -e $work/$3 ]]; then
    begun=$(grep -cE '^lgalloc [0-9.]+, process [0-9]+$' "$work/$3" || true)
    ended=$(grep -cE '^stats +[^ ]' "$work/$3" || true)
  fi
  if [[ $status == "$2" && $begun == "$4" && $ended == "$4" && ! -s $work/out && ($3 == err || ! -s $work/err) ]] &&
    { (($4 == 0)) || grep -qE '^ +1 MiB +1 ' "$work/$3"; }; then
    echo "ok: $1"
  else
    echo "failed: $1 (status $status, $begun texts)"
    tail -n 50 "$work/out" "$work/err"
    failed=$((failed + 1))
  fi
  status=0
}

status=0
for program in shared static; do
  run stderr "$work/$program"
  check "$program library, standard error" 0 err 1
done
run "$work/file" "$work/shared"
check "a file" 0 file 1
run "$work/file" "$work/shared"
check "the next process adds to it" 0 file 2
run "$work/file" "$work/shared" fork
check "so does the child of a fork" 0 file 4
run "$work/file" "$work/shared" _exit
check "_exit ends without it" 0 file 4
run "" "$work/shared"
check "without the variable nothing is printed" 0 err 0
run "$work/unloaded" "$work/host" "$work/plugin.so"
check "a plugin that was closed" 0 unloaded 1
mkdir "$work/directory"
run directory/file "$work/shared" elsewhere
check "a relative name, in a program that goes elsewhere" 0 directory/file 1
count=$((count + 1))
run "$work/none/file" "$work/shared"
if [[ $status == 1 ]] && grep -qF "stats=$work/none/file" "$work/out"; then
  echo "ok: a file that can't be"
else
  echo "failed: a file that can't be"
  failed=$((failed + 1))
fi
echo "exit: $((count - failed)) passed, $failed failed"
((failed == 0))
