/* dispatch/sandbox/receive.h: what both ends of a sandbox's socket do while they wait for each other. Any
 * thread. */
#ifndef BIDE_DISPATCH_SANDBOX_RECEIVE_H
#define BIDE_DISPATCH_SANDBOX_RECEIVE_H

#include <stddef.h>
#include <sys/types.h>

/* recv() of something that should be there in a few microseconds: lets others run a few times, in which the
 * other end has mostly answered, before it sleeps. Being woken costs more than a short run of a handler does.
 */
ssize_t bide_sandbox_receive(int fd, void *to, size_t room);

#endif
