#include "dispatch/call.h"

#include "base/alloc.h"

/* Contexts that were used once keep what they have, so they are not moved: the others are allocated anew. */
static bool make_room(struct bide_call *call, size_t n)
{
    if (n <= call->capacity)
        return true;
    struct bide_apart *apart = call->apart;
    bide_call_release(call);
    call->apart = apart;
    call->jobs = bide_calloc(n, sizeof *call->jobs);
    call->messages = bide_calloc(n, sizeof *call->messages);
    call->contexts = bide_calloc(n, sizeof *call->contexts);
    call->outcomes = bide_calloc(n, sizeof *call->outcomes);
    call->others = bide_calloc(n, sizeof *call->others);
    if (call->jobs && call->messages && call->contexts && call->outcomes && call->others) {
        call->capacity = n;
        return true;
    }
    bide_call_release(call);
    call->apart = apart;
    return false;
}

void bide_call_release(struct bide_call *call)
{
    bide_free(call->jobs);
    bide_free(call->messages);
    bide_free(call->contexts);
    bide_free(call->outcomes);
    bide_free(call->others);
    *call = (struct bide_call){0};
}

static void add(struct bide_call *call, struct bide_context *context, struct bide_job *job)
{
    size_t i = call->n++;
    call->jobs[i] = job;
    call->messages[i] = job->delivery->message;
    call->contexts[i] = context;
    call->outcomes[i] = (bide_outcome)BIDE_NO_OUTCOME;
}

bool bide_call_begin(struct bide_call *call, struct bide_context *first, struct bide_job *job,
    int64_t now_wall_us, int64_t now_mono_us)
{
    if (!make_room(call, job->mates.n + 1))
        return false;
    call->n = 0;
    bide_context_begin(first, job, now_wall_us, now_mono_us);
    add(call, first, job);
    for (struct bide_job *mate = job->mates.first; mate; mate = mate->next) {
        struct bide_context *context = &call->others[call->n];
        bide_context_init(context, first->clock);
        bide_context_begin(context, mate, now_wall_us, now_mono_us);
        context->first = first;
        add(call, context, mate);
    }
    return true;
}

int64_t bide_call_end(struct bide_call *call)
{
    int64_t ended_us = 0;
    for (size_t i = 0; i < call->n; i++) {
        bide_outcome outcome = call->outcomes[i];
        if ((int)outcome == BIDE_NO_OUTCOME)
            outcome = bide_retry(call->contexts[i], BIDE_BY_POLICY,
                "the handler gave no outcome for this message of its batch");
        ended_us = bide_context_end(call->contexts[i], call->jobs[i], outcome);
    }
    return ended_us;
}
