/* broker/redis/neighbours.h: workers of this very machine that are gone.
 *
 * A heartbeat says after seconds that a worker is dead; for one whose process lived where this one lives (the
 * same boot of the same kernel, the same process id namespace) the kernel says it at once. So the successor
 * of a crashed worker process gets its messages without waiting. Worker names begin with the place and the
 * process id for that. */
#ifndef BIDE_REDIS_NEIGHBOURS_H
#define BIDE_REDIS_NEIGHBOURS_H

#include "broker/redis/link.h"

enum { BIDE_REDIS_PLACE_TEXT = 96 };

/* "host-1f2e3d4c": equal for processes that can ask the kernel about each other. */
void bide_redis_place(char to[BIDE_REDIS_PLACE_TEXT]);

/* Makes every registered worker of this place whose process is gone leave. The keeper's thread, or before it.
 */
bide_code bide_redis_bury_neighbours(
    const struct bide_redis_settings *settings, struct bide_redis_link *link, bide_error *error);

#endif
