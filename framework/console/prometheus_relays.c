#include <inttypes.h>

#include "console/prometheus.h"
#include "console/serving.h"
#include "producer/spool.h"

enum family { CARRIED, REFUSED, ACTIVE, SOURCE_AWAY, TARGET_AWAY, OLDEST, LAG, N_FAMILIES };

static const struct {
    const char *name, *kind, *help;
} families[N_FAMILIES] = {
    [CARRIED] = {"bide_relay_carried_total", "counter",
        "Messages that a relay has brought to its target: confirmed there."},
    [REFUSED] = {"bide_relay_refused_total", "counter",
        "Messages that the target of a relay refused for good: they stay in its source, marked."},
    [ACTIVE] = {"bide_relay_active", "gauge",
        "1 for a relay that carries; 0: it does not run, or another one has its turn."},
    [SOURCE_AWAY] = {"bide_relay_source_away", "gauge", "1 for a relay that cannot read its source."},
    [TARGET_AWAY] = {"bide_relay_target_away", "gauge", "1 for a relay whose target takes no messages."},
    [OLDEST] = {"bide_relay_oldest_seconds", "gauge",
        "For how long the oldest message in the hands of a relay has waited to be carried."},
    [LAG] = {"bide_relay_lag_seconds", "histogram",
        "From when a message could have been carried to the target's confirmation."},
};

static void add_lag(struct bide_buffer *to, const struct bide_relay_metrics *relay)
{
    struct bide_histogram_sum lag = {0};
    bide_histogram_read(&relay->lag, &lag);
    bide_prometheus_histogram(to, families[LAG].name, "relay", relay->name, &lag);
}

static void add_value(
    struct bide_buffer *to, enum family family, const struct bide_relay_metrics *relay, int64_t now_ms)
{
    int64_t since_ms = atomic_load(&relay->oldest_ms);
    const int64_t values[LAG] = {(int64_t)atomic_load(&relay->carried), (int64_t)atomic_load(&relay->refused),
        atomic_load(&relay->active), atomic_load(&relay->source_away), atomic_load(&relay->target_away),
        since_ms > 0 && now_ms > since_ms ? (now_ms - since_ms) / 1000 : 0};
    bide_buffer_text(to, families[family].name);
    bide_prometheus_label(to, "relay", relay->name);
    bide_buffer_format(to, "} %" PRId64 "\n", values[family]);
}

void bide_prometheus_relays(struct bide_buffer *to, const struct bide_console *console)
{
    const struct bide_relay_metrics *relays = console->options->shared->relays;
    size_t n = console->options->config->n_relays;
    for (enum family family = 0; n > 0 && family < N_FAMILIES; family++) {
        bide_prometheus_head(to, families[family].name, families[family].kind, families[family].help);
        for (size_t i = 0; i < n; i++) {
            if (!*relays[i].name) /* it has not begun yet */
                continue;
            if (family == LAG)
                add_lag(to, &relays[i]);
            else
                add_value(to, family, &relays[i], bide_wall_ms(console->clock));
        }
    }
}

/* ---- the spool ---- */

static void add_gauge(struct bide_buffer *to, const char *name, const char *help, int64_t value)
{
    bide_prometheus_head(to, name, "gauge", help);
    bide_buffer_format(to, "%s %" PRId64 "\n", name, value);
}

void bide_prometheus_spool(struct bide_buffer *to, const struct bide_config *config)
{
    struct bide_spool_state spool;
    if (!config->spool.url || bide_spool_look(config, &spool, NULL) != BIDE_OK)
        return;
    add_gauge(to, "bide_spool_messages", "Messages that wait in the spool of this host.", spool.waiting);
    add_gauge(to, "bide_spool_oldest_seconds", "For how long the oldest message has waited in the spool.",
        spool.oldest_ms / 1000);
    add_gauge(to, "bide_spool_bytes", "Bytes of the spool's file that are in use.", spool.bytes);
    add_gauge(to, "bide_spool_max_bytes", "Bytes of the spool's file that may be in use (spool.max).",
        config->spool.max_bytes);
    if (spool.room_bytes >= 0)
        add_gauge(to, "bide_spool_room_bytes",
            "Bytes of messages for which the spool's disk has room: at 0 it stores nothing more.",
            spool.room_bytes);
    add_gauge(to, "bide_spool_refused",
        "Messages that the broker refused for good: dead letters of the spool.", spool.refused);
}
