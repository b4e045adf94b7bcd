#include <stdio.h>

#include "base/alloc.h"
#include "broker/rabbitmq/admin/admin.h"

/* A missing queue holds nothing. */
static bide_code depth(struct bide_rmq_admin *admin, const char *queue, int64_t *ret_ready, bide_error *error)
{
    int64_t ready = 0;
    bide_code code = bide_rmq_admin_depth(admin, queue, &ready, error);
    if (code == BIDE_OK)
        *ret_ready = ready > 0 ? ready : 0;
    return code;
}

/* AMQP does not tell how many messages are unacknowledged, for which queues a rung holds messages, or how old
 * a waiting message is. */
static bide_code queue_stats(struct bide_rmq_admin *admin, const struct bide_rmq_queue *queue,
    struct bide_queue_stats *ret_stats, bide_error *error)
{
    struct bide_queue_stats stats = {
        .delayed = BIDE_UNKNOWN_COUNT, .in_flight = BIDE_UNKNOWN_COUNT, .cancelled = BIDE_UNKNOWN_COUNT};
    snprintf(stats.name, sizeof stats.name, "%s", queue->name);
    bide_code code = bide_rmq_admin_look(admin, queue->work, &stats.ready, &stats.workers, error);
    if (stats.ready < 0) /* a missing queue holds nothing */
        stats.ready = 0;
    stats.oldest_ready_ms = stats.ready > 0 ? BIDE_UNKNOWN_COUNT : 0;
    if (code == BIDE_OK)
        code = depth(admin, queue->landing, &stats.landing, error);
    if (code == BIDE_OK)
        code = depth(admin, queue->dead, &stats.dead, error);
    *ret_stats = stats;
    return code;
}

static bide_code rung_stats(
    struct bide_rmq_admin *admin, size_t i, struct bide_rung_stats *ret_stats, bide_error *error)
{
    const struct bide_rmq_holding_queue *queue = &admin->holding.items[i];
    struct bide_rung_stats stats = {.ms = queue->ms};
    snprintf(stats.name, sizeof stats.name, "%s", queue->name);
    bide_code code = depth(admin, stats.name, &stats.messages, error);
    *ret_stats = stats;
    return code;
}

/* What foreign producers have sent and no worker has taken is delayed, too. */
static bide_code later_stats(struct bide_rmq_admin *admin, const struct bide_rmq_queue *queue,
    struct bide_rung_stats *ret_stats, bide_error *error)
{
    struct bide_rung_stats stats = {.ms = 0};
    snprintf(stats.name, sizeof stats.name, "%s", queue->later);
    bide_code code = depth(admin, queue->later, &stats.messages, error);
    *ret_stats = stats;
    return code;
}

static bide_code fill(struct bide_rmq_admin *admin, struct bide_broker_stats *stats, bide_error *error)
{
    const struct bide_rmq_settings *settings = admin->settings;
    bide_code code = depth(admin, settings->unrouted, &stats->unrouted, error);
    for (size_t i = 0; i < settings->n_queues && code == BIDE_OK; i++) {
        code = queue_stats(admin, &settings->queues[i], &stats->queues[i], error);
        stats->n_queues++;
        stats->delayed_total += stats->queues[i].landing;
    }
    for (size_t i = 0; i < admin->holding.n && code == BIDE_OK; i++) {
        code = rung_stats(admin, i, &stats->rungs[i], error);
        stats->n_rungs++;
        stats->delayed_total += stats->rungs[i].messages;
    }
    for (size_t i = 0; i < settings->n_queues && code == BIDE_OK; i++) {
        struct bide_rung_stats *rung = &stats->rungs[stats->n_rungs++];
        code = later_stats(admin, &settings->queues[i], rung, error);
        stats->delayed_total += rung->messages;
    }
    return code;
}

bide_code bide_rmq_admin_stats(
    struct bide_admin *base, struct bide_broker_stats *ret_stats, bide_error *error)
{
    struct bide_rmq_admin *admin = (struct bide_rmq_admin *)base;
    struct bide_broker_stats stats = {
        .queues = bide_calloc(admin->settings->n_queues + 1, sizeof *stats.queues),
        .rungs = bide_calloc(admin->holding.n + admin->settings->n_queues, sizeof *stats.rungs),
    };
    bide_code code = BIDE_OK;
    if (!stats.queues || !stats.rungs)
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (code == BIDE_OK)
        code = bide_rmq_admin_ready(admin, error);
    if (code == BIDE_OK)
        code = fill(admin, &stats, error);
    if (code == BIDE_OK)
        *ret_stats = stats;
    else
        bide_broker_stats_clear(&stats);
    return code;
}
