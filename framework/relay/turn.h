/* relay/turn.h: one relay at a time carries from a file: a lock on FILE-relay, beside the database.
 *
 * The kernel drops the lock when its holder ends, also by SIGKILL; whoever waits sees that by inotify, at
 * once. A relay of one queue locks a byte of its own, one of all queues locks the bytes of all: so relays of
 * different queues carry beside each other, and no row is carried by two. Thread-safety: one thread at a
 * time. */
#ifndef BIDE_RELAY_TURN_H
#define BIDE_RELAY_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/broker.h"
#include "broker/sqlite/lock.h"

struct bide_turn {
    char *file; /* of the database; owned */
    char *path; /* of the lock; owned */
    struct bide_sqlite_lock lock;
    int64_t first, n; /* bytes of the lock */
    bool is_mine;
    int watch;       /* inotify; -1: none */
    int tries;       /* so many tries follow soon: a lock is dropped after the event */
    int64_t kept_us; /* monotonic: when the lock's file was last looked at */
};

/* queue (may be NULL): of this one only. BIDE_E_NOMEM. */
bide_code bide_turn_init(struct bide_turn *turn, const char *file, const char *queue, bide_error *error);
void bide_turn_release(struct bide_turn *turn);

/* *ret_mine: is it this one's turn? Never waits. A lock whose file was removed is taken anew. */
bide_code bide_turn_take(struct bide_turn *turn, int64_t now_us, bool *ret_mine, bide_error *error);
/* What to wait for while it is another's turn. */
void bide_turn_wait(const struct bide_turn *turn, struct bide_wait *ret_wait);

#endif
