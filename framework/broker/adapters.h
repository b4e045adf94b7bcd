/* broker/adapters.h: the rows of the registry, one defined in each adapter's folder. Any thread. */
#ifndef BIDE_BROKER_ADAPTERS_H
#define BIDE_BROKER_ADAPTERS_H

#include "broker/broker.h"

extern const struct bide_adapter bide_sqlite_adapter;
extern const struct bide_adapter bide_rabbitmq_adapter;
extern const struct bide_adapter bide_redis_adapter;
extern const struct bide_adapter bide_memory_adapter;

#endif
