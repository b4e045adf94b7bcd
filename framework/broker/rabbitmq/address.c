#include "broker/rabbitmq/address.h"

#include <stdio.h>

#include "base/hash.h"

/* Where a rung has several shards, the id decides: so messages with the same delay spread evenly. */
static int shard_of(const struct bide_rmq_settings *settings, const struct bide_message *message)
{
    return 1 + (settings->shards > 1 ? (int)(bide_hash_text(message->id) % (uint32_t)settings->shards) : 0);
}

/* Routes what is due. Returns what the key ends with, in the route's memory or the caller's. */
static const char *name_end(
    struct bide_rmq_route *route, const struct bide_rmq_settings *settings, const char *queue)
{
    if (!bide_is_topic(queue)) {
        route->address = (struct bide_rmq_address){settings->work_exchange, queue};
        return queue;
    }
    snprintf(route->end, sizeof route->end, BIDE_RMQ_TOPIC_WORD "%.*s", BIDE_TOPIC_MAX, queue + 1);
    route->address = (struct bide_rmq_address){settings->topic_exchange, route->end};
    return route->end;
}

static void add_path(struct bide_rmq_route *route, const char *path, const char *end)
{
    snprintf(route->key, sizeof route->key, "%s%.*s", path, BIDE_NAME_MAX, end);
}

/* What is for a topic, and early, has the numbers in front of it as if it came from the ladder. */
static void route_landing(
    struct bide_rmq_route *route, const struct bide_rmq_settings *settings, const char *end)
{
    if (end != route->end) {
        route->address.exchange = settings->landing_exchange;
        return;
    }
    add_path(route, "0.0.0.0.0.0.0.0.", end);
    route->address.key = route->key;
}

/* `tenths`: to the tenth of a second on the ladder. */
static void route_up(struct bide_rmq_route *route, const struct bide_rmq_settings *settings,
    const char *queue, const struct bide_message *message, bool tenths)
{
    struct bide_rmq_climb climb;
    int64_t delay_ms = message->due_ms - bide_wall_ms(settings->clock);
    const char *end = name_end(route, settings, queue);
    if (delay_ms <= 0)
        return;
    bide_rmq_climb_plan(delay_ms, tenths, shard_of(settings, message), &climb);
    if (climb.first == BIDE_RMQ_RUNGS) {
        route_landing(route, settings, end);
        return;
    }
    add_path(route, climb.path, end);
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
    const char *exchange = route->address.exchange;
    return *exchange && exchange != settings->work_exchange && route->address.key != route->end;
}

void bide_rmq_route_dead(struct bide_rmq_route *route, const struct bide_rmq_queue *queue)
{
    route->address = (struct bide_rmq_address){"", queue->dead};
}
