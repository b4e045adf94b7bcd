/* broker/redis/admin/info.h: reads what INFO answers. Pure; any thread. */
#ifndef BIDE_BROKER_REDIS_ADMIN_INFO_H
#define BIDE_BROKER_REDIS_ADMIN_INFO_H

#include <stdbool.h>
#include <stddef.h>

/* The value of the line "name:value"; cut where it is longer than there is room. info may be NULL. False: not
 * there. */
bool bide_redis_info_value(const char *info, const char *name, char *to, size_t size);

#endif
