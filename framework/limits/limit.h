/* limits/limit.h: what a limit is: its terms, where its facts lie in the store, and its arithmetic.
 *
 * In the store (docs/limits.md):
 *
 *   scope BIDE_LIMIT_TERMS    fact NAME: what an operator has set, instead of the configuration
 *   scope BIDE_LIMIT_RATES    meter NAME:GENERATION/KEY: which permits are reserved
 *   scope BIDE_LIMIT_LINES    meter of the same name: when those that were refused a place come back
 *   scope BIDE_LIMIT_PLACES   holders of NAME/KEY: those that run
 *   scope BIDE_LIMIT_TICKETS NAME:GENERATION/KEY   fact, one a moved message: its permit
 *
 * Permits begin evenly, (window + BIDE_LIMIT_LATE_US) / n apart. A run begins at most BIDE_LIMIT_LATE_US
 * after its permit; so in any time of a window's length at most n runs begin. A generation counts what
 * operators have set: permits and tickets of an older one are worth nothing.
 *
 * Pure; any thread. */
#ifndef BIDE_LIMITS_LIMIT_H
#define BIDE_LIMITS_LIMIT_H

#include "config/config.h"
#include "message/message.h"
#include "store/store.h"

#define BIDE_LIMIT_TERMS "limits"
#define BIDE_LIMIT_RATES "limit-rates"
#define BIDE_LIMIT_LINES "limit-lines"
#define BIDE_LIMIT_PLACES "limit-places"
#define BIDE_LIMIT_TICKETS "limit-tickets "

#define BIDE_LIMIT_LATE_US (INT64_C(50) * 1000)
/* Permits that workers have in hand begin within this time (with what brokers hand out early). Whoever voids
 * what was reserved, lets new permits begin behind those. */
#define BIDE_LIMIT_IN_HAND_US (INT64_C(2) * 1000 * 1000)

enum {
    BIDE_LIMIT_TERMS_TEXT = 96,
    BIDE_LIMIT_KEY_TEXT = BIDE_STORE_USER_KEY_MAX + 1,
    BIDE_LIMIT_NAME_TEXT = 340, /* NAME:GENERATION/KEY, with the scope of its tickets in front */
    BIDE_LIMIT_TICKET_TEXT = 40,
};

struct bide_limit_terms {
    struct bide_rate rate;
    int64_t concurrency;
    uint32_t generation; /* 0: as the configuration says */
};

/* What holds by the configuration and the data of the fact (size 0: there is none; a part that is 0 there, or
 * that the limit does not have, is the configuration's). */
struct bide_limit_terms bide_limit_terms(
    const struct bide_shared_limit_config *limit, struct bide_slice data);
/* The data of a fact. Returns their size. */
size_t bide_limit_terms_write(const struct bide_limit_terms *terms, char to[BIDE_LIMIT_TERMS_TEXT]);

/* Between two permits, rounded up; 0: no rate. */
int64_t bide_limit_interval_us(const struct bide_rate *rate);

/* The message's key; "" where it has none (then it counts with the others that have none). Long and binary
 * ones are shortened. */
void bide_limit_key(const struct bide_shared_limit_config *limit, const struct bide_message *message,
    char to[BIDE_LIMIT_KEY_TEXT]);

/* "limit-tickets NAME:GENERATION/KEY": the scope of the key's tickets. bide_limit_meter is the part of it
 * that names its meters. */
void bide_limit_name(const char *name, uint32_t generation, const char *key, char to[BIDE_LIMIT_NAME_TEXT]);
static inline const char *bide_limit_meter(const char *name_text)
{
    return name_text + sizeof BIDE_LIMIT_TICKETS - 1;
}

/* The name of a message's ticket. */
void bide_limit_ticket(const struct bide_message *message, char to[BIDE_LIMIT_TICKET_TEXT]);

/* ---- how the store's clock stands to this process's monotonic one ---- */

/* Zeroed: nothing is known. store = mono + something between low_us and high_us. */
struct bide_limit_clock {
    int64_t low_us, high_us;
    int64_t seen_us; /* mono; 0: never */
};

/* The store said at_us in a call that began and ended then. */
void bide_limit_clock_saw(struct bide_limit_clock *clock, int64_t at_us, int64_t began_us, int64_t ended_us);

/* When a run may begin by a permit of the store's time: mono, not before and not after. */
struct bide_limit_span {
    int64_t from_us, to_us;
};
struct bide_limit_span bide_limit_span(const struct bide_limit_clock *clock, int64_t permit_us);

#endif
