#include "broker/rabbitmq/courier/inside.h"

#include "broker/rabbitmq/address.h"

/* The error's text is for people, and all headers of a message must fit into one frame. */
enum { ERROR_MAX = 2000 };

static struct bide_slice slice_of(const char *text)
{
    return (struct bide_slice){text, strnlen(text, ERROR_MAX)};
}

static void error_marks(const struct bide_settlement *settlement, struct bide_rmq_marks *marks)
{
    if (settlement->error)
        marks->error = slice_of(settlement->error);
    if (settlement->failures) /* not cut: a part of it could not be read, and its writer keeps it short */
        marks->failures = (struct bide_slice){settlement->failures, strlen(settlement->failures)};
}

static void retry_marks(const struct bide_settlement *settlement, struct bide_rmq_marks *marks)
{
    marks->due_ms = settlement->due_ms;
    marks->attempt = settlement->attempt;
    error_marks(settlement, marks);
}

static void dead_marks(
    const struct bide_settlement *settlement, const struct bide_clock *clock, struct bide_rmq_marks *marks)
{
    marks->cut = (int64_t)((const struct bide_rmq_delivery *)settlement->delivery)->cut;
    marks->attempt = 0;
    marks->attempts = settlement->attempt;
    marks->died_ms = bide_wall_ms(clock);
    marks->reason = slice_of(bide_reason_name(settlement->reason));
    error_marks(settlement, marks);
    if (marks->error.size == 0 && settlement->delivery->defect_text)
        marks->error = slice_of(settlement->delivery->defect_text);
}

static bide_code put(struct bide_rmq_publisher *publisher, const struct bide_message *message,
    const struct bide_rmq_route *route, struct bide_rmq_item *item, bide_error *error)
{
    return bide_rmq_publisher_put(
        publisher, &route->address, (struct bide_slice){message->body, message->body_size}, item, error);
}

static bide_code put_send(struct bide_rmq_publisher *publisher, struct bide_rmq_item *item, bide_error *error)
{
    const struct bide_message *message = item->send;
    struct bide_rmq_marks marks;
    struct bide_rmq_route route;
    bide_rmq_marks_of_new(message, &marks);
    if (!bide_rmq_draft_new(&publisher->draft, message, &marks))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_rmq_route_due(&route, publisher->settings, message->queue, message->due_ms);
    return put(publisher, message, &route, item, error);
}

static bide_code put_again(
    struct bide_rmq_publisher *publisher, struct bide_rmq_item *item, bide_error *error)
{
    const struct bide_rmq_settings *settings = publisher->settings;
    const struct bide_rmq_delivery *delivery = item->posting->delivery;
    const struct bide_settlement *settlement = &item->posting->settlement;
    const struct bide_message *message = delivery->base.message;
    const struct bide_rmq_queue *queue = &settings->queues[delivery->base.queue];
    struct bide_rmq_marks marks;
    struct bide_rmq_route route;
    bide_rmq_marks_of(message, &marks);
    if (settlement->verdict == BIDE_VERDICT_RETRY)
        retry_marks(settlement, &marks);
    if (settlement->verdict == BIDE_VERDICT_DEAD) {
        dead_marks(settlement, settings->clock, &marks);
        bide_rmq_route_dead(&route, queue);
    } else {
        bide_rmq_route_due(&route, settings, queue->name, marks.due_ms);
    }
    if (!bide_rmq_draft_again(&publisher->draft, delivery->raw, message->id, &marks))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    return put(publisher, message, &route, item, error);
}

bide_code bide_rmq_parcel_put(
    struct bide_rmq_publisher *publisher, struct bide_rmq_item *item, bide_error *error)
{
    return item->send ? put_send(publisher, item, error) : put_again(publisher, item, error);
}
