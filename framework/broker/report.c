#include "broker/report.h"

#include "base/json.h"
#include "base/visible.h"
#include "message/envelope.h"
#include "message/failures.h"

static void json_queues(struct bide_buffer *to, const struct bide_broker_stats *stats)
{
    bide_json_name(to, "queues");
    bide_buffer_char(to, '[');
    for (size_t i = 0; i < stats->n_queues; i++) {
        const struct bide_queue_stats *queue = &stats->queues[i];
        bide_json_name(to, NULL);
        bide_buffer_char(to, '{');
        bide_json_text(to, "name", queue->name);
        bide_json_count(to, "ready", queue->ready);
        bide_json_count(to, "delayed", queue->delayed);
        bide_json_count(to, "in_flight", queue->in_flight);
        bide_json_count(to, "dead", queue->dead);
        bide_json_count(to, "cancelled", queue->cancelled);
        bide_json_count(to, "oldest_ready_ms", queue->oldest_ready_ms);
        bide_json_count(to, "workers", queue->workers);
        if (queue->landing != BIDE_UNKNOWN_COUNT)
            bide_json_count(to, "landing", queue->landing);
        bide_buffer_char(to, '}');
    }
    bide_buffer_char(to, ']');
}

static void json_rungs(struct bide_buffer *to, const struct bide_broker_stats *stats)
{
    bide_json_name(to, "rungs");
    bide_buffer_char(to, '[');
    for (size_t i = 0; i < stats->n_rungs; i++) {
        bide_json_name(to, NULL);
        bide_buffer_char(to, '{');
        bide_json_text(to, "name", stats->rungs[i].name);
        bide_json_int(to, "ms", stats->rungs[i].ms);
        bide_json_count(to, "messages", stats->rungs[i].messages);
        bide_buffer_char(to, '}');
    }
    bide_buffer_char(to, ']');
}

static void json_workers(struct bide_buffer *to, const struct bide_broker_stats *stats)
{
    bide_json_name(to, "workers");
    bide_buffer_char(to, '[');
    for (size_t i = 0; i < stats->n_workers; i++) {
        const struct bide_worker_stats *worker = &stats->workers[i];
        bide_json_name(to, NULL);
        bide_buffer_char(to, '{');
        bide_json_text(to, "name", worker->name);
        bide_json_count(to, "in_flight", worker->in_flight);
        bide_json_count(to, "seen_ms", worker->seen_ms > 0 ? worker->seen_ms : BIDE_UNKNOWN_COUNT);
        bide_buffer_char(to, '}');
    }
    bide_buffer_char(to, ']');
}

void bide_report_stats(struct bide_buffer *to, const struct bide_broker_stats *stats, const char *broker_url,
    const char *name_space)
{
    json_queues(to, stats);
    bide_json_count(to, "delayed_total", stats->delayed_total);
    bide_json_count(to, "unrouted", stats->unrouted);
    json_rungs(to, stats);
    json_workers(to, stats);
    bide_json_text(to, "broker", broker_url);
    bide_json_text(to, "namespace", name_space);
}

void bide_report_dead(struct bide_buffer *to, const struct bide_dead_letter *letter)
{
    const struct bide_message *message = letter->message;
    bide_json_text(to, "id", message->id);
    bide_json_text(to, "type", message->type);
    bide_json_text(to, "queue", message->queue);
    bide_json_text(to, "reason", bide_reason_name(letter->reason));
    bide_json_text(to, "error", message->error);
    bide_json_int(to, "attempts", message->attempt);
    bide_json_int(to, "died_ms", letter->died_ms);
    bide_json_int(to, "sent_ms", message->sent_ms);
}

/* from: where the object's members begin. */
static void add_whole(struct bide_buffer *to, const struct bide_message *message, size_t from)
{
    bide_json_count(to, "expires_ms", message->expires_ms ? message->expires_ms : -1);
    bide_json_name(to, "failures");
    bide_failures_write(to, message->failures);
    bide_json_name(to, NULL);
    bide_envelope_add_content(to, message);
    bide_visible_json(to, from); /* a body that is JSON stands there as it came */
}

void bide_report_dead_whole(struct bide_buffer *to, const struct bide_dead_letter *letter)
{
    size_t from = to->size;
    bide_report_dead(to, letter);
    bide_json_int(to, "due_ms", letter->message->due_ms);
    add_whole(to, letter->message, from);
}

void bide_report_found(struct bide_buffer *to, const bide_found *found)
{
    const struct bide_message *message = found->message;
    bide_json_text(to, "id", message->id);
    bide_json_text(to, "type", message->type);
    bide_json_text(to, "queue", message->queue);
    bide_json_text(to, "state", bide_message_state_name(found->state));
    bide_json_int(to, "attempt", message->attempt);
    bide_json_int(to, "due_ms", message->due_ms);
    bide_json_int(to, "sent_ms", message->sent_ms);
    bide_json_int(to, "body_bytes", (int64_t)found->body_size);
    bide_json_text(to, "error", message->error);
    if (found->state == BIDE_STATE_RUNNING) {
        bide_json_text(to, "worker", found->worker);
        bide_json_count(to, "since_ms", found->since_ms ? found->since_ms : BIDE_UNKNOWN_COUNT);
    }
    if (found->state == BIDE_STATE_DEAD) {
        bide_json_text(to, "reason", found->reason);
        bide_json_int(to, "died_ms", found->since_ms);
    }
}

void bide_report_found_whole(struct bide_buffer *to, const bide_found *found)
{
    size_t from = to->size;
    bide_report_found(to, found);
    add_whole(to, found->message, from);
}
