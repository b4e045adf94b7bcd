/* broker/rabbitmq/connector.h: makes the intake's next connection on a thread of its own, because connecting,
 * logging in and declaring may take seconds and the intake thread waits for nobody.
 *
 * One try at a time. Thread-safety: the intake thread calls; the thread in between is the connector's matter.
 */
#ifndef BIDE_BROKER_RABBITMQ_CONNECTOR_H
#define BIDE_BROKER_RABBITMQ_CONNECTOR_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/wakeup.h"
#include "broker/rabbitmq/link.h"
#include "broker/rabbitmq/topology.h"

struct bide_rmq_connector {
    const struct bide_rmq_settings *settings;
    const struct bide_wakeup *done;
    bool is_busy;      /* from start to finish */
    bool declare_only; /* the connection is made to declare what is missing, and not kept */
    pthread_t thread;
    atomic_bool has_ended;
    size_t host;
    /* the thread's, until has_ended */
    struct bide_rmq_link link;
    bide_code code;
    bide_error error;
    struct bide_rmq_refused refused; /* what could not be declared, where the code is BIDE_OK */
};

/* `done` is signalled when a try has ended. */
void bide_rmq_connector_init(struct bide_rmq_connector *connector, const struct bide_rmq_settings *settings,
    const struct bide_wakeup *done);
/* Waits for a try in progress (at most the connect timeout for each host) and throws its result away. */
void bide_rmq_connector_release(struct bide_rmq_connector *connector);
bide_code bide_rmq_connector_start(
    struct bide_rmq_connector *connector, bool declare_only, bide_error *error);
/* False while a try is in progress, or when none was started. Otherwise its result, once; the link is then
 * the caller's. */
bool bide_rmq_connector_finish(struct bide_rmq_connector *connector, struct bide_rmq_link *ret_link,
    bide_code *ret_code, bide_error *ret_error);

#endif
