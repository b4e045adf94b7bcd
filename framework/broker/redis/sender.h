/* broker/redis/sender.h: opens the sender of the Redis adapter. One thread at a time. */
#ifndef BIDE_REDIS_SENDER_H
#define BIDE_REDIS_SENDER_H

#include "broker/broker.h"

bide_code bide_redis_open_sender(
    const struct bide_broker_options *options, struct bide_sender **ret_sender, bide_error *error);

#endif
