#!/usr/bin/env bash
# Other projects use the library through CMake: by FetchContent, by add_subdirectory() and by find_package(). It builds,
# it runs, and nothing but the library comes along.
#   check-cmake.sh CC:CXX
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
cc=${1%%:*} cxx=${1#*:}
work=$(mktemp -d "${TMPDIR:-/tmp}/lgalloc cmake.XXXXXX")
trap 'rm -rf "$work"' EXIT
cp -r "$here/cmake" "$work/user"
# shellcheck source=c/tests/package/try.sh
source "$(dirname "$0")/try.sh"

# build DIRECTORY WAY C|CXX [ARGUMENT...]: the user's project.
build() {
  local dir=$1 way=$2 language=$3
  shift 3
  cmake -S "$work/user" -B "$work/$dir" -G "Unix Makefiles" "-DCMAKE_C_COMPILER=$cc" "-DCMAKE_CXX_COMPILER=$cxx" \
    "-DWAY=$way" "-DSOURCE=$root" "-DUSER_LANGUAGE=$language" "-DCONSUMER=$here/consumer.c" -Werror=dev "$@" &&
    cmake --build "$work/$dir" --parallel 2
}

# links PROGRAM shared|static: it has or hasn't the shared library, and runs.
links() {
  local found=static
  if readelf -dW "$1" | grep -qF '[liblgalloc.so.0]'; then
    found=shared
  fi
  [[ $found == "$2" ]] && "$1"
}

# the_library_alone DIRECTORY TARGET...: has these targets, and has built nothing but the program and one library;
# neither tests nor rules for installation.
the_library_alone() {
  local dir=$work/$1
  shift
  diff <(printf '%s\n' "$@") <(LC_ALL=C sort "$dir/targets") &&
    [[ $(find "$dir" -type f \( -name '*.a' -o -name '*.so*' \) | wc -l) == 1 ]] &&
    [[ $(find "$dir" -path '*/CMakeFiles' -prune -o -type f -perm /100 -print | grep -vcF .so) == 1 ]] &&
    [[ $(cd "$dir" && ctest -N 2>/dev/null | grep '^Total') == "Total Tests: 0" ]] &&
    cmake --install "$dir" --prefix "$dir/installed" &&
    [[ $(cd "$dir/installed" && find . -type f) == ./bin/consumer ]]
}
targets=(consumer lgalloc_flavour lgalloc_shared lgalloc_static)

try "FetchContent, a project in C++ alone" build fetched fetch CXX \
  -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON -DCMAKE_POLICY_DEFAULT_CMP0069=NEW
try "… runs, with the library in it" links "$work/fetched/consumer" static
try "… and nothing else comes along" the_library_alone fetched "${targets[@]}"
try "add_subdirectory(), shared, in a project that takes no warning" build below subdirectory C -DBUILD_SHARED_LIBS=ON \
  -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_C_FLAGS=-Werror -Wconversion -Wcast-align=strict -Wshadow -Wundef"
try "… runs" links "$work/below/consumer" shared
try "… and nothing else comes along" the_library_alone below "${targets[@]}"
try "add_subdirectory(), asked to install it" build asked subdirectory C -DLGALLOC_INSTALL=ON
try "… installs it" cmake --install "$work/asked" --prefix "$work/a prefix"
rm -rf "$work/asked"
try "… and moves" mv "$work/a prefix" "$work/moved"
try "find_package(), what was installed there and has moved; in C++ alone" build found find CXX \
  "-DCMAKE_PREFIX_PATH=$work/moved"
try "… runs, with the shared library" links "$work/found/consumer" shared
try "find_package(), static" build "found static" find C "-DCMAKE_PREFIX_PATH=$work/moved" -DBUILD_SHARED_LIBS=OFF
try "… runs" links "$work/found static/consumer" static

echo "cmake: $((count - failed)) passed, $failed failed"
((failed == 0))
