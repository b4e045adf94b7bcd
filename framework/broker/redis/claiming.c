#include "broker/redis/claiming.h"

enum {
    QUIET = BIDE_REDIS_QUIET,
    CROWDED = BIDE_REDIS_CROWDED,
    WANTING = BIDE_REDIS_WANTING,
    FLOWING = BIDE_REDIS_FLOWING,
    PASSING_ON = BIDE_REDIS_PASSING_ON,
    CLAIMING = BIDE_REDIS_CLAIMING,
    CLAIMING_WOKEN = BIDE_REDIS_CLAIMING_WOKEN
};

/* By event: WOKEN, WOKEN_FULL, EARLY_ROOM, ASKED. */
static const unsigned char after[BIDE_REDIS_N_CLAIMINGS][BIDE_REDIS_N_CLAIM_EVENTS] = {
    [QUIET] = {WANTING, PASSING_ON, QUIET, CLAIMING},
    [CROWDED] = {WANTING, PASSING_ON, WANTING, CLAIMING},
    [WANTING] = {WANTING, PASSING_ON, WANTING, CLAIMING},
    [FLOWING] = {FLOWING, PASSING_ON, FLOWING, CLAIMING},
    [PASSING_ON] = {PASSING_ON, PASSING_ON, PASSING_ON, CLAIMING},
    [CLAIMING] = {CLAIMING_WOKEN, CLAIMING_WOKEN, CLAIMING, CLAIMING},
    [CLAIMING_WOKEN] = {CLAIMING_WOKEN, CLAIMING_WOKEN, CLAIMING_WOKEN, CLAIMING_WOKEN},
};

enum bide_redis_claiming bide_redis_claiming_after(
    enum bide_redis_claiming state, enum bide_redis_claim_event event)
{
    return after[state][event];
}

enum bide_redis_claiming bide_redis_claiming_ended(
    enum bide_redis_claiming state, enum bide_redis_claiming next, bool full)
{
    enum bide_redis_claim_event wake = full ? BIDE_REDIS_WOKEN_FULL : BIDE_REDIS_WOKEN;
    return state == BIDE_REDIS_CLAIMING_WOKEN ? bide_redis_claiming_after(next, wake) : next;
}

bool bide_redis_claiming_is_asked(enum bide_redis_claiming state)
{
    return state == BIDE_REDIS_CLAIMING || state == BIDE_REDIS_CLAIMING_WOKEN;
}
