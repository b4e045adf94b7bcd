#include "worker/room.h"

#include <string.h>

#include "base/alloc.h"

/* While the store is away, what waits for it must not keep others out. What needs the store does not run
 * meanwhile, so there are at most as many as were in hand when it went. */
static size_t limit_of(const struct bide_passage *passage, const struct bide_prefetch *prefetch)
{
    const struct bide_clerk *clerk = passage->site.clerk;
    return prefetch->limit + (clerk && bide_clerk_is_away(clerk) ? prefetch->ended : 0);
}

/* The largest batch of the handlers whose queue it is. */
static size_t batch_of(const struct bide_config *config, const char *queue)
{
    size_t largest = 1;
    for (size_t i = 0; i < config->n_handlers; i++)
        if (config->handlers[i].batch > (int)largest && strcmp(config->handlers[i].queue, queue) == 0)
            largest = (size_t)config->handlers[i].batch;
    return largest;
}

bool bide_passage_init_prefetch(struct bide_passage *passage)
{
    const struct bide_config *config = passage->site.config;
    passage->prefetch = bide_calloc(config->n_queues, sizeof *passage->prefetch);
    for (size_t i = 0; passage->prefetch && i < config->n_queues; i++)
        bide_prefetch_init(&passage->prefetch[i], config->worker.prefetch, (size_t)config->worker.threads,
            batch_of(config, config->queues[i].name));
    return passage->prefetch != NULL;
}

void bide_passage_adapt_prefetch(struct bide_passage *passage, int64_t now_us)
{
    bool dry = bide_pool_ran_dry(passage->pool);
    bool strict = passage->site.config->worker.order == BIDE_ORDER_STRICT;
    for (size_t i = 0; i < passage->site.config->n_queues; i++) {
        bool has_more = passage->prefetch[i].reached;
        bide_prefetch_adapt(&passage->prefetch[i], dry, now_us);
        if (strict && has_more) /* what the pool lacked was this queue's: the lower ones need no more */
            dry = false;
    }
}

void bide_passage_tell_limits(struct bide_passage *passage)
{
    struct bide_receiver *receiver = passage->settling.receiver;
    for (size_t i = 0; i < passage->site.config->n_queues; i++) {
        struct bide_prefetch *prefetch = &passage->prefetch[i];
        size_t cap = passage->gates.queues[i].cap, wanted = limit_of(passage, prefetch);
        size_t limit = cap < wanted ? cap : wanted;
        if (limit != prefetch->told)
            receiver->ops->limit(receiver, i, limit);
        prefetch->told = limit;
    }
}

size_t bide_passage_patience(const struct bide_passage *passage)
{
    size_t least = BIDE_PREFETCH_MAX;
    for (size_t i = 0; i < passage->site.config->n_queues; i++)
        if (passage->prefetch[i].limit < least)
            least = passage->prefetch[i].limit;
    return least / 4;
}
