/* broker/reconnect.h: when to try a lost connection again.
 *
 * Exponential backoff with full jitter above half: 100 ms, doubled up to 3 s, each drawn from the upper half
 * of that span, so that a fleet does not come back in step and work resumes within seconds of the broker's
 * return. Times are monotonic microseconds. Thread-safety: one thread at a time. */
#ifndef BIDE_BROKER_RECONNECT_H
#define BIDE_BROKER_RECONNECT_H

#include <stdbool.h>
#include <stdint.h>

struct bide_reconnect {
    unsigned failures; /* in a row */
    int64_t next_us;   /* not before */
    uint64_t random;   /* state of the jitter; 0: seeded at first use */
};

/* After a failed try or a lost connection: says when to try next. */
void bide_reconnect_failed(struct bide_reconnect *reconnect, int64_t now_us);
void bide_reconnect_succeeded(struct bide_reconnect *reconnect);
bool bide_reconnect_is_due(const struct bide_reconnect *reconnect, int64_t now_us);
/* How long until then; 0 when due. */
int64_t bide_reconnect_wait_us(const struct bide_reconnect *reconnect, int64_t now_us);

#endif
