/* broker/sqlite/spool.h: a sender whose file is a spool (docs/spool.md): a database like any other, in which
 * messages for another broker wait until a relay has carried them there.
 *
 * A topic is a queue of the spool: whoever carries its messages gives them to the broker, which knows the
 * subscriptions. The file holds a limited number of bytes; what would exceed it is not stored.
 *
 * Thread-safety: one thread at a time. */
#ifndef BIDE_BROKER_SQLITE_SPOOL_H
#define BIDE_BROKER_SQLITE_SPOOL_H

#include "broker/broker.h"

/* Makes the file where it is missing. Its `send` stores all n messages or none of them. BIDE_E_BROKER: there
 * is no room for them, within max_bytes or on the disk. */
bide_code bide_sqlite_open_spool(const struct bide_broker_options *options, int64_t max_bytes,
    struct bide_sender **ret_sender, bide_error *error);

/* The number of the first message, in the order of commits, that was not carried yet; 0: there is none. Costs
 * 1.5 µs. Dead letters do not count. */
bide_code bide_sqlite_spool_first(struct bide_sender *spool, int64_t *ret_first, bide_error *error);
/* That of the last one, in a spool of which the first was just read. */
bide_code bide_sqlite_spool_last(struct bide_sender *spool, int64_t *ret_last, bide_error *error);

/* Does a relay of all queues carry from it just now? */
bool bide_sqlite_spool_is_carried(const struct bide_sender *spool);

struct bide_sqlite_spool_state {
    int64_t bytes;      /* of the file that are in use */
    int64_t room_bytes; /* of messages, for which its disk has room; -1: the file system does not tell */
    bool is_carried;
};
/* Changes nothing. BIDE_E_NOT_FOUND: there is no such file yet. */
bide_code bide_sqlite_spool_look(
    const struct bide_broker_options *options, struct bide_sqlite_spool_state *ret_state, bide_error *error);

#endif
