#include "support/deadline.h"

#include <unistd.h>

#include "base/clock.h"

enum { SHORTEST_NAP_US = 100, LONGEST_NAP_US = 10000 };

struct deadline deadline_in_ms(int64_t ms)
{
    return (struct deadline){bide_mono_us(bide_clock_system()) + ms * 1000, SHORTEST_NAP_US};
}

bool deadline_passed(const struct deadline *deadline)
{
    return deadline_left_us(deadline) == 0;
}

int64_t deadline_left_us(const struct deadline *deadline)
{
    int64_t left_us = deadline->at_us - bide_mono_us(bide_clock_system());
    return left_us > 0 ? left_us : 0;
}

void deadline_nap(struct deadline *deadline)
{
    int64_t left_us = deadline_left_us(deadline);
    usleep((useconds_t)(deadline->nap_us < left_us ? deadline->nap_us : left_us));
    if (deadline->nap_us < LONGEST_NAP_US)
        deadline->nap_us *= 2;
}

bool wait_until(bool (*condition)(void *user), void *user, int64_t ms)
{
    struct deadline deadline = deadline_in_ms(ms);
    while (!condition(user)) {
        if (deadline_passed(&deadline))
            return false;
        deadline_nap(&deadline);
    }
    return true;
}
