# Programs on the public library: examples, demo, benchmark.

# Each needs nothing but the header and the shared library; none is part of the default build, so that
# the library alone is quick to build.
function(lgalloc_add_program name)
  add_executable(${name} EXCLUDE_FROM_ALL ${ARGN})
  target_compile_options(${name} PRIVATE ${LGALLOC_WARNINGS} ${LGALLOC_PROGRAM_WARNINGS})
  set_target_properties(${name} PROPERTIES C_EXTENSIONS ON)
  target_link_libraries(${name} PRIVATE lgalloc_flavour lgalloc_shared Threads::Threads ${CMAKE_DL_LIBS} m)
endfunction()

file(GLOB examples CONFIGURE_DEPENDS "examples/*.c")
file(GLOB demo_parts CONFIGURE_DEPENDS "examples/demo/*.c")
set(LGALLOC_EXAMPLES "")
foreach(source IN LISTS examples)
  get_filename_component(name "${source}" NAME_WE)
  if(name STREQUAL "demo")
    lgalloc_add_program(demo "${source}" ${demo_parts})
  else()
    lgalloc_add_program(example-${name} "${source}")
  endif()
  list(APPEND LGALLOC_EXAMPLES ${name})
endforeach()

file(GLOB bench_sources CONFIGURE_DEPENDS "bench/*.c")
list(REMOVE_ITEM bench_sources "${CMAKE_CURRENT_SOURCE_DIR}/bench/contestant_embedded.c")
lgalloc_add_program(lgalloc-bench ${bench_sources})
# The library a second time, compiled into the program: its functions have other names there.
file(READ "${CMAKE_CURRENT_SOURCE_DIR}/lgalloc.map" exports)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS lgalloc.map)
string(REGEX MATCHALL "lgalloc_[a-z0-9_]+" renamed "${exports}")
list(TRANSFORM renamed REPLACE "(.+)" "\\1=embedded_\\1")
add_library(lgalloc_embedded OBJECT EXCLUDE_FROM_ALL "${LGALLOC_SOURCE}" bench/contestant_embedded.c)
target_include_directories(lgalloc_embedded PRIVATE "${LGALLOC_INCLUDE_DIR}")
target_compile_definitions(lgalloc_embedded PRIVATE ${renamed})
target_compile_options(lgalloc_embedded PRIVATE ${LGALLOC_WARNINGS})
set_target_properties(lgalloc_embedded PROPERTIES C_VISIBILITY_PRESET hidden)
target_link_libraries(lgalloc_embedded PRIVATE lgalloc_flavour Threads::Threads)
target_sources(lgalloc-bench PRIVATE $<TARGET_OBJECTS:lgalloc_embedded>)

# Runs others, and is no part of what they take.
add_executable(measure-program EXCLUDE_FROM_ALL bench/programs/measure.c)
target_compile_options(measure-program PRIVATE ${LGALLOC_WARNINGS} ${LGALLOC_PROGRAM_WARNINGS})
set_target_properties(measure-program PROPERTIES C_EXTENSIONS ON)
target_link_libraries(measure-program PRIVATE lgalloc_flavour)
