/* broker/redis/claiming.h: what a worker knows of a queue, and what makes it claim from it: one state.
 *
 * A claim is one question to the server: "what may I have?" (scripts/claim.lua). Pure: no clock, no
 * connection. Any thread. */
#ifndef BIDE_REDIS_CLAIMING_H
#define BIDE_REDIS_CLAIMING_H

#include <stdbool.h>

enum bide_redis_claiming {
    BIDE_REDIS_QUIET,          /* nothing is left: a wake or the alarm causes the next claim */
    BIDE_REDIS_CROWDED,        /* likewise; there are early messages, for which there was no room */
    BIDE_REDIS_WANTING,        /* there may be something: claim when there is room */
    BIDE_REDIS_FLOWING,        /* likewise; the last claim filled its room: read the stream directly */
    BIDE_REDIS_PASSING_ON,     /* woken without room: claim nothing, so that the script wakes somebody else */
    BIDE_REDIS_CLAIMING,       /* a claim is under way */
    BIDE_REDIS_CLAIMING_WOKEN, /* a wake came meanwhile: "nothing is left" may be old */
    BIDE_REDIS_N_CLAIMINGS
};

enum bide_redis_claim_event {
    BIDE_REDIS_WOKEN,      /* by another client or by the alarm, and there is room */
    BIDE_REDIS_WOKEN_FULL, /* without room */
    BIDE_REDIS_EARLY_ROOM, /* early messages have landed: there is room for others */
    BIDE_REDIS_ASKED,      /* a claim was sent */
    BIDE_REDIS_N_CLAIM_EVENTS
};

enum bide_redis_claiming bide_redis_claiming_after(
    enum bide_redis_claiming state, enum bide_redis_claim_event event);
/* A claim has ended and leaves `next`, one of the first four. A wake that came meanwhile counts as if it came
 * now; full: there is no room. */
enum bide_redis_claiming bide_redis_claiming_ended(
    enum bide_redis_claiming state, enum bide_redis_claiming next, bool full);
/* Is a claim under way? */
bool bide_redis_claiming_is_asked(enum bide_redis_claiming state);

#endif
