/* broker/redis/keeper.h: the thread that keeps a worker alive in Redis' eyes.
 *
 * It does all that takes its time, so that neither a slow handler nor a busy intake can hold it up: it
 * connects (the intake gets links that are ready), beats once a second, and takes over what dead workers
 * left. A worker that has not beaten for BIDE_REDIS_LEASE_MS is dead to the others.
 *
 * Ownership: links handed over by bide_redis_keeper_take are the taker's. Thread-safety: all functions by the
 * intake thread. */
#ifndef BIDE_REDIS_KEEPER_H
#define BIDE_REDIS_KEEPER_H

#include <stdbool.h>

#include "bide/error.h"
#include "broker/redis/link.h"
#include "broker/redis/settings.h"

enum { BIDE_REDIS_BEAT_MS = 1000, BIDE_REDIS_LEASE_MS = 3000, BIDE_REDIS_WORKER_TEXT = 160 };

struct bide_redis_keeper;

/* What the intake works with: commands go over `work`; on `wake` the worker's channel is subscribed. */
struct bide_redis_links {
    struct bide_redis_link *work, *wake;
    char worker[BIDE_REDIS_WORKER_TEXT];
    bool renamed; /* the worker has a new name: what it had in hand belongs to others now */
};

/* Connects once (the error says why not), then starts the thread. The settings are borrowed until destroy. */
bide_code bide_redis_keeper_create(
    const struct bide_redis_settings *settings, struct bide_redis_keeper **ret_keeper, bide_error *error);
/* Ends the thread and leaves: what the worker has goes back to the others, if the server can be reached. */
void bide_redis_keeper_destroy(struct bide_redis_keeper *keeper); /* NULL is fine */

/* Becomes readable when there is something to take, or the links should be given up. */
int bide_redis_keeper_fd(const struct bide_redis_keeper *keeper);
/* Fresh links, if there are any: true. */
bool bide_redis_keeper_take(struct bide_redis_keeper *keeper, struct bide_redis_links *ret_links);
/* Has the thread seen that the server is out of reach, or that this worker was taken over? Said once. */
bool bide_redis_keeper_doubts(struct bide_redis_keeper *keeper);
/* The links are lost (destroyed by the caller): make new ones. new_name: give up the present name. */
void bide_redis_keeper_reconnect(struct bide_redis_keeper *keeper, bool new_name);

#endif
