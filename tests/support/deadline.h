/* tests/support/deadline.h: waiting for a condition instead of for a time.
 *
 *     struct deadline deadline = deadline_in_ms(2000);
 *     while (!condition() && !deadline_passed(&deadline))
 *         deadline_nap(&deadline);
 *
 * Monotonic. Thread-safety: one thread at a time. */
#ifndef TESTS_SUPPORT_DEADLINE_H
#define TESTS_SUPPORT_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

struct deadline {
    int64_t at_us;
    int64_t nap_us; /* of the next nap: begins short, grows to 10 ms */
};

struct deadline deadline_in_ms(int64_t ms);
bool deadline_passed(const struct deadline *deadline);
int64_t deadline_left_us(const struct deadline *deadline); /* 0 once passed */
void deadline_nap(struct deadline *deadline);

/* Waits until condition(user) holds; false when it did not within ms. */
bool wait_until(bool (*condition)(void *user), void *user, int64_t ms);

#endif
