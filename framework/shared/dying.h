/* shared/dying.h: the messages that processes are dying of at this moment.
 *
 * A broker may hand out what a dying process had before the supervisor knows of the death. A worker that is
 * handed one of these puts it off: run at once, it would end the next process for an attempt that has failed.
 * In memory that all processes of a worker share: the fault handler adds, the supervisor takes away what it
 * has noted as a crash.
 *
 * Thread-safety: all calls, from every process; adding is also safe inside a signal handler. Two ids with the
 * same hash are taken for one. Where the table is full, a message is not added: its crash is noted later. */
#ifndef BIDE_SHARED_DYING_H
#define BIDE_SHARED_DYING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { BIDE_DYING_MAX = 256 };

/* Begins as zeroes. */
struct bide_dying {
    _Atomic int n;
    _Atomic uint32_t hashes[BIDE_DYING_MAX]; /* 0: free */
};

void bide_dying_add(struct bide_dying *dying, const char *id);
/* Once for each time it was added. */
void bide_dying_remove(struct bide_dying *dying, const char *id);
/* One atomic read where no process is dying. */
bool bide_dying_has(const struct bide_dying *dying, const char *id);

#endif
