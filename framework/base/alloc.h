/* base/alloc.h: all of bide's own allocation, so that a test can fail the Nth one.
 *
 * Thread-safety: any thread. The hook is process-wide: set it before threads start. */
#ifndef BIDE_BASE_ALLOC_H
#define BIDE_BASE_ALLOC_H

#include <stdarg.h>
#include <stddef.h>

#include "bide/export.h"

/* As malloc, calloc, realloc, strdup, strndup, free; NULL where there is no memory. */
void *bide_malloc(size_t size);
void *bide_calloc(size_t n, size_t size);
void *bide_realloc(void *memory, size_t size);
char *bide_strdup(const char *text);
char *bide_strndup(const char *text, size_t max);
void bide_free(void *memory); /* NULL is fine */

/* A formatted copy; NULL where there is no memory. */
char *bide_asprintf(const char *format, ...) BIDE_PRINTF(1, 2);
char *bide_vasprintf(const char *format, va_list args) BIDE_PRINTF(1, 0);

/* Asked before each allocation; false makes it fail. NULL takes the hook away. Also reaches jansson. */
typedef int bide_alloc_hook(void *user, size_t size);
void bide_alloc_set_hook(bide_alloc_hook *hook, void *user);

#endif
