/* broker/redis/admin/walk.h: walks over all messages of a namespace that are not dead, in pages.
 *
 * It looks into the streams of all queues first, then into what workers took out of `delayed`, then into
 * `delayed`: the way that messages mostly go. One thread at a time. */
#ifndef BIDE_REDIS_ADMIN_WALK_H
#define BIDE_REDIS_ADMIN_WALK_H

#include "broker/redis/admin/admin.h"
#include "broker/redis/wire.h"

/* A message; all is borrowed until the visit returns. */
struct bide_redis_row {
    const char *queue;
    const char *source; /* stream id or token */
    struct bide_redis_wire *wire;
    bool foreign; /* an entry of plain fields, which another program added */
    bide_message_state state;
    const char *worker; /* running: who; else "" */
    int64_t since_ms;   /* running: Unix ms; 0: nobody knows */
    size_t body_size;
    size_t id; /* which of the selection's ids */
};

struct bide_redis_walk {
    struct bide_redis_admin *admin;
    const bide_selection *selection;
    bool (*visit)(void *user, const struct bide_redis_row *row); /* false ends the walk */
    /* After the rows of one page, all of this queue; seen: how many were looked at so far. May be NULL. */
    bide_code (*page)(void *user, const char *queue, uint64_t seen, bool *ret_more, bide_error *error);
    void *user;
    uint64_t seen;
    bool has_workers; /* there are some: messages may have moved during the walk */
};

/* Begins behind the cursor, and leaves there where the next walk goes on; see bide_admin_list. */
bide_code bide_redis_walk(struct bide_redis_walk *walk, char cursor[BIDE_CURSOR_SIZE], bide_error *error);

#endif
