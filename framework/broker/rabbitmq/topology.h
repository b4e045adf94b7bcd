/* broker/rabbitmq/topology.h: a table of every exchange, queue and binding that must exist.
 *
 * Declaring and verifying use the same rows. Thread-safety: any thread may read a table; calls that take a
 * link belong to the link's thread. */
#ifndef BIDE_BROKER_RABBITMQ_TOPOLOGY_H
#define BIDE_BROKER_RABBITMQ_TOPOLOGY_H

#include "broker/rabbitmq/link.h"

enum { BIDE_RMQ_NO_TTL = -1 };
enum bide_rmq_row_kind { BIDE_RMQ_EXCHANGE, BIDE_RMQ_QUEUE, BIDE_RMQ_BIND_QUEUE, BIDE_RMQ_BIND_EXCHANGE };

/* An exchange, queue or binding. An exchange has `type` and, except the one for unrouted messages, an
 * alternate exchange; a queue with `onward` dead-letters into that exchange, after ttl_ms or when a message's
 * own expiration has passed, with the key `onward_key` or its own; a binding leads from `source` by `key`. */
struct bide_rmq_row {
    enum bide_rmq_row_kind kind;
    const char *name;
    const char *type;
    const char *alternate;
    int64_t ttl_ms;
    const char *onward;
    const char *onward_key;
    bool is_spread; /* a queue that is not led by the node we are connected to just because of that */
    const char *source;
    const char *key;
};

struct bide_rmq_topology {
    struct bide_rmq_row *rows; /* a row stands behind the rows that it refers to */
    size_t n_rows;
    size_t n_ladder; /* the last so many are the ladder's */
    struct bide_arena arena;
};

/* The rows' texts belong to the settings or the topology. */
bide_code bide_rmq_topology_init(
    struct bide_rmq_topology *topology, const struct bide_rmq_settings *settings, bide_error *error);
void bide_rmq_topology_clear(struct bide_rmq_topology *topology);

/* Declares one row and returns the library's status; `nowait`: without an answer (a refusal then closes the
 * channel). */
int bide_rmq_row_declare(
    struct bide_rmq_link *link, amqp_channel_t channel, const struct bide_rmq_row *row, bool nowait);

/* Declares all rows in one round trip, on an open channel. An error closes the channel. */
bide_code bide_rmq_topology_declare(struct bide_rmq_link *link, amqp_channel_t channel, bide_error *error);
/* For publishers: declares the queues of the settings, and the ladder's queues only if the last of them is
 * missing. (Declaring all of them costs the broker 30 ms of processor time for each producer.) If
 * somebody deleted another one by hand, the next worker or admin declares it. */
bide_code bide_rmq_topology_ensure(struct bide_rmq_link *link, amqp_channel_t channel, bide_error *error);
/* How many rows could not be declared, and why the first. */
struct bide_rmq_refused {
    size_t n;
    bide_error first;
};
/* Declares as many rows as possible: counts the rows that the broker refuses and goes on. `all`: the rows of
 * declare; else those of ensure. Fails only if the connection does. The channel is open afterwards. */
bide_code bide_rmq_topology_declare_possible(struct bide_rmq_link *link, amqp_channel_t channel, bool all,
    struct bide_rmq_refused *ret_refused, bide_error *error);
/* Deletes all rows with the messages in them. A missing row is no failure. On an open channel; an error
 * closes it. */
bide_code bide_rmq_topology_delete(struct bide_rmq_link *link, amqp_channel_t channel, bide_error *error);

/* Declares the queues of a subscription, and binds them to its topic. On an open channel, like leave; an
 * error closes it. */
bide_code bide_rmq_topology_join(
    struct bide_rmq_link *link, amqp_channel_t channel, const char *subscription, bide_error *error);
/* Deletes them with what is in them. */
bide_code bide_rmq_topology_leave(
    struct bide_rmq_link *link, amqp_channel_t channel, const char *subscription, bide_error *error);

#endif
