/* broker/rabbitmq/admin/sources.h: the queues from which an admin takes messages, numbered.
 *
 * First the dead letters of queue 0, 1, …, then what is unrouted; these are what `dead_*` works on. Behind
 * them stands what an export needs as well, in the order of a message's way: the holding queues from the
 * longest to the shortest, the landing queues, the work queues. Never changed once made: any thread. */
#ifndef BIDE_BROKER_RABBITMQ_ADMIN_SOURCES_H
#define BIDE_BROKER_RABBITMQ_ADMIN_SOURCES_H

#include "broker/rabbitmq/settings.h"

enum bide_rmq_source_kind { BIDE_RMQ_DEAD, BIDE_RMQ_UNROUTED, BIDE_RMQ_UNDERWAY };

struct bide_rmq_source {
    const char *queue; /* the broker's name */
    const char *name;  /* the queue as users know it; NULL: of several */
    enum bide_rmq_source_kind kind;
};

struct bide_rmq_sources {
    struct bide_rmq_source *items;
    size_t n, n_dead;
    struct bide_arena arena;
};

/* The settings outlive the sources. */
bide_code bide_rmq_sources_init(
    struct bide_rmq_sources *sources, const struct bide_rmq_settings *settings, bide_error *error);
void bide_rmq_sources_clear(struct bide_rmq_sources *sources); /* also zeroed ones */

#endif
