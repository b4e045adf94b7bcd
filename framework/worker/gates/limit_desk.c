/* Permits of one key for several messages that are in hand together: one of them asks for all. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "worker/gates/limit_inside.h"

static bool is_idle(const struct limit_desk *desk)
{
    return desk->n == 0 && desk->parked == 0 && !desk->asking;
}

static void drop_first(struct limit_desk *desk)
{
    desk->first = (desk->first + 1) % LIMIT_STOCK;
    desk->n--;
}

static void drop_lapsed(struct limit_gate *gate, struct limit_desk *desk)
{
    int64_t now_us = limit_now_us(gate);
    while (desk->n > 0 && !limit_can_begin(gate, desk->permits_us[desk->first], now_us))
        drop_first(desk);
}

struct limit_desk *limit_desk_of(struct limit_gate *gate, const struct bide_limit_pass *pass)
{
    const char *name = pass->parts[0].name;
    if (!pass->handler->simple)
        return NULL;
    struct limit_desk *desk = &gate->desks[bide_hash_text(name) % LIMIT_DESKS];
    if (strcmp(desk->name, name) == 0)
        return desk;
    drop_lapsed(gate, desk);
    if (!is_idle(desk))
        return NULL;
    snprintf(desk->name, sizeof desk->name, "%s", name);
    return desk;
}

void limit_desk_put(struct limit_desk *desk, const struct bide_store_operation *permits)
{
    int64_t first_us = permits->answer.at_us + permits->answer.wait_us;
    for (int64_t i = 0; i < permits->answer.count && desk->n < LIMIT_STOCK; i++)
        desk->permits_us[(desk->first + desk->n++) % LIMIT_STOCK] = first_us + i * permits->meter.interval_us;
}

int64_t limit_desk_take(struct limit_gate *gate, struct limit_desk *desk)
{
    drop_lapsed(gate, desk);
    if (desk->n == 0)
        return 0;
    int64_t permit_us = desk->permits_us[desk->first];
    drop_first(desk);
    return permit_us;
}

void limit_desks_void(struct limit_gate *gate)
{
    for (size_t i = 0; i < LIMIT_DESKS; i++)
        gate->desks[i].n = 0;
}
