/* base/build_id.h: which build of a shared object is loaded. Any thread. */
#ifndef BIDE_BASE_BUILD_ID_H
#define BIDE_BASE_BUILD_ID_H

enum { BIDE_BUILD_ID_TEXT = 41 };

/* The linker's build id (what `file` and debuginfod show) in hexadecimal, "" where it has none. library: from
 * dlopen. */
void bide_build_id(void *library, char to[BIDE_BUILD_ID_TEXT]);

#endif
