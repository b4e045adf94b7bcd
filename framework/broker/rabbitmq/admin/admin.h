/* broker/rabbitmq/admin/admin.h: the structure behind an admin, and the queues from which it takes messages,
 * for this folder. One thread at a time. */
#ifndef BIDE_BROKER_RABBITMQ_ADMIN_ADMIN_H
#define BIDE_BROKER_RABBITMQ_ADMIN_ADMIN_H

#include "broker/rabbitmq/objects.h"
#include "broker/rabbitmq/publisher.h"
#include "broker/rabbitmq/settings.h"

/* ---- sources.c ---- */

/* The queues from which an admin takes messages, numbered.
 *
 * First the dead letters of queue 0, 1, …, then the unrouted messages; `dead_*` works on these. Then the
 * queues that only an export needs, in the order in which a message passes them: the later queues, the
 * holding queues from the longest to the shortest, the landing queues, the work queues. Never changed once
 * made: any thread. */

/* UNPLANNED: a later queue, where an expiration is a delay. */
enum bide_rmq_source_kind { BIDE_RMQ_DEAD, BIDE_RMQ_UNROUTED, BIDE_RMQ_UNPLANNED, BIDE_RMQ_UNDERWAY };

struct bide_rmq_source {
    const char *queue; /* the broker's name */
    const char *name;  /* the queue's name for users; NULL: it holds messages of several queues */
    enum bide_rmq_source_kind kind;
};

struct bide_rmq_sources {
    struct bide_rmq_source *items;
    size_t n, n_dead;
};

struct bide_rmq_holding;
/* The settings and the holding queues outlive the sources. */
bide_code bide_rmq_sources_init(struct bide_rmq_sources *sources, const struct bide_rmq_settings *settings,
    const struct bide_rmq_holding *holding, bide_error *error);
void bide_rmq_sources_clear(struct bide_rmq_sources *sources); /* also zeroed ones */

/* ---- holding.c ---- */

/* The holding queues of the namespace: those of the ladder, of all shards that exist, and those of the old
 * ladder where it is there. A message passes them from the last to the first. Found once, when the admin is
 * opened; then any thread. */

struct bide_rmq_holding_queue {
    const char *name;
    int64_t ms; /* nominal holding time */
};

struct bide_rmq_holding {
    struct bide_rmq_holding_queue *items;
    size_t n;
    bool has_old;
    struct bide_arena arena;
};

/* The channel for questions, and the first one for letters. */
enum { BIDE_RMQ_QUESTIONS = 1, BIDE_RMQ_LETTERS = 2 };

struct bide_rmq_admin {
    struct bide_admin base;
    struct bide_rmq_settings *settings;
    struct bide_rmq_link link;
    struct bide_rmq_publisher publisher; /* opened by the first replay */
    struct bide_rmq_scratch scratch;
    struct bide_rmq_holding holding;
    struct bide_rmq_sources sources;
    size_t *n_letters;    /* by source: letters taken, and neither acknowledged nor given back */
    uint64_t last_tag;    /* of the letter taken last */
    size_t n_acks;        /* since the last time the broker was known to have applied all of them */
    size_t largest;       /* the largest body of the last fetches by consumers */
    uint64_t n_consumers; /* begun so far: their tags */
    /* By open channel for letters: the source that it is used for. Another source may have it as soon as no
     * letter of that one is in hand: a broker may allow few channels (channel_max), and a move reads hundreds
     * of queues. */
    size_t *lanes;
    size_t n_lanes;
};

/* ---- asking.c ---- */

/* Makes sure that the connection works and its channel for questions is open. */
bide_code bide_rmq_admin_ready(struct bide_rmq_admin *admin, bide_error *error);
/* How many messages are ready in a queue (-1: it does not exist), and how many consumers it has. */
bide_code bide_rmq_admin_look(struct bide_rmq_admin *admin, const char *queue, int64_t *ret_ready,
    int64_t *ret_consumers, bide_error *error);
/* As the former, without the consumers. */
bide_code bide_rmq_admin_depth(
    struct bide_rmq_admin *admin, const char *queue, int64_t *ret_ready, bide_error *error);
/* Opens a channel again that the broker has closed. */
bide_code bide_rmq_admin_reopen(struct bide_rmq_admin *admin, amqp_channel_t channel, bide_error *error);

/* Fills admin->holding, and raises the settings' shards to those that exist. */
bide_code bide_rmq_holding_find(struct bide_rmq_admin *admin, bide_error *error);
void bide_rmq_holding_clear(struct bide_rmq_holding *holding); /* also a zeroed one */
/* Deletes the old ladder with its messages; an error closes the channel. */
bide_code bide_rmq_old_ladder_delete(struct bide_rmq_admin *admin, bide_error *error);

bide_code bide_rmq_admin_stats(
    struct bide_admin *base, struct bide_broker_stats *ret_stats, bide_error *error);
bide_code bide_rmq_export_each(
    struct bide_admin *base, const char *queue, bide_export_visit *visit, void *user, bide_error *error);
bide_code bide_rmq_same_place(
    struct bide_admin *base, struct bide_admin *other, bool *ret_same, bide_error *error);
bide_code bide_rmq_dead_add(
    struct bide_admin *base, const struct bide_dead_letter *letters, size_t n, bide_error *error);
bide_code bide_rmq_admin_verify(
    struct bide_admin *base, bide_finding_sink *sink, void *user, bide_error *error);
bide_code bide_rmq_dead_each(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_dead_visit *visit, void *user, bide_error *error);
bide_code bide_rmq_dead_retry(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error);
bide_code bide_rmq_dead_drop(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error);
bide_code bide_rmq_dead_trim(struct bide_admin *base, const struct bide_dead_bounds *bounds,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error);

#endif
