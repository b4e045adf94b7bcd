/* dispatch/sandbox/child.h: the life of a sandbox child: limits, open, one message after another, close. */
#ifndef BIDE_DISPATCH_SANDBOX_CHILD_H
#define BIDE_DISPATCH_SANDBOX_CHILD_H

#include <sys/types.h>

struct bide_handler;

/* In the child, after the fork, by its one thread. `parent`: dies with it. Serves the worker at the other end
 * of `fd` until that is closed; `cancel` is the eventfd by which a run is cancelled. */
_Noreturn void bide_sandbox_child_main(const struct bide_handler *handler, pid_t parent, int fd, int cancel);

#endif
