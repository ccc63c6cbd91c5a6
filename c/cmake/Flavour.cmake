# What a build directory is for: LGALLOC_FLAVOUR names it, the target lgalloc_flavour carries its flags.
set(LGALLOC_FLAVOUR release CACHE STRING "release, plain, asan, tsan, valgrind, fuzz or coverage")
set_property(CACHE LGALLOC_FLAVOUR PROPERTY STRINGS release plain asan tsan valgrind fuzz coverage)

set(LGALLOC_WARNINGS -Wall -Wextra -Wpedantic)
# In one translation unit a local name may well be another file's static; what shadows within a file is
# found where each file is compiled alone.
set(LGALLOC_LIBRARY_WARNINGS -Wstrict-prototypes -Wmissing-prototypes -Wvla)
set(LGALLOC_PROGRAM_WARNINGS -Wshadow)
set(LGALLOC_SANITIZERS "")

add_library(lgalloc_flavour INTERFACE)

set(flags -g)
if(LGALLOC_FLAVOUR STREQUAL "release")
  # A build type that the user chose, and generators for several of them, bring their own.
  if(CMAKE_BUILD_TYPE OR CMAKE_CONFIGURATION_TYPES)
    set(flags "")
  else()
    list(APPEND flags -O2 -DNDEBUG)
  endif()
  # The same bytes wherever it is built: debuggers look for sources below the directory they are started in.
  if(lgalloc_alone AND CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_C_COMPILER_VERSION VERSION_GREATER_EQUAL 8)
    list(APPEND flags "-ffile-prefix-map=${LGALLOC_ROOT}=." "-ffile-prefix-map=${PROJECT_BINARY_DIR}=.")
  elseif(lgalloc_alone AND CMAKE_C_COMPILER_ID STREQUAL "Clang" AND CMAKE_C_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
    list(APPEND flags "-ffile-prefix-map=${LGALLOC_ROOT}=." -ffile-compilation-dir=.)
  endif()
elseif(LGALLOC_FLAVOUR STREQUAL "plain")
  list(APPEND flags -O2)
elseif(LGALLOC_FLAVOUR STREQUAL "valgrind")
  # -O1: above it, vectorised loads past the end of a string look like errors.
  list(APPEND flags -O1 -DLG_MEMCHECK=1)
elseif(LGALLOC_FLAVOUR STREQUAL "asan")
  list(APPEND flags -O1)
  set(LGALLOC_SANITIZERS address,undefined)
elseif(LGALLOC_FLAVOUR STREQUAL "tsan")
  list(APPEND flags -O1)
  set(LGALLOC_SANITIZERS thread)
elseif(LGALLOC_FLAVOUR STREQUAL "fuzz")
  list(APPEND flags -O1)
  set(LGALLOC_SANITIZERS address,undefined,fuzzer-no-link)
elseif(LGALLOC_FLAVOUR STREQUAL "coverage")
  list(APPEND flags -O0 --coverage)
  target_link_options(lgalloc_flavour INTERFACE --coverage)
else()
  message(FATAL_ERROR "LGALLOC_FLAVOUR: ${LGALLOC_FLAVOUR} is not a flavour")
endif()

if(LGALLOC_SANITIZERS)
  list(APPEND flags -fno-omit-frame-pointer -fsanitize=${LGALLOC_SANITIZERS} -fno-sanitize-recover=all)
  target_link_options(lgalloc_flavour INTERFACE -fsanitize=${LGALLOC_SANITIZERS})
endif()
# The tests tolerate no warning of the compilers that the text was written with. Newer ones have warnings that nobody
# here has seen, and a release must build with whatever comes.
if(NOT LGALLOC_FLAVOUR STREQUAL "release" AND
   ((CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_C_COMPILER_VERSION VERSION_LESS 15) OR
    (CMAKE_C_COMPILER_ID STREQUAL "Clang" AND CMAKE_C_COMPILER_VERSION VERSION_LESS 20)))
  list(APPEND flags -Werror)
endif()

target_compile_options(lgalloc_flavour INTERFACE ${flags})
