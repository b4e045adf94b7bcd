/* base/alloc.h: all allocation goes through here, so that a test can make the Nth one fail.
 *
 * Thread-safety: any thread. The hook is process-wide: set it before threads start. */
#ifndef BIDE_BASE_ALLOC_H
#define BIDE_BASE_ALLOC_H

#include <stdarg.h>
#include <stddef.h>

#include "bide/export.h"

/* As malloc, calloc, realloc, strdup, strndup, free; NULL without memory. */
void *bide_malloc(size_t size);
void *bide_calloc(size_t n, size_t size);
void *bide_realloc(void *memory, size_t size);
char *bide_strdup(const char *text);
char *bide_strndup(const char *text, size_t max);
void bide_free(void *memory); /* NULL is fine */

/* A formatted copy; NULL without memory. */
char *bide_asprintf(const char *format, ...) BIDE_PRINTF(1, 2);
char *bide_vasprintf(const char *format, va_list args) BIDE_PRINTF(1, 0);

/* Called before each allocation, jansson's too; false makes it fail. NULL removes the hook. */
typedef int bide_alloc_hook(void *user, size_t size);
void bide_alloc_set_hook(bide_alloc_hook *hook, void *user);

#endif
