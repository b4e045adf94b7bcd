/* Of transactions whose asking message came to this worker. Also before the first one: an alert sees a
 * counter rise only if it was there before. */
#include <inttypes.h>

#include "console/prometheus.h"
#include "console/serving.h"

static uint64_t sum(const struct bide_shared *shared, size_t which)
{
    uint64_t n = 0;
    for (size_t i = 0; i < shared->n_places; i++)
        n += atomic_load_explicit(&shared->places[i].transactions[which], memory_order_relaxed);
    return n;
}

void bide_prometheus_transactions(struct bide_buffer *to, const struct bide_console *console)
{
    static const char *const ends[] = {[BIDE_TRANSACTIONS_COMMITTED] = "committed",
        [BIDE_TRANSACTIONS_ABORTED] = "aborted",
        [BIDE_TRANSACTIONS_UNRESOLVED] = "unresolved"};
    const struct bide_shared *shared = console->options->shared;
    bide_buffer_text(to,
        "# HELP bide_transactions_total Transactions whose check message has come, by their end.\n"
        "# TYPE bide_transactions_total counter\n");
    for (size_t i = 0; i < BIDE_TRANSACTIONS_CHECKS; i++)
        bide_buffer_format(to, "bide_transactions_total{end=\"%s\"} %" PRIu64 "\n", ends[i], sum(shared, i));
    bide_buffer_format(to,
        "# HELP bide_transaction_checks_total How often handlers were asked what became of a transaction.\n"
        "# TYPE bide_transaction_checks_total counter\n"
        "bide_transaction_checks_total %" PRIu64 "\n",
        sum(shared, BIDE_TRANSACTIONS_CHECKS));
}
