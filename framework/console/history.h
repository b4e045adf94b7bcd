/* console/history.h: the last ten minutes in steps of two seconds.
 *
 * Queue depths cost a question to the broker, and are only asked for while somebody looks. Thread-safety:
 * stepped by the console's main thread, rendered by any. */
#ifndef BIDE_CONSOLE_HISTORY_H
#define BIDE_CONSOLE_HISTORY_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buffer.h"
#include "broker/broker.h"
#include "console/totals.h"

enum { BIDE_HISTORY_STEP_S = 2, BIDE_HISTORY_POINTS = 300 };

struct bide_history_point {
    int64_t t_s; /* Unix */
    uint64_t done, retried, dead;
    double late_p99_us;              /* -1: nothing was due */
    struct bide_queue_stats *queues; /* owned; NULL: not asked */
    size_t n_queues;
};

struct bide_history {
    pthread_mutex_t lock;
    struct bide_history_point points[BIDE_HISTORY_POINTS];
    uint64_t n; /* ever */
    struct bide_type_total before;
    _Atomic int64_t asked_ms; /* monotonic: when somebody looked last */
};

void bide_history_init(struct bide_history *history);
void bide_history_clear(struct bide_history *history);
/* stats: NULL where nobody looks, or the broker does not answer; copied. */
void bide_history_step(struct bide_history *history, const struct bide_type_total *now, int64_t t_s,
    const struct bide_broker_stats *stats);
/* Members of an object under way. */
void bide_history_json(struct bide_history *history, struct bide_buffer *to);

#endif
