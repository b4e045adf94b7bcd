#include "broker/rabbitmq/address.h"

#include <stdio.h>

void bide_rmq_route_due(
    struct bide_rmq_route *route, const struct bide_rmq_settings *settings, const char *queue, int64_t due_ms)
{
    struct bide_rmq_climb climb;
    int64_t delay_ms = due_ms - bide_wall_ms(settings->clock);
    route->address = (struct bide_rmq_address){settings->work_exchange, queue};
    if (delay_ms <= 0)
        return;
    bide_rmq_climb_plan(delay_ms, &climb);
    snprintf(route->key, sizeof route->key, "%s%.*s", climb.path, BIDE_NAME_MAX, queue);
    route->address.key = route->key;
    route->address.exchange = climb.first < 0 ? settings->due_exchange : settings->hold_exchange[climb.first];
}

bool bide_rmq_route_holds(const struct bide_rmq_route *route, const struct bide_rmq_settings *settings)
{
    return *route->address.exchange && route->address.exchange != settings->work_exchange;
}

void bide_rmq_route_dead(struct bide_rmq_route *route, const struct bide_rmq_queue *queue)
{
    route->address = (struct bide_rmq_address){"", queue->dead};
}
