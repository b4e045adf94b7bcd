/* base/clock.h: the time, replaceable so that a test runs 30 days in a millisecond.
 *
 * Wall time (Unix) is only for due times, ids and logs; monotonic time is for measuring. Functions that need
 * a clock take it as an argument; there is no global one. Thread-safety: bide_clock_system() any thread; a
 * test's own clock as it says. */
#ifndef BIDE_BASE_CLOCK_H
#define BIDE_BASE_CLOCK_H

#include <stdint.h>

struct bide_clock {
    int64_t (*wall_us)(const struct bide_clock *self);
    int64_t (*mono_us)(const struct bide_clock *self);
};

const struct bide_clock *bide_clock_system(void);

static inline int64_t bide_wall_us(const struct bide_clock *clock)
{
    return clock->wall_us(clock);
}

static inline int64_t bide_wall_ms(const struct bide_clock *clock)
{
    return clock->wall_us(clock) / 1000;
}

static inline int64_t bide_mono_us(const struct bide_clock *clock)
{
    return clock->mono_us(clock);
}

static inline int64_t bide_mono_ms(const struct bide_clock *clock)
{
    return clock->mono_us(clock) / 1000;
}

#endif
