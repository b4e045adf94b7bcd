#include "worker/room.h"

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
        size_t cap = passage->gates.queues[i].cap, limit = cap < prefetch->limit ? cap : prefetch->limit;
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
