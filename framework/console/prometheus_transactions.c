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

/* ---- of the store: left out while it does not answer ---- */

enum { FRESH_MS = 10 * 1000, SHARE = 50 };

/* At most every ten seconds, and a fiftieth of the time. */
static bool look(struct bide_console *console, struct bide_transaction_census *ret_census)
{
    int64_t now_ms = bide_mono_ms(console->clock);
    pthread_mutex_lock(&console->open_transactions.lock);
    if (now_ms >= console->open_transactions.next_ms) {
        console->open_transactions.code =
            bide_transaction_census_take(console->options->config, &console->open_transactions.census, NULL);
        int64_t took_ms = bide_mono_ms(console->clock) - now_ms;
        int64_t rest_ms = took_ms * SHARE > FRESH_MS ? took_ms * SHARE : FRESH_MS;
        console->open_transactions.next_ms = now_ms + rest_ms;
    }
    *ret_census = console->open_transactions.census;
    bool known = console->open_transactions.code == BIDE_OK;
    pthread_mutex_unlock(&console->open_transactions.lock);
    return known;
}

static void open_ones(struct bide_buffer *to, struct bide_console *console)
{
    struct bide_transaction_census census;
    if (!look(console, &census))
        return;
    bide_buffer_text(to,
        "# HELP bide_transactions_open Transactions that are neither committed nor aborted.\n"
        "# TYPE bide_transactions_open gauge\n");
    for (size_t i = 0; i < BIDE_OPEN_STATES; i++)
        bide_buffer_format(to, "bide_transactions_open{state=\"%s\"} %" PRId64 "\n",
            bide_transaction_census_name(i), census.n[i]);
    bide_buffer_text(to,
        "# HELP bide_transactions_oldest_seconds For how long the oldest of them has been in its state.\n"
        "# TYPE bide_transactions_oldest_seconds gauge\n");
    for (size_t i = 0; i < BIDE_OPEN_STATES; i++)
        bide_buffer_format(to, "bide_transactions_oldest_seconds{state=\"%s\"} %" PRId64 "\n",
            bide_transaction_census_name(i), census.oldest_ms[i] / 1000);
}

void bide_prometheus_transactions(struct bide_buffer *to, struct bide_console *console)
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
    open_ones(to, console);
}
