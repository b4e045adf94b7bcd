/* broker/rabbitmq/settings.h: an URL and the broker options in this adapter's terms, with all names composed.
 *
 * The settings are a copy of their own. They are never changed, and any thread may read them until they are
 * destroyed. */
#ifndef BIDE_BROKER_RABBITMQ_SETTINGS_H
#define BIDE_BROKER_RABBITMQ_SETTINGS_H

#include <stdbool.h>

#include "base/arena.h"
#include "broker/broker.h"
#include "broker/rabbitmq/ladder.h"
#include "broker/rabbitmq/sharing.h"

struct bide_rmq_host {
    const char *name;
    int port;
};

/* The AMQP queues of one queue from which a worker consumes, on a channel each. */
enum bide_rmq_part { BIDE_RMQ_WORK, BIDE_RMQ_LANDING, BIDE_RMQ_LATER, BIDE_RMQ_PARTS };

/* A queue with its users' name, and its AMQP queues. */
struct bide_rmq_queue {
    const char *name;    /* "mail": also the routing key */
    const char *work;    /* "bide.mail" */
    const char *landing; /* "bide.mail.landing" */
    const char *later;   /* "bide.mail.later" */
    const char *dead;    /* "bide.mail.dead" */
};

struct bide_rmq_settings {
    struct bide_rmq_host hosts[BIDE_URL_HOSTS_MAX];
    size_t n_hosts;
    const char *user, *password, *vhost;
    const char *redacted; /* the URL for messages and logs, without the password */
    const char *client_name;
    bool tls;
    bool verify;                             /* check the server's certificate and name */
    const char *cafile, *certfile, *keyfile; /* NULL: not given */
    int heartbeat_s;                         /* 0: none */
    int64_t connect_timeout_ms;
    int64_t timeout_ms;
    int consumer_timeout_s; /* the broker's; 0: it has none */
    size_t max_body;
    size_t max_in_flight; /* not less than max_body; 0: no bound */
    size_t early_max;
    bool classic;
    int shards; /* of each rung of the ladder */
    const struct bide_clock *clock;

    const char *name_space;
    const char *work_exchange, *landing_exchange, *due_exchange;
    const char *topic_exchange; /* docs/topics.md */
    const char *unrouted;       /* exchange and queue */
    const char *later_exchange;
    const char *unrouted_later; /* exchange and queue: from the later exchange to the unrouted one */
    const char *hold_exchange[BIDE_RMQ_RUNGS];
    struct bide_rmq_queue *queues; /* those that are served, then other subscriptions */
    size_t n_queues;
    size_t n_known; /* with these */
    bool joins;     /* declares subscriptions: a receiver */
    struct bide_arena arena;
};

/* Fails with BIDE_E_CONFIG for an unknown or bad option of the URL. */
bide_code bide_rmq_settings_create(
    const struct bide_broker_options *options, struct bide_rmq_settings **ret_settings, bide_error *error);
void bide_rmq_settings_destroy(struct bide_rmq_settings *settings);
/* Composes the names of these queues, for new settings. False: there is no memory. */
bool bide_rmq_settings_name_queues(struct bide_rmq_settings *settings, const char *const *queues,
    size_t n_queues, const char *const *others, size_t n_others);

/* The queue of a worker's channel: the parts of queue 0, of queue 1, … */
static inline const char *bide_rmq_queue_of_channel(const struct bide_rmq_settings *settings, size_t channel)
{
    const struct bide_rmq_queue *queue = &settings->queues[channel / BIDE_RMQ_PARTS];
    const char *const parts[] = {queue->work, queue->landing, queue->later};
    return parts[channel % BIDE_RMQ_PARTS];
}

enum { BIDE_RMQ_HOLDING_NAME = 160 };
/* "bide.hold.5s.1": the holding queue of number × unit, and its shard. Returns `to`. */
char *bide_rmq_holding_name(
    const char *name_space, int rung, int number, int shard, char to[BIDE_RMQ_HOLDING_NAME]);

#endif
