#include "worker/intake.h"

enum { ASK_POOL_US = 20 * 1000 };

void bide_intake_count_handlers(struct bide_intake *intake)
{
    struct bide_handlers *handlers = intake->handlers;
    bide_metrics_type(intake->metrics, NULL);
    for (size_t i = 0; i < handlers->n; i++) {
        struct bide_handler *handler = &handlers->rows[i];
        handler->metrics = bide_metrics_type(intake->metrics, handler->config->type);
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

static void measure_receiver(struct bide_intake *intake)
{
    struct bide_metrics *metrics = intake->metrics;
    struct bide_receiver_stats stats;
    intake->receiver->ops->stats(intake->receiver, &stats);
    set(&metrics->connected, stats.connected);
    count_up(&metrics->received, &intake->measured.received, intake->counts.received);
    count_up(&metrics->reconnects, &intake->measured.reconnects, stats.reconnects);
    count_up(&metrics->lost, &intake->measured.lost, stats.lost);
}

/* With something in the pool the intake looks again within a tenth of a second: what is skipped here is made
 * up for. */
static void measure_pool(struct bide_intake *intake, int64_t now_us)
{
    struct bide_pool_stats stats = {0};
    if (intake->out > 0 && now_us - intake->measured_us < ASK_POOL_US)
        return;
    intake->measured_us = now_us;
    if (intake->out > 0)
        bide_pool_stats(intake->pool, &stats);
    set(&intake->metrics->landing, stats.landing);
}

void bide_intake_measure(struct bide_intake *intake, int64_t now_us)
{
    struct bide_metrics *metrics = intake->metrics;
    if (!metrics)
        return;
    const struct bide_quarantine *quarantine = &intake->quarantine;
    set(&metrics->state, intake->stage == BIDE_INTAKE_SERVING ? BIDE_PROCESS_SERVING : BIDE_PROCESS_DRAINING);
    set(&metrics->in_flight, intake->out + quarantine->waiting.n + quarantine->held.n);
    measure_receiver(intake);
    measure_pool(intake, now_us);
}

static int64_t lateness_us(const struct bide_message *message, const struct bide_run *run)
{
    bool delayed = message->sent_ms > 0 && message->due_ms > message->sent_ms;
    int64_t late_us = run->started_us - message->due_ms * 1000;
    return delayed || message->attempt > 1 ? (late_us > 0 ? late_us : 0) : -1;
}

static void tell_followers(struct bide_intake *intake, const struct bide_message *message,
    enum bide_outcome_kind kind, const struct bide_run *run, int64_t late_us, const char *error)
{
    struct bide_event event = {
        .time_ms = bide_wall_ms(intake->clock),
        .took_us = run ? run->took_us : -1,
        .lateness_us = late_us,
        .attempt = message->attempt,
        .outcome = kind,
    };
    bide_event_text(event.id, sizeof event.id, message->id);
    bide_event_text(event.type, sizeof event.type, message->type);
    bide_event_text(event.queue, sizeof event.queue, message->queue);
    bide_event_text(event.error, sizeof event.error, error);
    bide_event_text(event.trace, sizeof event.trace, bide_message_header(message, "traceparent"));
    bide_ring_write(&intake->metrics->ring, &event);
}

void bide_intake_count(struct bide_intake *intake, const struct bide_message *message,
    const struct bide_handler *handler, enum bide_outcome_kind kind, const struct bide_run *run,
    const char *error)
{
    intake->counts.by_kind[kind]++;
    if (!intake->metrics)
        return;
    struct bide_type_metrics *row = handler ? handler->metrics : &intake->metrics->types[0];
    int64_t late_us = run ? lateness_us(message, run) : -1;
    bide_metrics_count(row, kind);
    if (run)
        bide_metrics_run(row, run->took_us, run->waited_us, late_us);
    if (bide_controls_is_followed(&intake->supervised->shared->controls))
        tell_followers(intake, message, kind, run, late_us, error);
}
