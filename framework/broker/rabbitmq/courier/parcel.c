#include "broker/rabbitmq/courier/inside.h"

#include "broker/rabbitmq/address.h"

static bide_code put(struct bide_rmq_publisher *publisher, const struct bide_message *message,
    const struct bide_rmq_route *route, struct bide_rmq_item *item, bide_error *error)
{
    return bide_rmq_publisher_put(
        publisher, &route->address, (struct bide_slice){message->body, message->body_size}, item, error);
}

static bide_code put_send(struct bide_rmq_publisher *publisher, struct bide_rmq_item *item, bide_error *error)
{
    const struct bide_message *message = item->send;
    struct bide_rmq_route route;
    if (!bide_rmq_draft_new(&publisher->draft, message, NULL))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_rmq_route_due(&route, publisher->settings, message->queue, message);
    return put(publisher, message, &route, item, error);
}

/* A run burns an attempt, unless it counts for nothing. */
static bool is_held_back(const struct bide_settlement *settlement)
{
    return settlement->verdict == BIDE_VERDICT_RETRY &&
           settlement->attempt == settlement->delivery->message->attempt;
}

static bide_code put_again(
    struct bide_rmq_publisher *publisher, struct bide_rmq_item *item, bide_error *error)
{
    const struct bide_rmq_settings *settings = publisher->settings;
    const struct bide_rmq_delivery *delivery = item->posting->delivery;
    const struct bide_settlement *settlement = &item->posting->settlement;
    const struct bide_rmq_queue *queue = &settings->queues[delivery->base.queue];
    const char *reason = bide_reason_name(settlement->reason);
    bool is_dead = settlement->verdict == BIDE_VERDICT_DEAD;
    const struct bide_rmq_death death = {.died_ms = is_dead ? bide_wall_ms(settings->clock) : 0,
        .cut = (int64_t)delivery->cut,
        .reason = {reason, strlen(reason)}};
    struct bide_message message;
    struct bide_rmq_route route;
    bide_settlement_apply(settlement, &message);
    if (is_dead)
        bide_rmq_route_dead(&route, queue);
    else
        (is_held_back(settlement) ? bide_rmq_route_held_back : bide_rmq_route_due)(
            &route, settings, queue->name, &message);
    if (!bide_rmq_draft_again(&publisher->draft, delivery->raw, &message, is_dead ? &death : NULL,
            bide_rmq_route_holds(&route, settings)))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    return put(publisher, &message, &route, item, error);
}

bide_code bide_rmq_parcel_put(
    struct bide_rmq_publisher *publisher, struct bide_rmq_item *item, bide_error *error)
{
    return item->send ? put_send(publisher, item, error) : put_again(publisher, item, error);
}
