# What is installed, and where: CMAKE_INSTALL_LIBDIR and its like say that, below the prefix or as absolute paths. Files
# that say where others are do it from where they are themselves, so that a prefix may move as a whole.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

foreach(library static shared)
  set_target_properties(lgalloc_${library} PROPERTIES EXPORT_NAME ${library})
endforeach()
install(TARGETS lgalloc_static lgalloc_shared EXPORT lgalloc
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
# By its name alone, for LD_PRELOAD; nothing links with it.
if(TARGET lgalloc_preload)
  install(TARGETS lgalloc_preload LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
endif()
# cmake --install --strip leaves archives alone; here the names that others link with stay.
install(CODE "
  if(CMAKE_INSTALL_DO_STRIP AND NOT \"${CMAKE_STRIP}\" STREQUAL \"\")
    get_filename_component(library_dir \"${CMAKE_INSTALL_LIBDIR}\" ABSOLUTE BASE_DIR \"\${CMAKE_INSTALL_PREFIX}\")
    execute_process(COMMAND \"${CMAKE_STRIP}\" --strip-unneeded --enable-deterministic-archives
      \"\$ENV{DESTDIR}\${library_dir}/liblgalloc.a\")
  endif()")
install(FILES "${LGALLOC_INCLUDE_DIR}/lgalloc.h" "${LGALLOC_INCLUDE_DIR}/lgalloc.hpp"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES "${LGALLOC_ROOT}/LICENSE-MIT" "${LGALLOC_ROOT}/LICENSE-APACHE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")

# Manual pages, which the header's comments are made into.
find_program(LGALLOC_AWK NAMES awk gawk mawk)
if(LGALLOC_AWK)
  set(man_dir "${PROJECT_BINARY_DIR}/man3")
  install(CODE "
    file(REMOVE_RECURSE \"${man_dir}\")
    file(MAKE_DIRECTORY \"${man_dir}\")
    execute_process(RESULT_VARIABLE result COMMAND \"${LGALLOC_AWK}\" -v \"dir=${man_dir}\"
      -f \"${CMAKE_CURRENT_SOURCE_DIR}/packaging/man.awk\" \"${LGALLOC_INCLUDE_DIR}/lgalloc.h\")
    if(NOT result EQUAL 0)
      message(FATAL_ERROR \"The manual pages could not be made\")
    endif()")
  install(DIRECTORY "${man_dir}" DESTINATION "${CMAKE_INSTALL_MANDIR}")
endif()

# ---------------------------------------------------------------- what finds it

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/lgalloc")
install(EXPORT lgalloc FILE lgalloc-targets.cmake NAMESPACE lgalloc:: DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/lgalloc-config-version.cmake" COMPATIBILITY SameMajorVersion)
install(FILES "${CMAKE_CURRENT_SOURCE_DIR}/cmake/lgalloc-config.cmake" "${PROJECT_BINARY_DIR}/lgalloc-config-version.cmake"
  DESTINATION "${package_dir}")

# pkg-config splits at blanks; what it knows itself it has escaped.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  string(REPLACE " " "\\ " pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
  file(RELATIVE_PATH pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
  string(REGEX REPLACE "/$" "" pc_prefix "\${pcfiledir}/${pc_prefix}")
endif()
foreach(dir LIBDIR INCLUDEDIR)
  string(REPLACE " " "\\ " pc_${dir} "${CMAKE_INSTALL_${dir}}")
  if(NOT IS_ABSOLUTE "${pc_${dir}}")
    set(pc_${dir} "\${prefix}/${pc_${dir}}")
  endif()
endforeach()
configure_file("${CMAKE_CURRENT_SOURCE_DIR}/lgalloc.pc.in" "${PROJECT_BINARY_DIR}/lgalloc.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/lgalloc.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
