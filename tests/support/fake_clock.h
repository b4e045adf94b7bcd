/* tests/support/fake_clock.h: a clock that moves only when told, so that 30 days pass in a microsecond.
 *
 * Pass &fake.clock where a `const struct bide_clock *` is wanted. Thread-safety: any thread may read and move
 * it. */
#ifndef TESTS_SUPPORT_FAKE_CLOCK_H
#define TESTS_SUPPORT_FAKE_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/clock.h"

struct fake_clock {
    struct bide_clock clock; /* first member */
    _Atomic int64_t wall_us;
    _Atomic int64_t mono_us;
};

/* Begins at this wall time; the monotonic one begins at one second. */
void fake_clock_init(struct fake_clock *fake, int64_t wall_ms);
/* Time passes: both clocks move. */
void fake_clock_advance_us(struct fake_clock *fake, int64_t us);
void fake_clock_advance_ms(struct fake_clock *fake, int64_t ms);
/* Somebody sets the wall clock, also back: the monotonic one does not move. */
void fake_clock_jump_ms(struct fake_clock *fake, int64_t ms);

#endif
