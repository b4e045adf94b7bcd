# Before CPack closes the package: compresses what Debian wants compressed, and takes the debug symbols out of libbide.a.
file(GLOB_RECURSE pages ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share/man/*.[1-9])
file(GLOB changelog ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share/doc/bide/changelog)
file(GLOB_RECURSE archives ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/lib/*.a)
if(NOT pages OR NOT changelog OR NOT archives)
  message(FATAL_ERROR "not where they were expected: manual pages, changelog, libbide.a")
endif()
execute_process(COMMAND gzip -9 -n ${pages} ${changelog} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND strip --strip-debug --enable-deterministic-archives ${archives} COMMAND_ERROR_IS_FATAL ANY)
