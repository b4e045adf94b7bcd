/* worker/room.h: how much of each queue a worker wants in hand (prefetch.h), and what the gates want less.
 * For passage.c.
 *
 * Thread-safety: the intake thread's. */
#ifndef BIDE_WORKER_ROOM_H
#define BIDE_WORKER_ROOM_H

#include "worker/passage.h"

/* Enough for the handlers' batches, too. False without memory. */
bool bide_passage_init_prefetch(struct bide_passage *passage);
/* Asks whether the pool ran dry, once. */
void bide_passage_adapt_prefetch(struct bide_passage *passage, int64_t now_us);
/* The receiver is told what has changed. */
void bide_passage_tell_limits(struct bide_passage *passage);
/* How many acknowledgements the broker can wait for a moment without holding messages back for them. */
size_t bide_passage_patience(const struct bide_passage *passage);

#endif
