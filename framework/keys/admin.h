/* keys/admin.h: what operators' tools do beyond bide/admin.h, where unique keys have a part in it. One thread
 * at a time. */
#ifndef BIDE_KEYS_ADMIN_H
#define BIDE_KEYS_ADMIN_H

#include "broker/broker.h"
#include "config/config.h"

/* Gives an admin that an adapter opened the configuration's store, if there is one; it connects to nothing
 * yet. Such an admin is ended by bide_admin_close. */
void bide_admin_take_store(struct bide_admin *admin, const struct bide_config *config);

/* A dead letter that is not queued again: another message, `holder`, has its unique key. */
typedef void bide_refused_visit(void *user, const char *id, const char *key, const char *holder);

/* dead_retry, in which letters with a unique key take their keys again before. spread_ms: due one after
 * another, evenly over so long; 0: at once. An id with a letter that is refused stays where it is, with all
 * its letters. ret_refused: how many letters. */
struct bide_replay {
    const struct bide_dead_filter *filter;
    int64_t spread_ms;
    bide_progress *progress;
    void *progress_user;
    bide_refused_visit *refused;
    void *refused_user;
    uint64_t n, n_refused; /* answers: queued again, refused */
};
bide_code bide_admin_replay(struct bide_admin *admin, struct bide_replay *replay, bide_error *error);

#endif
