/* broker/redis/takeover.h: what a worker that is gone had in hand goes back to its queues.
 *
 * Safe to be done by several at once and to be broken off: each batch is one script, and the worker stays
 * listed as lost until nothing of it is left. Runs in the keeper's thread, or after it has ended. */
#ifndef BIDE_REDIS_TAKEOVER_H
#define BIDE_REDIS_TAKEOVER_H

#include "broker/redis/keeper.h"
#include "broker/redis/link.h"

/* Who takes over, and over which connection. `between` is called between two commands: taking over may be
 * long, and its heart has to beat meanwhile. A failure ends the taking over. */
struct bide_redis_taker {
    const struct bide_redis_settings *settings;
    struct bide_redis_link *link;
    bide_code (*between)(void *user, bide_error *error); /* NULL: none */
    void *user;
};

/* A queue that the server refuses to touch is passed over and logged; the worker then stays listed, and
 * *ret_whole is false. */
bide_code bide_redis_take_over(
    const struct bide_redis_taker *taker, const char *worker, bool *ret_whole, bide_error *error);
/* Lost workers of which a queue was passed over: they are not tried again for 30 s. Times: monotonic. Begins
 * as zeroes; the oldest makes way. */
enum { BIDE_REDIS_REFUSED = 16 };
struct bide_redis_refused {
    struct {
        char worker[BIDE_REDIS_WORKER_TEXT];
        int64_t until_ms;
    } rows[BIDE_REDIS_REFUSED];
    size_t next;
};
bool bide_redis_is_refused(const struct bide_redis_refused *refused, const char *worker, int64_t now_ms);
void bide_redis_refuse(struct bide_redis_refused *refused, const char *worker, int64_t now_ms);

/* `worker` is no worker any more: what it has is taken over with somebody's next beat. */
bide_code bide_redis_list_lost(const struct bide_redis_taker *taker, const char *worker, bide_error *error);
/* Leaves as `worker` and gives back what it has. */
bide_code bide_redis_leave(const struct bide_redis_taker *taker, const char *worker, bide_error *error);
/* Takes over from workers that ran here and whose process is gone: a crashed one's successor need not wait
 * until its heartbeat has run out. */
bide_code bide_redis_bury_neighbours(const struct bide_redis_taker *taker, bide_error *error);
/* Lists as lost who has messages of the settings' queues in hand without being a worker. */
bide_code bide_redis_find_orphans(const struct bide_redis_taker *taker, bide_error *error);

#endif
