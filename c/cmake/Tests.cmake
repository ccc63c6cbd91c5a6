# Every c/tests/test_*.c is one program, and one CTest test. Names that begin with test_api_ or
# test_world_ see the public header alone and run against the shared library, as users' programs do; the others
# are linked with lgalloc_testing and may look at everything in c/src.
#
# A source may say what it needs in comments of its own:
#   ctest-labels: novalgrind stress     more labels; with "serial" nothing else runs at the same time, with "long" it is
#                                       the first to start; with "disk" its directory is never in memory, unless TMPDIR is
# Names with "stress" or "soak" have the label stress by themselves.

# The whole library with its internal checks and with the seam at which tests inject failures.
add_library(lgalloc_testing STATIC "${LGALLOC_SOURCE}")
set_target_properties(lgalloc_testing PROPERTIES C_VISIBILITY_PRESET hidden)
target_include_directories(lgalloc_testing PUBLIC "${LGALLOC_INCLUDE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}/src")
target_compile_definitions(lgalloc_testing PUBLIC LG_DEBUG=1 LG_TESTING=1)
target_compile_options(lgalloc_testing PRIVATE ${LGALLOC_WARNINGS} ${LGALLOC_LIBRARY_WARNINGS})
target_link_libraries(lgalloc_testing PRIVATE lgalloc_flavour PUBLIC Threads::Threads)

set(test_environment "")
# allocator_may_return_null: a heap that has no more is a status, and the tests ask for it.
list(APPEND test_environment
  "ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=1:strict_string_checks=1"
  "UBSAN_OPTIONS=print_stacktrace=1")
# die_after_fork: the child of a process with threads starts threads of its own, and must be able to.
list(APPEND test_environment
  "TSAN_OPTIONS=allocator_may_return_null=1:halt_on_error=1:die_after_fork=0:second_deadlock_stack=1")

# A guard against a hang, longer than the tests' own (TEST_HANG_SECONDS); no test is that slow on a busy machine.
set(test_timeout 3600)
set(test_wrapper "${CMAKE_CURRENT_LIST_DIR}/in-test-dir.sh")
set(test_launcher "")
if(LGALLOC_FLAVOUR STREQUAL "valgrind")
  find_program(VALGRIND valgrind REQUIRED)
  # Asks the tests to do with fewer rounds.
  list(APPEND test_environment "LGALLOC_TEST_SLOW=1")
  # fair-sched: a thread that spins must not starve the one it waits for. Leaks are looked for under
  # AddressSanitizer; here every child of a fork would search all that is mapped, for minutes.
  set(test_launcher "${VALGRIND}" --quiet --error-exitcode=99 --fair-sched=yes --num-callers=30
    --leak-check=no)
endif()

# lgalloc_add_test(NAME TARGET [LABELS label...] [ARGS argument...])
# runs TARGET as the test NAME, with LGALLOC_TEST_DIR naming a fresh directory that is removed afterwards.
function(lgalloc_add_test name target)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "LABELS;ARGS")
  if(name MATCHES "stress|soak" AND NOT "stress" IN_LIST arg_LABELS)
    list(APPEND arg_LABELS stress)
  endif()
  if(LGALLOC_FLAVOUR STREQUAL "valgrind" AND ("stress" IN_LIST arg_LABELS OR "novalgrind" IN_LIST arg_LABELS))
    return()
  endif()
  add_test(NAME ${name} COMMAND "${test_wrapper}" ${test_launcher} $<TARGET_FILE:${target}> ${arg_ARGS})
  set(environment "${test_environment}")
  if("disk" IN_LIST arg_LABELS)
    list(APPEND environment "LGALLOC_TEST_DISK=1")
  endif()
  set_tests_properties(${name} PROPERTIES
    TIMEOUT ${test_timeout}
    ENVIRONMENT "${environment}"
    LABELS "${arg_LABELS}")
  if("stress" IN_LIST arg_LABELS)
    # It keeps the machine busy by itself; beside it the timing of others would mean nothing.
    set_tests_properties(${name} PROPERTIES PROCESSORS 2)
  endif()
  if("long" IN_LIST arg_LABELS)
    set_tests_properties(${name} PROPERTIES COST 100)
  endif()
  if("serial" IN_LIST arg_LABELS)
    set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
  endif()
endfunction()

