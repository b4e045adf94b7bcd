/* broker/rabbitmq/topology.h: every exchange, queue and binding that must exist, as rows of a table.
 *
 * Declaring and verifying walk the same rows. Thread-safety: a table may be read by any thread; the calls
 * that take a link belong to the link's thread. */
#ifndef BIDE_BROKER_RABBITMQ_TOPOLOGY_H
#define BIDE_BROKER_RABBITMQ_TOPOLOGY_H

#include "broker/rabbitmq/link.h"

enum bide_rmq_row_kind { BIDE_RMQ_EXCHANGE, BIDE_RMQ_QUEUE, BIDE_RMQ_BIND_QUEUE, BIDE_RMQ_BIND_EXCHANGE };

/* What is declared. An exchange has `type` and, but for the last resort, the alternate exchange; a queue with
 * ttl_ms dead-letters into `onward`; a binding leads from `source` by `key`. */
struct bide_rmq_row {
    enum bide_rmq_row_kind kind;
    const char *name;
    const char *type;
    const char *alternate;
    int64_t ttl_ms;
    const char *onward;
    const char *source;
    const char *key;
};

struct bide_rmq_topology {
    struct bide_rmq_row *rows; /* what others point to comes first */
    size_t n_rows;
    struct bide_arena arena;
};

/* Texts of rows are the settings' or the topology's own. */
bide_code bide_rmq_topology_init(
    struct bide_rmq_topology *topology, const struct bide_rmq_settings *settings, bide_error *error);
void bide_rmq_topology_clear(struct bide_rmq_topology *topology);

/* Declares one row; `nowait`: without an answer (a refusal then closes the channel). The library's status. */
int bide_rmq_row_declare(
    struct bide_rmq_link *link, amqp_channel_t channel, const struct bide_rmq_row *row, bool nowait);

/* Declares all, in one round trip. Uses the open channel, which an error closes. */
bide_code bide_rmq_topology_declare(struct bide_rmq_link *link, amqp_channel_t channel, bide_error *error);
/* The same for who only publishes: declares the queues of the settings, but the delay store's 72 only where
 * the last of them is missing. (Declaring them all costs a broker 30 ms of processor time, each time a
 * producer comes.) Where somebody deleted one of the others by hand, the next worker or admin declares it. */
bide_code bide_rmq_topology_ensure(struct bide_rmq_link *link, amqp_channel_t channel, bide_error *error);
/* What could not be declared, and why the first of it. */
struct bide_rmq_refused {
    size_t n;
    bide_error first;
};
/* As much as can be: rows that the broker refuses are counted, and keep nothing from the others. `all`: as by
 * declare; else as by ensure. Fails only with the connection. The channel is open afterwards. */
bide_code bide_rmq_topology_declare_possible(struct bide_rmq_link *link, amqp_channel_t channel, bool all,
    struct bide_rmq_refused *ret_refused, bide_error *error);
/* Deletes all, with what is in it; what is missing is no failure. The channel as above. */
bide_code bide_rmq_topology_delete(struct bide_rmq_link *link, amqp_channel_t channel, bide_error *error);

#endif
