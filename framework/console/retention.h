/* console/retention.h: a thread of the console that drops the dead letters which the configuration's `dead`
 * no longer allows: first when the console has started, then once a minute.
 *
 * It works in steps of at most a second and some thousand letters, with pauses in which other clients use the
 * broker. If letters are left after several steps, the next round drops them. All workers of a namespace may
 * do this at the same time (dead_trim of broker/broker.h). Thread-safety: the console's main thread. */
#ifndef BIDE_CONSOLE_RETENTION_H
#define BIDE_CONSOLE_RETENTION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "bide/error.h"

struct bide_console;

struct bide_retention {
    struct bide_console *console; /* NULL: not started */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool stopping; /* under the lock */
    /* of the thread itself: */
    bool has_offset;
    int64_t offset_ms;   /* wall clock less monotonic clock, when they were read last */
    int64_t distrust_ms; /* monotonic: until then the wall clock is not trusted */
};

/* Letters that died before this instant (Unix ms) are too old; 0: none is. After a jump of the wall clock by
 * more than five minutes it answers 0 for a day: either clock may be the wrong one, and a dropped letter is
 * gone. */
int64_t bide_retention_died_before_ms(
    struct bide_retention *retention, int64_t max_age_ms, int64_t wall_ms, int64_t mono_ms);

/* Does nothing if the configuration keeps all dead letters. */
bide_code bide_retention_start(struct bide_console *console, bide_error *error);
/* Waits for the present step to end. */
void bide_retention_stop(struct bide_retention *retention);

#endif
