# Writes Redis' scripts as C: cmake -DSOURCE=framework/broker/redis/scripts -DPARTS=…/parts -DPREFIX=bide_redis_lua_
# -DHEADER=broker/redis/scripts/scripts.h -DOUTPUT=redis_scripts.c -P EmbedLua.cmake
# NAME.lua becomes PREFIXNAME. A line "-- parts: A B" puts A.lua and B.lua of the folder PARTS in front of the script.
# Comments that have a line to themselves and empty lines are left out.

# Text that NAME.lua holds, as the server gets it.
function(read_lua name result)
  file(READ ${name}.lua text)
  string(REGEX REPLACE "(^|\n) *--[^\n]*" "\\1" text "${text}")
  string(REGEX REPLACE "\n\n+" "\n" text "${text}")
  string(REGEX REPLACE "^\n" "" text "${text}")
  set(${result} "${text}" PARENT_SCOPE)
endfunction()

set(code "#include \"${HEADER}\"\n")
file(GLOB files RELATIVE ${SOURCE} ${SOURCE}/*.lua)
foreach(file ${files})
  string(REPLACE .lua "" name ${file})
  file(STRINGS ${SOURCE}/${file} parts REGEX "^-- parts: ")
  string(REGEX MATCHALL "[a-z_]+" parts "${parts}")
  list(REMOVE_ITEM parts parts)
  set(script "")
  foreach(part ${parts})
    read_lua(${PARTS}/${part} text)
    string(APPEND script "${text}")
  endforeach()
  read_lua(${SOURCE}/${name} text)
  string(APPEND script "${text}")
  string(REPLACE "\\" "\\\\" script "${script}")
  string(REPLACE "\"" "\\\"" script "${script}")
  string(REPLACE "\n" "\\n\"\n    \"" script "${script}")
  string(APPEND code "\nconst char ${PREFIX}${name}[] =\n    \"${script}\";\n")
endforeach()
file(WRITE ${OUTPUT} "${code}")
