/* console/history.h: the last ten minutes in steps of two seconds.
 *
 * The points are in shared memory, so that they outlive a console that crashes or makes way at a reload.
 * Queue depths cost a question to the broker, are only asked for while somebody looks, and end with the
 * console. Thread-safety: stepped by the console's main thread, rendered by any. */
#ifndef BIDE_CONSOLE_HISTORY_H
#define BIDE_CONSOLE_HISTORY_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buffer.h"
#include "broker/broker.h"
#include "console/totals.h"

enum { BIDE_HISTORY_STEP_S = 2 };

struct bide_history_depths {
    struct bide_queue_stats *queues; /* owned; NULL: not asked */
    size_t n;
};

struct bide_history {
    pthread_mutex_t lock;
    struct bide_past *past;
    struct bide_history_depths depths[BIDE_PAST_POINTS]; /* of the point of the same index */
    _Atomic int64_t asked_ms;                            /* monotonic: when somebody looked last */
};

void bide_history_init(struct bide_history *history, struct bide_past *past);
void bide_history_clear(struct bide_history *history);
/* stats: NULL where nobody looks, or the broker does not answer; copied. */
void bide_history_step(struct bide_history *history, const struct bide_type_total *now, int64_t t_s,
    const struct bide_broker_stats *stats);
/* Members of an object under way. */
void bide_history_json(struct bide_history *history, struct bide_buffer *to);

#endif
