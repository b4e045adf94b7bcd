/* The first gate: what this worker has run to its end already is done; what no handler can be found for, or
 * could run, is dead at once. */
#include "base/alloc.h"
#include "worker/gates/gate.h"

static enum bide_gate_says refuse(
    struct bide_job *job, enum bide_reason reason, char *text, struct bide_gate_answer *answer)
{
    job->handler = NULL; /* it never meets it: no failure of its, and nobody is told of the death */
    job->run.error = text;
    answer->decision = (struct bide_decision){
        .verdict = BIDE_VERDICT_DEAD,
        .reason = reason,
        .attempt = job->delivery->message->attempt - 1, /* none of them was this one */
    };
    return BIDE_GATE_SETTLE;
}

static enum bide_gate_says look(struct bide_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    const struct bide_delivery *delivery = job->delivery;
    enum bide_reason defect = delivery->defect;
    const char *type = delivery->message->type;
    (void)gate;
    if (delivery->is_done) {
        answer->decision = (struct bide_decision){.verdict = BIDE_VERDICT_ACK};
        answer->kind = BIDE_COUNT_DUPLICATE;
        return BIDE_GATE_SETTLE;
    }
    if (defect != BIDE_REASON_NONE)
        return refuse(job, defect,
            bide_strdup(delivery->defect_text ? delivery->defect_text : bide_reason_name(defect)), answer);
    if (!*type)
        return refuse(job, BIDE_REASON_NO_TYPE, bide_strdup("the message has no type"), answer);
    if (!job->handler)
        return refuse(job, BIDE_REASON_UNKNOWN_TYPE,
            bide_asprintf("no handler is configured for type '%s'", type), answer);
    return BIDE_GATE_PASS;
}

const struct bide_gate_kind bide_gate_fit = {.size = sizeof(struct bide_gate), .look = look};
