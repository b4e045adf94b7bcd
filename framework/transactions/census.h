/* transactions/census.h: how many transactions are open. It reads all facts that the store has of
 * transactions, also of those that have ended lately, and gives up after three seconds. Any thread. */
#ifndef BIDE_TRANSACTIONS_CENSUS_H
#define BIDE_TRANSACTIONS_CENSUS_H

#include "config/config.h"
#include "store/store.h"

enum bide_open_transactions {
    BIDE_OPEN_PREPARED,
    BIDE_OPEN_COMMITTING,
    BIDE_OPEN_UNRESOLVED,
    BIDE_OPEN_STATES
};

struct bide_transaction_census {
    int64_t n[BIDE_OPEN_STATES];
    /* For how long the oldest one has been so; committing: since somebody last tried to send it. 0: none is
     */
    int64_t oldest_ms[BIDE_OPEN_STATES];
};

/* BIDE_E_TIMEOUT: there are too many. */
bide_code bide_transaction_count(struct bide_store *store, const struct bide_clock *clock,
    struct bide_transaction_census *ret_census, bide_error *error);
/* Of the configuration's store; none where it has no store. */
bide_code bide_transaction_census_take(
    const struct bide_config *config, struct bide_transaction_census *ret_census, bide_error *error);

bool bide_transaction_census_is_empty(const struct bide_transaction_census *census);
/* "prepared", … */
const char *bide_transaction_census_name(enum bide_open_transactions which);

#endif
