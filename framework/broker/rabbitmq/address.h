/* broker/rabbitmq/address.h: which exchange a message is published to. Pure; any thread. */
#ifndef BIDE_BROKER_RABBITMQ_ADDRESS_H
#define BIDE_BROKER_RABBITMQ_ADDRESS_H

#include "broker/rabbitmq/publisher.h"

/* An address and the memory of its key. Do not copy it. */
struct bide_rmq_route {
    struct bide_rmq_address address;
    char end[BIDE_TOPIC_MAX + 3]; /* "@.TOPIC" */
    char key[BIDE_RMQ_PATH + BIDE_NAME_MAX + 1];
};

/* The address for a message to be run when it is due: the work queue, the landing queue, or the ladder first.
 * `queue` is borrowed; it may be a topic's address. */
void bide_rmq_route_due(struct bide_rmq_route *route, const struct bide_rmq_settings *settings,
    const char *queue, const struct bide_message *message);
/* The same for a message that its worker may not run now and holds back: it stays on the ladder for all but a
 * fraction of that time. The landing queue would hand it out again at once, and the worker hold it back
 * again, thousands of times a second. */
void bide_rmq_route_held_back(struct bide_rmq_route *route, const struct bide_rmq_settings *settings,
    const char *queue, const struct bide_message *message);
/* Does such an address lead to a queue where messages wait for their time? */
bool bide_rmq_route_holds(const struct bide_rmq_route *route, const struct bide_rmq_settings *settings);
/* The address of a queue's dead letters. */
void bide_rmq_route_dead(struct bide_rmq_route *route, const struct bide_rmq_queue *queue);

#endif
