#include "worker/settling.h"

#include "base/alloc.h"
#include "base/killpoint.h"
#include "dispatch/context.h"
#include "message/failures.h"
#include "message/trace.h"
#include "worker/on_dead.h"

/* ---- counting ---- */

static int64_t lateness_us(const struct bide_message *message, const struct bide_run *run)
{
    bool delayed = message->sent_ms > 0 && message->due_ms > message->sent_ms;
    int64_t late_us = run->started_us - message->due_ms * 1000;
    return delayed || message->attempt > 1 ? (late_us > 0 ? late_us : 0) : -1;
}

static void tell_followers(const struct bide_settling *settling, const struct bide_job *job,
    enum bide_outcome_kind kind, bool ran, int64_t late_us)
{
    const struct bide_message *message = job->delivery->message;
    struct bide_event event = {
        .time_ms = bide_wall_ms(settling->site->clock),
        .took_us = ran ? job->run.took_us : -1,
        .lateness_us = late_us,
        .attempt = message->attempt,
        .outcome = kind,
    };
    bide_event_text(event.id, sizeof event.id, message->id);
    bide_event_text(event.type, sizeof event.type, message->type);
    bide_event_text(event.queue, sizeof event.queue, message->queue);
    bide_event_text(event.error, sizeof event.error, job->run.error);
    bide_event_text(event.trace, sizeof event.trace, bide_message_header(message, "traceparent"));
    bide_ring_write(&settling->site->supervised->metrics->ring, &event);
}

/* By its handler's type; what has no handler is counted as nobody's. */
static void count(struct bide_settling *settling, const struct bide_job *job, enum bide_outcome_kind kind)
{
    bool ran = job->run.ran && kind != BIDE_COUNT_RELEASED;
    const struct bide_supervised *supervised = settling->site->supervised;
    settling->counts[kind]++;
    if (!supervised)
        return;
    struct bide_type_metrics *row = job->handler ? job->handler->metrics : &supervised->metrics->types[0];
    int64_t late_us = ran ? lateness_us(job->delivery->message, &job->run) : -1;
    bide_metrics_count(row, kind);
    if (ran)
        bide_metrics_run(row, job->run.took_us, job->run.waited_us, late_us);
    if (bide_controls_is_followed(&supervised->shared->controls))
        tell_followers(settling, job, kind, ran, late_us);
}

/* ---- handing over ---- */

void bide_settle_flush(struct bide_settling *settling)
{
    if (settling->n == 0)
        return;
    BIDE_KILL_POINT("worker/decided");
    settling->receiver->ops->settle(settling->receiver, settling->settlements, settling->n);
    BIDE_KILL_POINT("worker/handed-over");
    settling->n = 0;
}

bool bide_settled_for_good(const struct bide_settling *settling)
{
    struct bide_receiver_stats stats;
    settling->receiver->ops->stats(settling->receiver, &stats);
    return stats.unsettled == 0;
}

/* ---- the ends ---- */

static void log_end(const struct bide_job *job, enum bide_outcome_kind kind,
    const struct bide_decision *decision, const struct bide_clock *clock)
{
    const struct bide_message *message = job->delivery->message;
    const struct bide_run *run = &job->run;
    if (kind == BIDE_COUNT_DONE)
        bide_log(BIDE_LOG_DEBUG, "message done", BIDE_STR("id", message->id), BIDE_STR("type", message->type),
            BIDE_INT("attempt", message->attempt), BIDE_INT("took_us", run->took_us),
            BIDE_INT("waited_us", run->waited_us), BIDE_TRACE(message));
    else if (kind == BIDE_COUNT_RETRIED)
        bide_log(BIDE_LOG_INFO, "message will be retried", BIDE_STR("id", message->id),
            BIDE_STR("type", message->type), BIDE_INT("attempt", message->attempt),
            BIDE_INT("in_ms", decision->due_ms - bide_wall_ms(clock)), BIDE_STR("error", run->error),
            BIDE_TRACE(message));
    else if (kind == BIDE_COUNT_DEAD)
        bide_log(BIDE_LOG_WARN, "message parked", BIDE_STR("id", message->id),
            BIDE_STR("type", message->type), BIDE_INT("attempt", decision->attempt),
            BIDE_STR("reason", bide_reason_name(decision->reason)), BIDE_STR("error", run->error),
            BIDE_TRACE(message));
    else if (kind == BIDE_COUNT_DUPLICATE)
        bide_log(BIDE_LOG_DEBUG, "message had been done before", BIDE_STR("id", message->id),
            BIDE_STR("type", message->type), BIDE_INT("attempt", message->attempt), BIDE_TRACE(message));
    else if (kind == BIDE_COUNT_EXPIRED)
        bide_log(BIDE_LOG_INFO, "message expired", BIDE_STR("id", message->id),
            BIDE_STR("type", message->type), BIDE_TRACE(message));
}

/* NULL, no change, where there is no memory. */
static char *failures_with(const struct bide_message *message, const char *error, int64_t now_ms)
{
    return bide_failures_add(message->failures,
        &(struct bide_failure){.attempt = message->attempt, .at_ms = now_ms, .error = error ? error : ""});
}

void bide_settle(struct bide_settling *settling, struct bide_job *job, enum bide_outcome_kind kind,
    const struct bide_decision *decision)
{
    const struct bide_site *site = settling->site;
    bool failed = job->handler && (kind == BIDE_COUNT_RETRIED || kind == BIDE_COUNT_DEAD);
    bide_free(job->run.throttled);
    job->run.throttled = NULL;
    if (kind == BIDE_COUNT_RELEASED) /* what a run leaves that was cut short */
        bide_run_release(&job->run);
    count(settling, job, kind);
    log_end(job, kind, decision, site->clock);
    struct bide_settlement *settlement = &settling->settlements[settling->n++];
    *settlement = (struct bide_settlement){
        .delivery = job->delivery,
        .verdict = decision->verdict,
        .reason = decision->reason,
        .attempt = decision->attempt,
        .due_ms = decision->due_ms,
        .error = job->run.error,
        .sends = job->run.sends, /* none but with ACK */
        .n_sends = job->run.n_sends,
    };
    if (failed)
        settlement->failures =
            failures_with(job->delivery->message, job->run.error, bide_wall_ms(site->clock));
    if (failed && kind == BIDE_COUNT_DEAD)
        bide_tell_of_death(site->config, site->clock, job->handler, settlement);
    if (settling->n == BIDE_BATCH)
        bide_settle_flush(settling);
}
