/* The courier's functions for the intake thread: handing postings over, asking about queues, taking postings
 * back. */
#include "broker/rabbitmq/courier/inside.h"

void bide_rmq_courier_hand(struct bide_rmq_courier *courier, struct bide_rmq_posting *posting)
{
    pthread_mutex_lock(&courier->lock);
    list_add(&courier->inbox, posting);
    pthread_mutex_unlock(&courier->lock);
}

void bide_rmq_courier_wake(struct bide_rmq_courier *courier)
{
    bide_wakeup_signal(&courier->wakeup);
}

bool bide_rmq_courier_has(const struct bide_rmq_courier *courier)
{
    return atomic_load(&courier->has_outbox);
}

struct bide_rmq_posting *bide_rmq_courier_take(struct bide_rmq_courier *courier)
{
    atomic_store(&courier->has_outbox, false);
    pthread_mutex_lock(&courier->lock);
    struct bide_rmq_posting *postings = list_take(&courier->outbox);
    pthread_mutex_unlock(&courier->lock);
    return postings;
}

void bide_rmq_courier_set_generation(struct bide_rmq_courier *courier, size_t channel, uint32_t generation)
{
    atomic_store(&courier->channels[channel].generation, generation);
    atomic_fetch_add(&courier->changes, 1);
}

size_t bide_rmq_courier_stuck(const struct bide_rmq_courier *courier, size_t channel)
{
    return atomic_load_explicit(&courier->channels[channel].stuck, memory_order_relaxed);
}

size_t bide_rmq_courier_all_stuck(const struct bide_rmq_courier *courier)
{
    return atomic_load_explicit(&courier->n_stuck, memory_order_relaxed);
}

size_t bide_rmq_courier_stuck_bytes(const struct bide_rmq_courier *courier)
{
    return atomic_load_explicit(&courier->stuck_bytes, memory_order_relaxed);
}

void bide_rmq_courier_look(struct bide_rmq_courier *courier, size_t channel)
{
    atomic_store(&courier->channels[channel].look, BIDE_RMQ_ASKED);
}

void bide_rmq_courier_count(struct bide_rmq_courier *courier, size_t channel)
{
    atomic_store(&courier->channels[channel].consumers, BIDE_RMQ_UNCOUNTED);
}

int64_t bide_rmq_courier_counted(const struct bide_rmq_courier *courier, size_t channel)
{
    return atomic_load(&courier->channels[channel].consumers);
}

enum bide_rmq_look bide_rmq_courier_seen(struct bide_rmq_courier *courier, size_t channel)
{
    int seen = atomic_load(&courier->channels[channel].look);
    if (seen != BIDE_RMQ_ASKED)
        atomic_store(&courier->channels[channel].look, BIDE_RMQ_NOT_ASKED);
    return (enum bide_rmq_look)seen;
}
