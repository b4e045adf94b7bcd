#include "broker/reconnect.h"

enum { FIRST_US = 100 * 1000, LONGEST_US = 3000 * 1000 };

/* xorshift64* (S. Vigna 2014): jitter needs no better. */
static uint64_t draw(struct bide_reconnect *reconnect, int64_t now_us)
{
    if (reconnect->random == 0)
        reconnect->random = (uint64_t)now_us ^ (uint64_t)(uintptr_t)reconnect ^ 0x9E3779B97F4A7C15u;
    reconnect->random ^= reconnect->random >> 12;
    reconnect->random ^= reconnect->random << 25;
    reconnect->random ^= reconnect->random >> 27;
    return reconnect->random * 2685821657736338717u;
}

void bide_reconnect_failed(struct bide_reconnect *reconnect, int64_t now_us)
{
    int64_t span = FIRST_US;
    for (unsigned i = 0; i < reconnect->failures && span < LONGEST_US; i++)
        span *= 2;
    if (span > LONGEST_US)
        span = LONGEST_US;
    reconnect->failures++;
    reconnect->next_us = now_us + span / 2 + (int64_t)(draw(reconnect, now_us) % (uint64_t)(span / 2));
}

void bide_reconnect_succeeded(struct bide_reconnect *reconnect)
{
    reconnect->failures = 0;
    reconnect->next_us = 0;
}

bool bide_reconnect_is_due(const struct bide_reconnect *reconnect, int64_t now_us)
{
    return now_us >= reconnect->next_us;
}

int64_t bide_reconnect_wait_us(const struct bide_reconnect *reconnect, int64_t now_us)
{
    return reconnect->next_us > now_us ? reconnect->next_us - now_us : 0;
}
