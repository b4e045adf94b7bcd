/* shared/dying.h: the messages that processes are dying of at this moment.
 *
 * A broker may hand out what a dying process had before the supervisor knows of the death. A worker that is
 * handed one of these puts it off: run at once, it would end the next process for an attempt that has failed.
 * In memory that all processes of a worker share: the fault handler adds, the supervisor takes away what it
 * has noted as a crash.
 *
 * Thread-safety: all calls, from every process; adding is also safe inside a signal handler. Two keys with
 * the same hash are taken for one. Where the table is full, a message is not added: its crash is noted later.
 */
#ifndef BIDE_SHARED_DYING_H
#define BIDE_SHARED_DYING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "message/message.h"

enum { BIDE_DYING_MAX = 256 };

/* By what this table and those of crashes and batches know a message: its id and, of a copy from a topic,
 * its subscription, because all copies have the id. Returns the message's id or, of a copy, `to`. */
enum { BIDE_CRASH_KEY = BIDE_ID_MAX + BIDE_NAME_MAX + 2 };
const char *bide_crash_key(const struct bide_message *message, char to[BIDE_CRASH_KEY]);

/* Begins as zeroes. */
struct bide_dying {
    _Atomic int n;
    _Atomic uint32_t hashes[BIDE_DYING_MAX]; /* 0: free */
};

void bide_dying_add(struct bide_dying *dying, const char *key);
/* Once for each time it was added. */
void bide_dying_remove(struct bide_dying *dying, const char *key);
/* One atomic read where no process is dying. */
bool bide_dying_has(const struct bide_dying *dying, const char *key);

#endif
