/* dispatch/limits.h: what a sandbox child or a program may use. Called in the child alone;
 * bide_limits_apply also between vfork and exec: it changes no memory but *error. */
#ifndef BIDE_DISPATCH_LIMITS_H
#define BIDE_DISPATCH_LIMITS_H

#include "bide/error.h"
#include "config/config.h"

/* Once, before the handler is opened. A limit beyond what this user may have is refused. */
bide_code bide_limits_apply(const struct bide_limits_config *limits, bide_error *error);
/* Before each message: the limit counts from here, though the kernel counts the life of the process. */
void bide_limits_begin_message(const struct bide_limits_config *limits);

#endif
