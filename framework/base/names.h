/* base/names.h: valid names of types, queues and namespaces. Any thread. */
#ifndef BIDE_BASE_NAMES_H
#define BIDE_BASE_NAMES_H

#include <stdbool.h>

/* The rule in words, for messages. */
#define BIDE_NAME_RULE                                                                                       \
    "letters, digits, '-', '_' and '.', not beginning with a digit or a dot, at most 100 bytes"

/* The rule for types and queues. Namespaces have the same rule, but without dots. */
bool bide_name_valid(const char *name);
bool bide_namespace_valid(const char *name);
/* As bide_name_valid, and not a name that the framework itself uses. */
bool bide_queue_name_valid(const char *name);

#endif
