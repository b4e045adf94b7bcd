/* How many transactions are open, and for how long. */
#include "transactions/census.h"

#include <stdlib.h>
#include <string.h>

#include "store/configured.h"
#include "transactions/transaction.h"

enum { PAGE = 1000, CALL_MS = 2 * 1000, WHOLE_MS = 3 * 1000 };

/* How long such a fact lasts from its beginning; 0: not known. A prepared one says so itself. */
static int64_t life_ms(const struct bide_store_fact *fact)
{
    char text[24] = "";
    if (fact->state == BIDE_TRANSACTION_DECIDED)
        return BIDE_TRANSACTION_ENDED_MS;
    if (fact->state == BIDE_TRANSACTION_UNRESOLVED)
        return BIDE_TRANSACTION_OPEN_MS;
    if (fact->data.size > 0 && fact->data.size < sizeof text)
        memcpy(text, fact->data.bytes, fact->data.size);
    return strtoll(text, NULL, 10);
}

static void note(void *user, const struct bide_store_fact *fact)
{
    static const struct {
        enum bide_transaction_state state;
        enum bide_open_transactions which;
    } rows[] = {{BIDE_TRANSACTION_PREPARED, BIDE_OPEN_PREPARED},
        {BIDE_TRANSACTION_DECIDED, BIDE_OPEN_COMMITTING},
        {BIDE_TRANSACTION_UNRESOLVED, BIDE_OPEN_UNRESOLVED}};
    struct bide_transaction_census *census = user;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t age_ms = life_ms(fact) - fact->lasts_ms;
        if (rows[i].state != fact->state)
            continue;
        census->n[rows[i].which]++;
        if (age_ms > census->oldest_ms[rows[i].which])
            census->oldest_ms[rows[i].which] = age_ms;
    }
}

bide_code bide_transaction_count(struct bide_store *store, const struct bide_clock *clock,
    struct bide_transaction_census *ret_census, bide_error *error)
{
    struct bide_store_cursor cursor = {0};
    struct bide_transaction_census census = {0};
    int64_t end_ms = bide_mono_ms(clock) + WHOLE_MS;
    while (!cursor.done) {
        if (bide_mono_ms(clock) > end_ms)
            return bide_fail(error, BIDE_E_TIMEOUT,
                "the store has too many transactions to count them in %d s", WHOLE_MS / 1000);
        bide_code code = bide_store_scan(store, BIDE_TRANSACTIONS, "", PAGE, &cursor, note, &census, error);
        if (code != BIDE_OK)
            return code;
    }
    *ret_census = census;
    return BIDE_OK;
}

bide_code bide_transaction_census_take(
    const struct bide_config *config, struct bide_transaction_census *ret_census, bide_error *error)
{
    struct bide_configured_store configured;
    struct bide_store *store = NULL;
    *ret_census = (struct bide_transaction_census){0};
    bide_code code = bide_store_configure(config, "look", &configured, error);
    if (code != BIDE_OK || !configured.type) {
        bide_configured_store_clear(&configured);
        return code;
    }
    configured.options.timeout_ms = CALL_MS;
    code = bide_store_open(&configured.options, &store, error);
    if (code == BIDE_OK)
        code = bide_transaction_count(store, configured.options.clock, ret_census, error);
    bide_store_destroy(store);
    bide_configured_store_clear(&configured);
    return code;
}

bool bide_transaction_census_is_empty(const struct bide_transaction_census *census)
{
    int64_t n = 0;
    for (size_t i = 0; i < BIDE_OPEN_STATES; i++)
        n += census->n[i];
    return n == 0;
}

const char *bide_transaction_census_name(enum bide_open_transactions which)
{
    static const char *const names[] = {[BIDE_OPEN_PREPARED] = "prepared",
        [BIDE_OPEN_COMMITTING] = "committing",
        [BIDE_OPEN_UNRESOLVED] = "unresolved"};
    return names[which];
}
