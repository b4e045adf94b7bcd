/* Messages with a unique key: may this copy run, or does a newer one stand in for it? (docs/unique.md)
 *
 *   look     the copy takes its slot from "waiting" to "running"
 *   commit   before the end is settled, and after what the run sent is in the broker: the key is free, or
 *            the message waits again. Also of what never came past the gate (an unknown type)
 *
 * Both begin with a guess that is right for most messages, so that one letter does. Else the answer says what
 * the slot is, and the step is taken again. A slot that cannot be read, or is missing, means: run. */

#include "base/alloc.h"
#include "base/killpoint.h"
#include "keys/view.h"
#include "worker/gates/gate.h"

/* What an errand's letter needs beside it. */
struct step {
    struct bide_key_view view;
    struct bide_key_slot next;
    bool asks; /* the letter only looks */
    char text[BIDE_KEY_TEXT];
};

struct unique_gate {
    struct bide_gate gate;
    bool complained; /* that there is no store */
};

static const struct bide_message *message_of(const struct bide_job *job)
{
    return job->delivery->message;
}

static enum bide_key_end end_of(const struct bide_gate_end *end)
{
    switch (end->decision.verdict) {
    case BIDE_VERDICT_DEAD:
        return BIDE_KEY_END_DEAD;
    case BIDE_VERDICT_RETRY:
    case BIDE_VERDICT_RELEASE: /* its run was cut short: it is handed out again, due as it was */
        return BIDE_KEY_END_RETRY;
    default:
        return BIDE_KEY_END_DONE;
    }
}

static int64_t due_again_ms(const struct bide_job *job, const struct bide_gate_end *end)
{
    return end->decision.verdict == BIDE_VERDICT_RELEASE ? message_of(job)->due_ms : end->decision.due_ms;
}

/* ---- letters ---- */

/* end: NULL while it looks. What the slot in the view says to this step. */
static enum bide_key_says judge(
    struct step *step, const struct bide_job *job, const struct bide_gate_end *end)
{
    const struct bide_key_slot *slot = &step->view.slot;
    if (!end)
        return bide_key_look(slot, message_of(job), &step->next);
    if (end->kind == BIDE_COUNT_CANCELLED) /* by its id: a gate before this one has met the mark */
        return bide_key_removed(slot, message_of(job), &step->next);
    return bide_key_end(slot, message_of(job), end_of(end), due_again_ms(job, end), &step->next);
}

static struct bide_store_operation *operation_of(struct bide_errand *errand)
{
    errand->letter.n = 1;
    return &errand->operations[0];
}

static void write_turn(struct bide_gate *base, struct bide_job *job, struct bide_errand *errand)
{
    struct step *step = errand->memory;
    step->asks = false;
    bide_key_turn(&step->view, &step->next, message_of(job)->unique, bide_wall_ms(base->site->clock),
        step->text, operation_of(errand));
}

static struct bide_errand *first_letter(
    struct bide_gate *base, struct bide_job *job, const struct bide_gate_end *end)
{
    struct bide_errand *errand = bide_clerk_errand(base->site->clerk);
    struct step *step = errand ? bide_malloc(sizeof *step) : NULL;
    if (!step) {
        if (errand)
            bide_clerk_free(base->site->clerk, errand);
        return NULL;
    }
    errand->memory = step;
    if (bide_key_view_guess(message_of(job), end && job->run.ran, &step->view) &&
        judge(step, job, end) == BIDE_KEY_WRITE) {
        write_turn(base, job, errand);
        return errand;
    }
    step->asks = true;
    *operation_of(errand) = (struct bide_store_operation){
        .kind = BIDE_STORE_GET, .scope = BIDE_KEYS, .key = message_of(job)->unique};
    return errand;
}

