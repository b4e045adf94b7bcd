#include "base/alloc.h"
#include "broker/rabbitmq/courier/courier.h"

struct bide_rmq_job *bide_rmq_job_create(const struct bide_settlement *settlement)
{
    bool goes_on = settlement->verdict != BIDE_VERDICT_ACK; /* the message itself is published, too: last */
    size_t n = settlement->n_sends + goes_on;
    struct bide_rmq_job *job = bide_calloc(1, sizeof *job + n * sizeof job->items[0]);
    if (!job)
        return NULL;
    job->delivery = (struct bide_rmq_delivery *)settlement->delivery;
    job->settlement = *settlement;
    job->n_items = job->n_open = n;
    for (size_t i = 0; i < n; i++) {
        job->items[i].job = job;
        job->items[i].send = i < settlement->n_sends ? settlement->sends[i] : NULL;
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
