# liblgalloc-preload.so, for LD_PRELOAD: malloc on regions in programs that know nothing of them.
set(LGALLOC_PRELOAD_DIR "${CMAKE_CURRENT_SOURCE_DIR}/preload")
add_library(lgalloc_preload MODULE "${LGALLOC_PRELOAD_DIR}/preload.c" "${LGALLOC_PRELOAD_DIR}/operators.c")
set_target_properties(lgalloc_preload PROPERTIES
  PREFIX ""
  OUTPUT_NAME liblgalloc-preload
  LIBRARY_OUTPUT_DIRECTORY "${LGALLOC_LIBRARY_DIR}"
  C_EXTENSIONS ON
  C_VISIBILITY_PRESET hidden
  LINK_DEPENDS "${LGALLOC_PRELOAD_DIR}/preload.map")
target_include_directories(lgalloc_preload PRIVATE "${LGALLOC_INCLUDE_DIR}")
target_compile_definitions(lgalloc_preload PRIVATE _GNU_SOURCE)
# Compilers know malloc, and would make calloc of a call and a memset, within calloc too.
target_compile_options(lgalloc_preload PRIVATE ${LGALLOC_WARNINGS} -fno-builtin-malloc -fno-builtin-calloc
  -fno-builtin-realloc -fno-builtin-free)
target_link_options(lgalloc_preload PRIVATE
  "LINKER:--version-script=${LGALLOC_PRELOAD_DIR}/preload.map"
  LINKER:-z,nodelete,-z,relro,-z,now LINKER:--as-needed LINKER:--no-undefined)
target_link_libraries(lgalloc_preload PRIVATE lgalloc_flavour Threads::Threads ${CMAKE_DL_LIBS})
