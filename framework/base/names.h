/* base/names.h: what a type, a queue and a namespace may be called. Any thread. */
#ifndef BIDE_BASE_NAMES_H
#define BIDE_BASE_NAMES_H

#include <stdbool.h>

/* The rule in words, for messages. */
#define BIDE_NAME_RULE                                                                                       \
    "letters, digits, '-', '_' and '.', not beginning with a digit or a dot, at most 100 bytes"

/* The name rule for types and queues; the one for a namespace is the same without dots. */
bool bide_name_valid(const char *name);
bool bide_namespace_valid(const char *name);
/* As bide_name_valid, and not one of the names the framework uses itself. */
bool bide_queue_name_valid(const char *name);

#endif
