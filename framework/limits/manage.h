/* limits/manage.h: looking at limits, and setting them while workers run: `bide limits`, GET and POST
 * /limits.
 *
 * The store is the caller's, used by one thread at a time; each call waits for it. */
#ifndef BIDE_LIMITS_MANAGE_H
#define BIDE_LIMITS_MANAGE_H

#include "base/buffer.h"
#include "limits/limit.h"

/* A key of a limit, now. */
struct bide_limit_row {
    const struct bide_shared_limit_config *limit;
    struct bide_limit_terms terms;
    const char *key;
    int64_t in_use;  /* places that are held; -1: it has none */
    int64_t waiting; /* about so many have a permit or a turn for later */
    int64_t wait_ms; /* what asks now would begin after so long */
};
/* Is it other than configured? */
bool bide_limit_is_set(const struct bide_limit_row *row);
typedef void bide_limit_visit(void *user, const struct bide_limit_row *row);

enum { BIDE_LIMIT_KEYS_MAX = 1000 };

/* Visits each key of which something waits or has just begun, at least one row for each limit (with the key
 * ""). Of one limit at most BIDE_LIMIT_KEYS_MAX. only: NULL, or the limit's name. */
bide_code bide_limits_each(struct bide_store *store, const struct bide_config *config, const char *only,
    bide_limit_visit *visit, void *user, bide_error *error);

/* Sets a rate and a concurrency, or (0) leaves them; all 0: as configured. What was reserved and issued
 * before is void; of a key that was used just now, the first permit of the new terms comes one interval
 * later. BIDE_E_DATA: there is no such limit, it has no such part, or somebody else has set it at the same
 * moment. */
bide_code bide_limits_set(struct bide_store *store, const struct bide_config *config, const char *name,
    const struct bide_rate *rate, int64_t concurrency, bide_error *error);

/* "50/1m"; "" where there is none. */
enum { BIDE_RATE_TEXT = 64 };
const char *bide_rate_text(const struct bide_rate *rate, char to[BIDE_RATE_TEXT]);

/* The members of a row's JSON object, without its braces. */
void bide_limit_report(struct bide_buffer *to, const struct bide_limit_row *row);

#endif
