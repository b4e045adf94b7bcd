/* broker/memory/admin.h: an admin of the broker in memory. Threads as in broker/broker.h. */
#ifndef BIDE_BROKER_MEMORY_ADMIN_H
#define BIDE_BROKER_MEMORY_ADMIN_H

#include "broker/memory/store.h"

struct bide_memory_admin {
    struct bide_admin base;
    struct bide_memory_store *store;
    const struct bide_clock *clock;
};

bide_code bide_memory_find(struct bide_admin *admin, const bide_selection *selection,
    char cursor[BIDE_CURSOR_SIZE], bide_found_visit *visit, void *user, bide_error *error);
bide_code bide_memory_change(struct bide_admin *admin, const bide_selection *selection,
    const struct bide_change *change, bide_error *error);

#endif
