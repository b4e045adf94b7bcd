#include "base/alloc.h"
#include "broker/rabbitmq/courier/courier.h"

struct bide_rmq_job *bide_rmq_job_create(const struct bide_settlement *settlement)
{
    bool has_sends = settlement->verdict == BIDE_VERDICT_ACK;
    size_t n = has_sends ? settlement->n_sends : 1;
    struct bide_rmq_job *job = bide_calloc(1, sizeof *job + n * sizeof job->items[0]);
    if (!job)
        return NULL;
    job->delivery = (struct bide_rmq_delivery *)settlement->delivery;
    job->settlement = *settlement;
    job->n_items = job->n_open = n;
    for (size_t i = 0; i < n; i++) {
        job->items[i].job = job;
        job->items[i].send = has_sends ? settlement->sends[i] : NULL;
    }
    return job;
}

void bide_rmq_job_destroy(struct bide_rmq_job *job)
{
    if (!job)
        return;
    bide_settlement_release(&job->settlement);
    bide_rmq_delivery_destroy(job->delivery);
    bide_free(job);
}
