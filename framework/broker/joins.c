#include "broker/joins.h"

#include <string.h>

#include "base/alloc.h"

static bool has(char *const *joins, const char *name)
{
    for (; *joins; joins++)
        if (strcmp(*joins, name) == 0)
            return true;
    return false;
}

/* False: there is no memory. */
static bool add(char **joins, size_t *n, const char *name)
{
    if (!bide_queue_topic(name) || has(joins, name))
        return true;
    joins[*n] = bide_strdup(name);
    return joins[(*n)++] != NULL;
}

char **bide_joins(const struct bide_broker_options *options)
{
    char **joins = bide_calloc(options->n_queues + options->n_subscriptions + 1, sizeof *joins);
    bool complete = joins != NULL;
    size_t n = 0;
    for (size_t i = 0; complete && i < options->n_queues; i++)
        complete = add(joins, &n, options->queues[i]);
    for (size_t i = 0; complete && i < options->n_subscriptions; i++)
        complete = add(joins, &n, options->subscriptions[i]);
    if (complete)
        return joins;
    bide_joins_free(joins);
    return NULL;
}

void bide_joins_free(char **joins)
{
    for (char **join = joins; join && *join; join++)
        bide_free(*join);
    bide_free(joins);
}
