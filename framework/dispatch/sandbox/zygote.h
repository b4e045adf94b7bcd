/* dispatch/sandbox/zygote.h: the process from which sandbox children are forked.
 *
 * A process with threads cannot fork safely. So a worker forks the zygote first: it has the plugins loaded,
 * no thread, and no descriptor but the standard ones, and forks a child whenever the worker asks. As the
 * children's parent it kills and reaps them, and ends all of them with their process groups when the worker
 * has gone.
 *
 * Thread-safety: any thread; requests take turns. */
#ifndef BIDE_DISPATCH_SANDBOX_ZYGOTE_H
#define BIDE_DISPATCH_SANDBOX_ZYGOTE_H

#include <stdbool.h>
#include <sys/types.h>

#include "bide/error.h"

struct bide_handler;
struct bide_zygote;

/* Forks the zygote: this process must have only one thread, and the handlers must be loaded. */
bide_code bide_zygote_start(struct bide_zygote **ret_zygote, bide_error *error);
/* Ends the zygote and its children. Children end when their sockets close; those that have not within a
 * second are killed. Waits for all of that, but not for a process that hangs in the kernel. NULL is fine. */
void bide_zygote_stop(struct bide_zygote *zygote);

/* Forks a child that opens `handler` (a row older than the zygote) and serves it at the other end of `fd`;
 * `cancel` is its eventfd. Both descriptors stay the caller's. */
bide_code bide_zygote_spawn(struct bide_zygote *zygote, const struct bide_handler *handler, int fd,
    int cancel, pid_t *ret_pid, bide_error *error);

/* Kills what is left of a child and its process group; *ret_status as waitpid returns it. False if that
 * cannot be known: the zygote is lost, or the child does not end although it was killed. */
bool bide_zygote_bury(struct bide_zygote *zygote, pid_t pid, int *ret_status);

/* Has the zygote ended unexpectedly, or stopped answering? */
bool bide_zygote_is_lost(const struct bide_zygote *zygote);

#endif
