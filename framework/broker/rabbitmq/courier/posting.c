#include "base/alloc.h"
#include "broker/rabbitmq/courier/courier.h"

struct bide_rmq_posting *bide_rmq_posting_create(const struct bide_settlement *settlement)
{
    bool goes_on = settlement->verdict != BIDE_VERDICT_ACK; /* then the message is published too, last */
    size_t n = settlement->n_sends + goes_on;
    struct bide_rmq_posting *posting = bide_calloc(1, sizeof *posting + n * sizeof posting->items[0]);
    if (!posting)
        return NULL;
    posting->delivery = (struct bide_rmq_delivery *)settlement->delivery;
    posting->settlement = *settlement;
    posting->n_items = posting->n_open = n;
    for (size_t i = 0; i < n; i++) {
        posting->items[i].posting = posting;
        posting->items[i].send = i < settlement->n_sends ? settlement->sends[i] : NULL;
    }
    return posting;
}

void bide_rmq_posting_destroy(struct bide_rmq_posting *posting)
{
    if (!posting)
        return;
    bide_settlement_release(&posting->settlement);
    bide_rmq_delivery_destroy(posting->delivery);
    bide_free(posting);
}
