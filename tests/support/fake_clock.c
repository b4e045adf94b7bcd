#include "support/fake_clock.h"

static int64_t read_wall(const struct bide_clock *self)
{
    return atomic_load(&((const struct fake_clock *)(const void *)self)->wall_us);
}

static int64_t read_mono(const struct bide_clock *self)
{
    return atomic_load(&((const struct fake_clock *)(const void *)self)->mono_us);
}

void fake_clock_init(struct fake_clock *fake, int64_t wall_ms)
{
    fake->clock = (struct bide_clock){read_wall, read_mono};
    atomic_init(&fake->wall_us, wall_ms * 1000);
    atomic_init(&fake->mono_us, 1000000);
}

void fake_clock_advance_us(struct fake_clock *fake, int64_t us)
{
    atomic_fetch_add(&fake->wall_us, us);
    atomic_fetch_add(&fake->mono_us, us);
}

void fake_clock_advance_ms(struct fake_clock *fake, int64_t ms)
{
    fake_clock_advance_us(fake, ms * 1000);
}

void fake_clock_jump_ms(struct fake_clock *fake, int64_t ms)
{
    atomic_fetch_add(&fake->wall_us, ms * 1000);
}
