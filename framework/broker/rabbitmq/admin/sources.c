#include "broker/rabbitmq/admin/admin.h"

#include "base/alloc.h"

enum { HOLDING_QUEUES = 9 * BIDE_RMQ_RUNGS, QUEUES_EACH = 4 };

static void add(
    struct bide_rmq_sources *sources, const char *queue, const char *name, enum bide_rmq_source_kind kind)
{
    sources->items[sources->n++] = (struct bide_rmq_source){queue, name, kind};
}

static bool fill(struct bide_rmq_sources *sources, const struct bide_rmq_settings *settings)
{
    bool complete = true;
    for (size_t i = 0; i < settings->n_queues; i++)
        add(sources, settings->queues[i].dead, settings->queues[i].name, BIDE_RMQ_DEAD);
    add(sources, settings->unrouted, NULL, BIDE_RMQ_UNROUTED);
    sources->n_dead = sources->n;
    for (size_t i = 0; i < settings->n_queues; i++)
        add(sources, settings->queues[i].later, settings->queues[i].name, BIDE_RMQ_UNPLANNED);
    for (int rung = BIDE_RMQ_RUNGS - 1; rung >= 0; rung--)
        for (int digit = 9; digit >= 1; digit--) {
            const char *queue = bide_rmq_holding_name(settings, &sources->arena, rung, digit);
            complete &= queue != NULL;
            add(sources, queue, NULL, BIDE_RMQ_UNDERWAY);
        }
    for (size_t i = 0; i < settings->n_queues; i++)
        add(sources, settings->queues[i].landing, settings->queues[i].name, BIDE_RMQ_UNDERWAY);
    for (size_t i = 0; i < settings->n_queues; i++)
        add(sources, settings->queues[i].work, settings->queues[i].name, BIDE_RMQ_UNDERWAY);
    return complete;
}

bide_code bide_rmq_sources_init(
    struct bide_rmq_sources *sources, const struct bide_rmq_settings *settings, bide_error *error)
{
    size_t n = QUEUES_EACH * settings->n_queues + 1 + HOLDING_QUEUES;
    *sources = (struct bide_rmq_sources){.items = bide_calloc(n, sizeof *sources->items)};
    bide_arena_init(&sources->arena);
    if (sources->items && fill(sources, settings))
        return BIDE_OK;
    bide_rmq_sources_clear(sources);
    return bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

void bide_rmq_sources_clear(struct bide_rmq_sources *sources)
{
    bide_free(sources->items);
    bide_arena_release(&sources->arena);
    *sources = (struct bide_rmq_sources){0};
}
