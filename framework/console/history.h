/* console/history.h: the last ten minutes in steps of two seconds.
 *
 * The points are in shared memory, so that they outlive a console that crashes or is replaced at a reload.
 * The depths of queues cost a question to the broker: they are asked for only while somebody looks, and kept
 * in the console's own memory. Thread-safety: the console's main thread steps, any thread renders. */
#ifndef BIDE_CONSOLE_HISTORY_H
#define BIDE_CONSOLE_HISTORY_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buffer.h"
#include "broker/broker.h"
#include "console/totals.h"

enum { BIDE_HISTORY_STEP_S = 2 };

struct bide_history_depths {
    struct bide_queue_stats *queues; /* owned; NULL: not asked for */
    size_t n;
};

struct bide_history {
    pthread_mutex_t lock;
    struct bide_past *past;
    struct bide_history_depths depths[BIDE_PAST_POINTS]; /* depths of the point with the same index */
    _Atomic int64_t asked_ms;                            /* monotonic: when somebody looked last */
};

void bide_history_init(struct bide_history *history, struct bide_past *past);
void bide_history_clear(struct bide_history *history);
/* stats: copied; NULL if nobody looks or the broker does not answer. */
void bide_history_step(struct bide_history *history, const struct bide_type_total *now, int64_t t_s,
    const struct bide_broker_stats *stats);
/* Adds members to an object that the caller has begun. */
void bide_history_json(struct bide_history *history, struct bide_buffer *to);

#endif
