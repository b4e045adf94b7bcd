/* What `bide move` has to know of both ends. */
#include <string.h>

#include "base/alloc.h"
#include "cli/commands/move.h"

bide_code bide_cli_names_add(struct bide_cli_names *names, const char *name, bide_error *error)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->items[i], name) == 0)
            return BIDE_OK;
    char **items = bide_realloc(names->items, (names->n + 1) * sizeof *items);
    if (items)
        names->items = items;
    if (!items || !(items[names->n] = bide_strdup(name)))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    names->n++;
    return BIDE_OK;
}

void bide_cli_names_clear(struct bide_cli_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        bide_free(names->items[i]);
    bide_free(names->items);
    *names = (struct bide_cli_names){0};
}

static uint64_t counted(int64_t count)
{
    return count > 0 ? (uint64_t)count : 0;
}

uint64_t bide_cli_backlog(const struct bide_broker_stats *stats, const char *queue)
{
    uint64_t total = queue ? 0 : counted(stats->delayed_total) + counted(stats->unrouted);
    for (size_t i = 0; i < stats->n_queues; i++) {
        const struct bide_queue_stats *row = &stats->queues[i];
        if (queue && strcmp(queue, row->name) != 0)
            continue;
        if (queue && row->delayed == BIDE_UNKNOWN_COUNT)
            return 0;
        total += counted(row->ready) + counted(row->dead) + (queue ? counted(row->delayed) : 0);
    }
    return total;
}
