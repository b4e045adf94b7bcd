/* store/stores.h: the rows of the registry, one defined in each store's folder. Any thread. */
#ifndef BIDE_STORE_STORES_H
#define BIDE_STORE_STORES_H

#include "store/store.h"

extern const struct bide_store_type bide_sqlite_store;
extern const struct bide_store_type bide_redis_store;

#endif