# What the compiler is told for the tests and for what they share.
function(lgalloc_compile_test target)
  target_compile_options(${target} PRIVATE ${LGALLOC_WARNINGS} ${LGALLOC_PROGRAM_WARNINGS} -Wno-unused-parameter)
  # Tests of misuse do it on purpose, and lgalloc_usable_size() answers for what is free.
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_C_COMPILER_VERSION VERSION_GREATER_EQUAL 12)
    target_compile_options(${target} PRIVATE -Wno-use-after-free)
  endif()
  # POSIX is there without asking; what asks for more says so in its first line.
  set_target_properties(${target} PROPERTIES C_EXTENSIONS ON)
  target_include_directories(${target} PRIVATE
    "${LGALLOC_INCLUDE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}/tests" "${CMOCKA_INCLUDE_DIR}")
  target_link_libraries(${target} PRIVATE lgalloc_flavour)
endfunction()

function(lgalloc_add_test_program name)
  add_executable(${name} ${ARGN})
  if(TARGET lgalloc_test_support)
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:lgalloc_test_support>)
  endif()
  lgalloc_compile_test(${name})
  if(name MATCHES "^test_(api|world)_" AND LGALLOC_FLAVOUR STREQUAL "coverage")
    # Children that end with _exit() write what the program counts, which isn't what a shared library counts.
    target_link_libraries(${name} PRIVATE lgalloc_static)
  elseif(name MATCHES "^test_(api|world)_")
    target_link_libraries(${name} PRIVATE lgalloc_shared)
  else()
    target_link_libraries(${name} PRIVATE lgalloc_testing)
  endif()
  target_link_libraries(${name} PRIVATE "${CMOCKA_LIBRARY}" Threads::Threads ${CMAKE_DL_LIBS} m)
endfunction()

# The fuzzers need the library and the functions above, and no more.
if(LGALLOC_FLAVOUR STREQUAL "fuzz")
  return()
endif()

find_path(CMOCKA_INCLUDE_DIR cmocka.h REQUIRED)
find_library(CMOCKA_LIBRARY cmocka REQUIRED)

file(GLOB test_sources CONFIGURE_DEPENDS "tests/test_*.c")
# What several tests share; it sees the public header alone.
file(GLOB test_support CONFIGURE_DEPENDS "tests/support*.c")
add_library(lgalloc_test_support OBJECT ${test_support})
lgalloc_compile_test(lgalloc_test_support)
foreach(source IN LISTS test_sources)
  get_filename_component(name "${source}" NAME_WE)
  # What a source says of itself is read here, so a change to it has to come here again.
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
  file(STRINGS "${source}" labels REGEX "ctest-labels:")
  string(REGEX REPLACE ".*ctest-labels:([a-z0-9_ ]*).*" "\\1" labels "${labels}")
  separate_arguments(labels)
  lgalloc_add_test_program(${name} "${source}")
  lgalloc_add_test(${name} ${name} LABELS ${labels})
endforeach()

# The library inside of a plugin, which binds to its own copy.
add_library(test_plugin MODULE tests/plugin/plugin.c)
set_target_properties(test_plugin PROPERTIES C_VISIBILITY_PRESET hidden)
target_include_directories(test_plugin PRIVATE "${LGALLOC_INCLUDE_DIR}")
target_compile_options(test_plugin PRIVATE ${LGALLOC_WARNINGS} ${LGALLOC_LIBRARY_WARNINGS})
target_link_libraries(test_plugin PRIVATE lgalloc_flavour Threads::Threads)
target_link_options(test_plugin PRIVATE LINKER:-Bsymbolic)
target_compile_definitions(test_world_plugin PRIVATE "TEST_PLUGIN=\"$<TARGET_FILE:test_plugin>\"")
add_dependencies(test_world_plugin test_plugin)

# It runs these once more.
add_dependencies(test_world_container test_api_sealed test_api_sealed_process)

lgalloc_add_test_program(soak "${CMAKE_CURRENT_SOURCE_DIR}/tests/soak.c")
lgalloc_add_test(soak soak ARGS 5)

# All programs must build without a warning, and the examples must end well.
foreach(name IN LISTS LGALLOC_EXAMPLES)
  if(NOT name STREQUAL "demo")
    set_target_properties(example-${name} PROPERTIES EXCLUDE_FROM_ALL OFF)
    lgalloc_add_test(example-${name} example-${name})
  endif()
endforeach()
foreach(program demo lgalloc-bench)
  set_target_properties(${program} PROPERTIES EXCLUDE_FROM_ALL OFF)
endforeach()
