/* dispatch/call.h: the messages of one call of handle_batch, as the handler gets them.
 *
 * A pool thread (or a sandbox child) has one and uses it for each batch. The first message has the thread's
 * own context, by which the call is cancelled; the others have contexts of the call that follow it.
 *
 * Thread-safety: its thread. Ownership: the jobs stay the caller's. */
#ifndef BIDE_DISPATCH_CALL_H
#define BIDE_DISPATCH_CALL_H

#include "dispatch/context.h"
#include "shared/apart.h"

struct bide_call {
    size_t n;
    struct bide_job **jobs;
    const struct bide_message **messages;
    struct bide_context **contexts;
    bide_outcome *outcomes;
    struct bide_context *others; /* of all but the first */
    size_t capacity;
    struct bide_apart *apart; /* where it notes what it runs, in case it ends its process; NULL: nowhere */
};

enum { BIDE_NO_OUTCOME = -1 }; /* in `outcomes`: the handler has set none */

/* The job and its mates; false without memory: then nothing has begun. */
bool bide_call_begin(struct bide_call *call, struct bide_context *first, struct bide_job *job,
    int64_t now_wall_us, int64_t now_mono_us);
/* Stores outcomes and times in the jobs' runs. Returns when the call ended (monotonic). */
int64_t bide_call_end(struct bide_call *call);
void bide_call_release(struct bide_call *call);

#endif
