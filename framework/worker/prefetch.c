#include "worker/prefetch.h"

#include "base/bug.h"

enum {
    SHORT_WAIT_US = 20 * 1000,
    LONG_WAIT_US = 100 * 1000,
    GROW_EVERY_US = 5 * 1000,
    SHRINK_EVERY_US = 200 * 1000,
};

void bide_prefetch_init(struct bide_prefetch *prefetch, int configured, size_t threads, size_t batch)
{
    size_t least = batch > 1 && batch * 4 > threads * 2 ? batch * 4 : threads * 2;
    size_t base = configured > 0 ? (size_t)configured : least;
    *prefetch = (struct bide_prefetch){.base = base, .limit = base, .fixed = configured > 0};
}

void bide_prefetch_took(struct bide_prefetch *prefetch, size_t n)
{
    prefetch->held += n;
    if (prefetch->held * 4 >= prefetch->limit * 3)
        prefetch->reached = true;
}

void bide_prefetch_gave(struct bide_prefetch *prefetch, int64_t waited_us)
{
    BIDE_BUG(prefetch->held == 0);
    prefetch->held--;
    if (waited_us > prefetch->longest_wait_us)
        prefetch->longest_wait_us = waited_us;
}

static bool change(struct bide_prefetch *prefetch, size_t limit, int64_t next_us)
{
    prefetch->limit = limit;
    prefetch->next_us = next_us;
    prefetch->reached = false;
    prefetch->longest_wait_us = 0;
    return true;
}

bool bide_prefetch_adapt(struct bide_prefetch *prefetch, bool pool_ran_dry, int64_t now_us)
{
    if (prefetch->fixed || now_us < prefetch->next_us)
        return false;
    size_t half = prefetch->limit / 2, twice = prefetch->limit * 2;
    if (prefetch->longest_wait_us > LONG_WAIT_US && prefetch->limit > prefetch->base)
        return change(prefetch, half > prefetch->base ? half : prefetch->base, now_us + SHRINK_EVERY_US);
    if (pool_ran_dry && prefetch->reached && prefetch->longest_wait_us < SHORT_WAIT_US &&
        prefetch->limit < BIDE_PREFETCH_MAX)
        return change(
            prefetch, twice < BIDE_PREFETCH_MAX ? twice : BIDE_PREFETCH_MAX, now_us + GROW_EVERY_US);
    return false;
}
