/* broker/rabbitmq/watch.h: connected but not consuming, a known disease after reconnects: nothing arrives
 * although messages are ready, and no error tells. Intake thread. */
#ifndef BIDE_BROKER_RABBITMQ_WATCH_H
#define BIDE_BROKER_RABBITMQ_WATCH_H

#include "broker/rabbitmq/receiver.h"

/* Looks after channels that were quiet for long though they could take more. True: one of them has messages
 * and gets none, twice in a row: the connection should be made anew. */
bool bide_rmq_watch(struct bide_rmq_receiver *receiver);
/* When to call that again; -1: nothing is watched. */
int64_t bide_rmq_watch_wait_us(const struct bide_rmq_receiver *receiver);

#endif
