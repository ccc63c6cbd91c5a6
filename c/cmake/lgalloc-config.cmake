# find_package(lgalloc) gives lgalloc::lgalloc: the shared library, or the static one where BUILD_SHARED_LIBS is off.
# lgalloc::shared and lgalloc::static name one of them.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include("${CMAKE_CURRENT_LIST_DIR}/lgalloc-targets.cmake")
if(NOT TARGET lgalloc::lgalloc)
  add_library(lgalloc::lgalloc INTERFACE IMPORTED)
  if(DEFINED BUILD_SHARED_LIBS AND NOT BUILD_SHARED_LIBS)
    set_target_properties(lgalloc::lgalloc PROPERTIES INTERFACE_LINK_LIBRARIES lgalloc::static)
  else()
    set_target_properties(lgalloc::lgalloc PROPERTIES INTERFACE_LINK_LIBRARIES lgalloc::shared)
  endif()
endif()
