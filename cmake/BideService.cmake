# systemd units, both from one template: bide-worker.service, and bide-worker@NAME.service for several.
set(BIDE_UNIT_DIR lib/systemd/system CACHE STRING "Where systemd units are installed, below the prefix")

function(bide_unit file)
  configure_file(packaging/systemd/bide-worker.service.in ${CMAKE_CURRENT_BINARY_DIR}/systemd/${file} @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/systemd/${file} DESTINATION ${BIDE_UNIT_DIR})
endfunction()

set(UNIT_HEAD "# The worker of /etc/bide/bide.conf. `systemctl edit bide-worker` changes it, and survives an upgrade.")
set(UNIT_TITLE "")
set(UNIT_CONFIG bide)
set(UNIT_STATE bide)
bide_unit(bide-worker.service)

set(UNIT_HEAD "# bide-worker@NAME.service is the worker of /etc/bide/NAME.conf; its folder is /var/lib/bide/NAME.")
set(UNIT_TITLE " of %i.conf")
set(UNIT_CONFIG %i)
set(UNIT_STATE bide/%i)
bide_unit(bide-worker@.service)