/* The answer to the last letter. WRITE: the errand, taken out of the job, has the next one. */
static enum bide_key_says go_on(struct bide_gate *base, struct bide_job *job, const struct bide_gate_end *end,
    struct bide_errand **ret_next)
{
    struct bide_errand *errand = job->errand;
    struct step *step = errand->memory;
    const struct bide_store_answer *answer = &errand->operations[0].answer;
    if (errand->letter.code != BIDE_OK || (!step->asks && answer->ok) ||
        !bide_key_view_read(answer, &step->view))
        return BIDE_KEY_GO_ON;
    enum bide_key_says says = judge(step, job, end);
    if (says != BIDE_KEY_WRITE)
        return says;
    job->errand = NULL;
    *ret_next = bide_errand_again(errand);
    write_turn(base, job, errand);
    return says;
}

/* ---- before the run ---- */

/* After a power cut the message is handed out again, and finds the slot as it was. */
static enum bide_gate_says wait_for(struct bide_errand *errand, struct bide_gate_answer *answer)
{
    errand->letter.lax = true;
    answer->errand = errand;
    return BIDE_GATE_WAIT;
}

static enum bide_gate_says ask(struct bide_gate *base, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct bide_clerk *clerk = base->site->clerk;
    if (!clerk)
        return bide_gate_lacks_store(
            "messages with a unique key need a store, and the configuration names none: they "
            "go back to the broker (docs/unique.md)",
            base->site, &((struct unique_gate *)base)->complained, answer);
    struct bide_errand *errand = bide_clerk_is_away(clerk) ? NULL : first_letter(base, job, NULL);
    return errand ? wait_for(errand, answer) : bide_gate_hold_for_store(base->site, answer);
}

/* Of what another moved to a later time, exactly until then. */
static enum bide_gate_says hold_until_due(
    struct bide_gate *base, const struct bide_job *job, struct bide_gate_answer *answer)
{
    const struct step *step = job->errand->memory;
    int64_t left_ms = step->view.slot.not_before_ms - bide_wall_ms(base->site->clock);
    answer->hold_ms = left_ms > 1 ? left_ms : 1;
    return BIDE_GATE_HOLD;
}

static enum bide_gate_says look(struct bide_gate *base, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct bide_errand *next = NULL;
    if (!*message_of(job)->generation)
        return BIDE_GATE_PASS;
    if (!job->errand)
        return ask(base, job, answer);
    if (job->errand->letter.code != BIDE_OK && job->errand->letter.code != BIDE_E_DATA)
        return bide_gate_hold_for_store(base->site, answer);
    switch (go_on(base, job, NULL, &next)) {
    case BIDE_KEY_WRITE:
        return wait_for(next, answer);
    case BIDE_KEY_LATER:
        return hold_until_due(base, job, answer);
    case BIDE_KEY_SUPERSEDED:
        return bide_gate_drop(job, BIDE_COUNT_SUPERSEDED, answer);
    case BIDE_KEY_CANCELLED:
        return bide_gate_drop(job, BIDE_COUNT_CANCELLED, answer);
    default:
        BIDE_KILL_POINT("worker/key-runs");
        return BIDE_GATE_PASS;
    }
}

/* ---- after it ---- */

static struct bide_errand *ended(const struct bide_site *site, struct bide_job *job,
    const struct bide_gate_end *end, struct bide_errand *errand)
{
    if (errand) {
        errand->must = true;
        errand->letter.lax = site->is_store; /* on disk before the settlement */
        errand->sends = end->decision.verdict == BIDE_VERDICT_ACK && job->run.n_sends > 0;
    }
    return errand;
}

static struct bide_errand *commit(struct bide_gate *base, struct bide_job *job, struct bide_gate_end *end)
{
    struct bide_errand *next = NULL;
    if (!*message_of(job)->generation || !base->site->clerk || end->kind == BIDE_COUNT_SUPERSEDED)
        return NULL;
    if (!job->errand) {
        BIDE_KILL_POINT("worker/key-ran");
        return ended(base->site, job, end, first_letter(base, job, end));
    }
    if (go_on(base, job, end, &next) != BIDE_KEY_WRITE)
        BIDE_KILL_POINT("worker/key-freed");
    return ended(base->site, job, end, next);
}

const struct bide_gate_kind bide_gate_unique = {
    .size = sizeof(struct unique_gate), .look = look, .commit = commit};
