/* dispatch/limits.h: limits of a sandbox child or a program. Called only in the child. bide_limits_apply is
 * also called between vfork and exec: it changes no memory but *error. */
#ifndef BIDE_DISPATCH_LIMITS_H
#define BIDE_DISPATCH_LIMITS_H

#include <stddef.h>

#include "bide/error.h"
#include "config/config.h"

/* Called once, before the handler is opened. Fails if this user may not have so much. */
bide_code bide_limits_apply(const struct bide_limits_config *limits, bide_error *error);
/* Called before each call, of n messages: the CPU limit counts from here, although the kernel counts from the
 * start of the process. */
void bide_limits_begin_call(const struct bide_limits_config *limits, size_t n);

#endif
