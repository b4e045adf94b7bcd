#include "broker/rabbitmq/address.h"

#include <stdio.h>

#include "base/hash.h"

/* Where a rung has several shards, the id decides: so messages with the same delay spread evenly. */
static int shard_of(const struct bide_rmq_settings *settings, const struct bide_message *message)
{
    return 1 + (settings->shards > 1 ? (int)(bide_hash_text(message->id) % (uint32_t)settings->shards) : 0);
}

/* `tenths`: to the tenth of a second on the ladder. */
static void route_up(struct bide_rmq_route *route, const struct bide_rmq_settings *settings,
    const char *queue, const struct bide_message *message, bool tenths)
{
    struct bide_rmq_climb climb;
    int64_t delay_ms = message->due_ms - bide_wall_ms(settings->clock);
    route->address = (struct bide_rmq_address){settings->work_exchange, queue};
    if (delay_ms <= 0)
        return;
    bide_rmq_climb_plan(delay_ms, tenths, shard_of(settings, message), &climb);
    if (climb.first == BIDE_RMQ_RUNGS) {
        route->address.exchange = settings->landing_exchange;
        return;
    }
    snprintf(route->key, sizeof route->key, "%s%.*s", climb.path, BIDE_NAME_MAX, queue);
    route->address = (struct bide_rmq_address){settings->hold_exchange[climb.first], route->key};
}

void bide_rmq_route_due(struct bide_rmq_route *route, const struct bide_rmq_settings *settings,
    const char *queue, const struct bide_message *message)
{
    route_up(route, settings, queue, message, message->body_size > BIDE_RMQ_SMALL_BODY);
}

void bide_rmq_route_held_back(struct bide_rmq_route *route, const struct bide_rmq_settings *settings,
    const char *queue, const struct bide_message *message)
{
    route_up(route, settings, queue, message, true);
}

bool bide_rmq_route_holds(const struct bide_rmq_route *route, const struct bide_rmq_settings *settings)
{
    return *route->address.exchange && route->address.exchange != settings->work_exchange;
}

void bide_rmq_route_dead(struct bide_rmq_route *route, const struct bide_rmq_queue *queue)
{
    route->address = (struct bide_rmq_address){"", queue->dead};
}
