/* worker/settling.h: how a delivery ends: counted, told to those who follow, and settled in the broker.
 *
 * Settlements are gathered and handed to the receiver in batches. To settle takes over the job's delivery and
 * what its run carries; the job itself stays the caller's.
 *
 * Thread-safety: the intake thread's. */
#ifndef BIDE_WORKER_SETTLING_H
#define BIDE_WORKER_SETTLING_H

#include "worker/gates/gate.h"

enum { BIDE_BATCH = 512 };

struct bide_settling {
    const struct bide_site *site;
    struct bide_receiver *receiver;
    uint64_t counts[BIDE_COUNTS];                   /* by enum bide_outcome_kind */
    struct bide_settlement settlements[BIDE_BATCH]; /* not yet handed over */
    size_t n;
};

/* The job's delivery ends as decided, and is counted as one of this kind. A decision that is no retry's needs
 * no due time. */
void bide_settle(struct bide_settling *settling, struct bide_job *job, enum bide_outcome_kind kind,
    const struct bide_decision *decision);

/* Hands over what has been gathered. */
void bide_settle_flush(struct bide_settling *settling);
/* Is all that was settled final in the broker? */
bool bide_settled_for_good(const struct bide_settling *settling);

#endif
