/* store/redis/inside.h: the structure behind a Redis store.
 *
 * A batch is cut into chunks, one script call each, and several calls are on their way at once.
 * Thread-safety: one thread at a time. */
#ifndef BIDE_STORE_REDIS_INSIDE_H
#define BIDE_STORE_REDIS_INSIDE_H

#include "broker/redis/link.h"
#include "store/redis/scripts/scripts.h"
#include "store/store.h"

enum { BIDE_STORE_REDIS_BEAT_MS = 1000, BIDE_STORE_REDIS_LEASE_MS = 3000, BIDE_STORE_SESSION_TEXT = 32 };

struct bide_redis_store {
    struct bide_store base;
    struct bide_redis_settings *settings;
    struct bide_redis_link *link; /* NULL: lost */
    size_t host;
    char session[BIDE_STORE_SESSION_TEXT + 1]; /* drawn at random when the store is opened */
    bool has_session;                          /* the server may know it */
    struct bide_redis_args args;               /* the command being built */
    struct bide_redis_args keys, operations;   /* its parts: the number of keys stands in front of them */
};

/* ---- letter.c ---- */

/* How many letters, from the first on, one script call takes. At least 1. */
size_t bide_store_redis_chunk(const struct bide_store_letter *letters, size_t n);
/* Builds the call that applies these letters, but for those whose code says that they are wrong. */
void bide_store_redis_write(
    struct bide_redis_store *store, const struct bide_store_letter *letters, size_t n);
/* Takes its answer. BIDE_E_BROKER: it is none (`shown`: whose). BIDE_E_NOMEM. Answers may be half written
 * then. */
bide_code bide_store_redis_read(struct bide_store_letter *letters, size_t n, const redisReply *reply,
    const char *shown, bide_error *error);

/* Adds the keys that most scripts begin with: session, pulse, judged. */
enum { BIDE_STORE_SESSION_KEYS = 3 };
void bide_store_redis_session_keys(struct bide_redis_args *args, const struct bide_redis_store *store);

#endif
