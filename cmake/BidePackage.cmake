# The Debian package, by CPack; the preset `package` turns it on (packaging/build-deb).
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME bide)
set(BIDE_PACKAGE_CONTACT "bide maintainers <bide@example.org>" CACHE STRING "Who maintains the package")
set(CPACK_PACKAGE_CONTACT "${BIDE_PACKAGE_CONTACT}")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "passwd")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates, tzdata")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "gcc, cmake, pkgconf, rabbitmq-server, redis-server")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "workers for messages that must run later or again")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Producers send a message with a delay; the broker holds it; a worker with
many threads runs its handler on the millisecond, acknowledges it, retries
it with backoff, or keeps it as a dead letter.

The broker is a SQLite file, RabbitMQ or Redis. Handlers are plugins: this
package has those that write a journal, run a program and call a webhook,
and what is needed to build others.")
set(CPACK_STRIP_FILES ON)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
  WORLD_READ WORLD_EXECUTE)
set(scripts ${CMAKE_CURRENT_SOURCE_DIR}/packaging/debian)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${scripts}/conffiles ${scripts}/postinst
  ${scripts}/prerm ${scripts}/postrm ${scripts}/triggers)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_PRE_BUILD_SCRIPTS ${scripts}/finish.cmake)

string(TIMESTAMP BIDE_CHANGELOG_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(${scripts}/changelog.in ${CMAKE_CURRENT_BINARY_DIR}/changelog @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/changelog ${scripts}/copyright README.md CHANGELOG.md
  DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN decisions EXCLUDE)
install(DIRECTORY config/ ops DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES ${scripts}/bide.conf DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/bide)

include(CPack)
