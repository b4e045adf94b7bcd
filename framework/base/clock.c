#include "base/clock.h"

#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_wall_us(const struct bide_clock *self)
{
    (void)self;
    return read_us(CLOCK_REALTIME);
}

static int64_t system_mono_us(const struct bide_clock *self)
{
    (void)self;
    return read_us(CLOCK_MONOTONIC);
}

const struct bide_clock *bide_clock_system(void)
{
    static const struct bide_clock system_clock = {system_wall_us, system_mono_us};
    return &system_clock;
}
