/* broker/rabbitmq/old_ladder.h: the first ladder (docs/decisions/0035), which older namespaces have.
 *
 * It has nine holding queues for each decimal unit from 100 ms to 1 000 000 s, and ends in the same exchange
 * as today's, with as many words before the queue's name: so what it still holds reaches the landing queues
 * of all queues by itself. Nothing here publishes to it or declares it; a sender of that time may. Pure; any
 * thread. */
#ifndef BIDE_BROKER_RABBITMQ_OLD_LADDER_H
#define BIDE_BROKER_RABBITMQ_OLD_LADDER_H

#include <stdint.h>

enum { BIDE_RMQ_OLD_QUEUES = 72, BIDE_RMQ_OLD_EXCHANGES = 8 };

enum { BIDE_RMQ_OLD_NAME = 160 };
/* "<namespace>.hold.300ms": holding queue number i, the shortest first. Returns `to`. */
char *bide_rmq_old_queue(const char *name_space, int i, char to[BIDE_RMQ_OLD_NAME]);
/* Exchange number i has the name of the first queue of its unit. */
char *bide_rmq_old_exchange(const char *name_space, int i, char to[BIDE_RMQ_OLD_NAME]);
/* The nominal time of holding queue number i. */
int64_t bide_rmq_old_ms(int i);

#endif
