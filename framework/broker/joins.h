/* broker/joins.h: topics, for adapters.
 *
 * A subscription of a topic is a queue named SUB@TOPIC. A message whose queue is "@TOPIC" is on its way to
 * all subscriptions of the topic: the broker makes a copy for each, which is addressed to its subscription
 * from then on. So what is retried, replayed or moved goes to that one alone. Where there is no subscription,
 * the message is parked as `unrouted`, with the queue "@TOPIC"; replaying it sends it again. Only while there
 * are such letters, "@TOPIC" is among the queues of the figures.
 *
 * What is sent after a subscription was joined arrives there, whoever sends it. A receiver that is opened
 * joins the subscriptions among its queues, and those that the options name beside them. Any thread. */
#ifndef BIDE_BROKER_JOINS_H
#define BIDE_BROKER_JOINS_H

#include "broker/broker.h"

/* The subscriptions that a receiver joins, ended by NULL, of its own (bide_joins_free). NULL where there is
 * no memory. */
char **bide_joins(const struct bide_broker_options *options);
void bide_joins_free(char **joins);

#endif
