#include "broker/rabbitmq/admin/admin.h"

#include "base/alloc.h"

enum { QUEUES_EACH = 4 };

static void add(
    struct bide_rmq_sources *sources, const char *queue, const char *name, enum bide_rmq_source_kind kind)
{
    sources->items[sources->n++] = (struct bide_rmq_source){queue, name, kind};
}

static void fill(struct bide_rmq_sources *sources, const struct bide_rmq_settings *settings,
    const struct bide_rmq_holding *holding)
{
    for (size_t i = 0; i < settings->n_queues; i++)
        add(sources, settings->queues[i].dead, settings->queues[i].name, BIDE_RMQ_DEAD);
    add(sources, settings->unrouted, NULL, BIDE_RMQ_UNROUTED);
    sources->n_dead = sources->n;
    for (size_t i = 0; i < settings->n_queues; i++)
        add(sources, settings->queues[i].later, settings->queues[i].name, BIDE_RMQ_UNPLANNED);
    for (size_t i = holding->n; i-- > 0;)
        add(sources, holding->items[i].name, NULL, BIDE_RMQ_UNDERWAY);
    for (size_t i = 0; i < settings->n_queues; i++)
        add(sources, settings->queues[i].landing, settings->queues[i].name, BIDE_RMQ_UNDERWAY);
    for (size_t i = 0; i < settings->n_queues; i++)
        add(sources, settings->queues[i].work, settings->queues[i].name, BIDE_RMQ_UNDERWAY);
}

bide_code bide_rmq_sources_init(struct bide_rmq_sources *sources, const struct bide_rmq_settings *settings,
    const struct bide_rmq_holding *holding, bide_error *error)
{
    size_t n = QUEUES_EACH * settings->n_queues + 1 + holding->n;
    *sources = (struct bide_rmq_sources){.items = bide_calloc(n, sizeof *sources->items)};
    if (!sources->items)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    fill(sources, settings, holding);
    return BIDE_OK;
}

void bide_rmq_sources_clear(struct bide_rmq_sources *sources)
{
    bide_free(sources->items);
    *sources = (struct bide_rmq_sources){0};
}
