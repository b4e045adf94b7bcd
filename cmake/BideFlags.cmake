# Compiler flags of our own code: every target here links bide_flags.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # gnu11: __VA_OPT__, accept4 and friends
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_library(bide_flags INTERFACE)
target_compile_definitions(bide_flags INTERFACE _GNU_SOURCE $<$<BOOL:${BIDE_KILL_POINTS}>:BIDE_KILL_POINTS>)
target_compile_options(bide_flags INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
  -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wformat=2 -Wno-format-nonliteral $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation> -Wvla -Wundef
  -fno-strict-aliasing -fstack-protector-strong)

# Each where compiler and processor have it; tests/check/hardening looks at what came of it.
include(CheckCCompilerFlag)
foreach(flag -fstack-clash-protection -fcf-protection=full -mbranch-protection=standard)
  string(MAKE_C_IDENTIFIER "BIDE_HAVE${flag}" has_it)
  check_c_compiler_flag(${flag} ${has_it})
  if(${has_it})
    target_compile_options(bide_flags INTERFACE ${flag})
  endif()
endforeach()
if(BIDE_WERROR)
  target_compile_options(bide_flags INTERFACE -Werror)
endif()
target_link_options(bide_flags INTERFACE LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)

if(BIDE_SANITIZE)
  target_compile_options(bide_flags INTERFACE -fsanitize=${BIDE_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(bide_flags INTERFACE -fsanitize=${BIDE_SANITIZE})
else()
  target_compile_options(bide_flags INTERFACE $<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-D_FORTIFY_SOURCE=2>)
endif()
