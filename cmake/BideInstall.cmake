# cmake --install: headers, libraries, binary, plugins, pkg-config and CMake package files.
include(CMakePackageConfigHelpers)
set(BIDE_PLUGIN_DIR ${CMAKE_INSTALL_LIBDIR}/bide)

install(DIRECTORY framework/include/bide DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(TARGETS bide_shared bide_static EXPORT bide-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS bide_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS ${BIDE_HANDLER_TARGETS} LIBRARY DESTINATION ${BIDE_PLUGIN_DIR})

# Found from where bide.pc lies, so that an installed tree may be moved.
file(RELATIVE_PATH BIDE_PC_TO_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/bide.pc.in ${CMAKE_CURRENT_BINARY_DIR}/bide.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/bide.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

configure_package_config_file(cmake/bide-config.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/bide-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/bide)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/bide-config-version.cmake
  COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/bide-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/bide-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/bide)
install(EXPORT bide-targets NAMESPACE bide:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/bide)
