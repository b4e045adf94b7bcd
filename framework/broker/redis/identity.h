/* broker/redis/identity.h: what workers call themselves, so that a neighbour's death can be told at once.
 *
 * HOST:PID:PLACE-RANDOM, where PLACE stands for this boot of this machine and this process namespace: a pid
 * is only looked for where it means the same. Any thread. */
#ifndef BIDE_REDIS_IDENTITY_H
#define BIDE_REDIS_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

/* For this process; different at each call. */
void bide_redis_identity_create(char *to, size_t room);
/* True where this worker ran here and its process is no more. False: it lives, or that cannot be told. */
bool bide_redis_identity_is_gone(const char *worker);

#endif
