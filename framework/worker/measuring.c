#include "worker/measuring.h"

enum { ASK_POOL_US = 20 * 1000 };

void bide_measure_handlers(const struct bide_handlers *handlers, struct bide_metrics *metrics)
{
    bide_metrics_type(metrics, NULL);
    for (size_t i = 0; i < handlers->n; i++) {
        struct bide_handler *handler = &handlers->rows[i];
        handler->metrics = bide_metrics_type(metrics, bide_handler_name(handler->config));
        bide_metrics_describe(handler->metrics, handler->config->plugin, handler->plugin->descriptor.version,
            handler->plugin->build);
    }
}

static void set(_Atomic int *gauge, size_t value)
{
    atomic_store_explicit(gauge, (int)value, memory_order_relaxed);
}

/* The counter goes on where the processes before this one left it. */
static void count_up(_Atomic uint64_t *counter, uint64_t *measured, uint64_t now)
{
    bide_metrics_add(counter, now - *measured);
    *measured = now;
}

static void measure_receiver(struct bide_measuring *measuring, const struct bide_passage *passage)
{
    struct bide_metrics *metrics = passage->site.supervised->metrics;
    struct bide_receiver_stats stats;
    passage->settling.receiver->ops->stats(passage->settling.receiver, &stats);
    set(&metrics->connected, stats.connected);
    count_up(&metrics->received, &measuring->received, passage->received);
    count_up(&metrics->reconnects, &measuring->reconnects, stats.reconnects);
    count_up(&metrics->lost, &measuring->lost, stats.lost);
}

/* With something in the pool the intake looks again within a tenth of a second: what is skipped here is made
 * up for. */
static void measure_pool(struct bide_measuring *measuring, const struct bide_passage *passage, int64_t now_us)
{
    struct bide_pool_stats stats = {0};
    if (passage->out > 0 && now_us - measuring->pool_us < ASK_POOL_US)
        return;
    measuring->pool_us = now_us;
    if (passage->out > 0)
        bide_pool_stats(passage->pool, &stats);
    set(&passage->site.supervised->metrics->landing, stats.landing);
}

void bide_measure(struct bide_measuring *measuring, const struct bide_passage *passage, int64_t now_us)
{
    if (!passage->site.supervised)
        return;
    struct bide_metrics *metrics = passage->site.supervised->metrics;
    set(&metrics->state, passage->draining ? BIDE_PROCESS_DRAINING : BIDE_PROCESS_SERVING);
    set(&metrics->in_flight, bide_passage_in_hand(passage));
    measure_receiver(measuring, passage);
    measure_pool(measuring, passage, now_us);
}
