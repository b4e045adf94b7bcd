# Puts the dashboard together and writes it as C: cmake -DSOURCE=framework/console/page -DOUTPUT=page.c -P EmbedPage.cmake
# "@NAME@" alone on a line of index.html stands for that file. The page's policy names its script and its style by their
# SHA-256, so that a browser runs nothing else, whatever a message may hold.

file(READ ${SOURCE}/index.html page)
string(REGEX MATCHALL "@[a-z]+[.](css|js)@" places "${page}")
foreach(place ${places})
  string(REPLACE "@" "" name ${place})
  file(READ ${SOURCE}/${name} text)
  string(REPLACE "${place}\n" "${text}" page "${page}")
endforeach()

# 'sha256-…' of what stands in the page's only <tag>: 32 bytes, hence ten groups of three and one of two.
function(source_of tag result)
  set(alphabet ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/)
  string(FIND "${page}" "<${tag}>" from)
  string(FIND "${page}" "</${tag}>" to)
  string(LENGTH "<${tag}>" length)
  math(EXPR from "${from} + ${length}")
  math(EXPR length "${to} - ${from}")
  string(SUBSTRING "${page}" ${from} ${length} text)
  string(SHA256 hash "${text}")
  set(base64 "")
  foreach(at RANGE 0 60 6)
    string(SUBSTRING ${hash}00 ${at} 6 three)
    foreach(shift 18 12 6 0)
      math(EXPR letter "(0x${three} >> ${shift}) & 63")
      string(SUBSTRING ${alphabet} ${letter} 1 letter)
      string(APPEND base64 ${letter})
    endforeach()
  endforeach()
  string(SUBSTRING ${base64} 0 43 base64)
  set(${result} "'sha256-${base64}='" PARENT_SCOPE)
endfunction()

source_of(script script)
source_of(style style)
string(CONCAT policy "default-src 'none'; script-src ${script}; style-src ${style}; connect-src 'self'; img-src data:; "
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")

file(WRITE ${OUTPUT}.html "${page}")
file(READ ${OUTPUT}.html bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"console/page.h\"\n\n"
  "const unsigned char bide_console_page[] = {${bytes}};\n"
  "const size_t bide_console_page_size = sizeof bide_console_page;\n"
  "const char bide_console_page_policy[] =\n    \"${policy}\";\n")
