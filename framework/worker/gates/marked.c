/* Messages that were cancelled by id where the broker cannot search its queues (RabbitMQ): is there a mark
 * against this one in the store? (keys/mark.h) Those that were sent to run at once are not looked for. */
#include <stdio.h>

#include "keys/mark.h"
#include "worker/gates/gate.h"

static bool serves(const struct bide_site *site, const struct bide_handler *handler)
{
    return handler && site->marks;
}

static enum bide_gate_says ask(struct bide_gate *base, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct bide_clerk *clerk = base->site->clerk;
    struct bide_errand *errand = bide_clerk_is_away(clerk) ? NULL : bide_clerk_errand(clerk);
    if (!errand)
        return bide_gate_hold_for_store(base->site, answer);
    bide_errand_add(errand, BIDE_STORE_GET, BIDE_MARKS, job->delivery->message->id);
    errand->letter.lax = true;
    answer->errand = errand;
    return BIDE_GATE_WAIT;
}

/* The mark need not last long any more. Nobody waits for that; where it fails, it lasts. */
static void note_met(struct bide_gate *base, const char *id, int64_t marked_ms)
{
    struct bide_errand *errand = bide_clerk_errand(base->site->clerk);
    if (!errand)
        return;
    snprintf(errand->key, sizeof errand->key, "%s", id);
    bide_mark_write(
        errand->key, BIDE_MARK_MET, marked_ms, errand->holder, bide_errand_add(errand, 0, NULL, NULL));
    bide_clerk_hand(base->site->clerk, errand);
}

static enum bide_gate_says judge(
    struct bide_gate *base, const struct bide_job *job, struct bide_gate_answer *answer)
{
    const struct bide_message *message = job->delivery->message;
    const struct bide_errand *errand = job->errand;
    int64_t marked_ms;
    if (errand->letter.code != BIDE_OK && errand->letter.code != BIDE_E_DATA)
        return bide_gate_hold_for_store(base->site, answer);
    enum bide_mark mark = bide_mark_read(&errand->operations[0].answer, &marked_ms);
    if (mark == BIDE_MARK_NONE || message->sent_ms > marked_ms)
        return BIDE_GATE_PASS;
    if (mark == BIDE_MARK_SET)
        note_met(base, message->id, marked_ms);
    return bide_gate_drop(job, BIDE_COUNT_CANCELLED, answer);
}

static enum bide_gate_says look(struct bide_gate *base, struct bide_job *job, struct bide_gate_answer *answer)
{
    if (!bide_mark_may_be(job->delivery->message))
        return BIDE_GATE_PASS;
    return job->errand ? judge(base, job, answer) : ask(base, job, answer);
}

const struct bide_gate_kind bide_gate_marked = {
    .size = sizeof(struct bide_gate), .serves = serves, .look = look};
