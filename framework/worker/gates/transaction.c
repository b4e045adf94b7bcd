/* Messages that ask what became of a transaction (docs/transactions.md).
 *
 *   look     what does the store have of the transaction? Where it has ended, the message is acknowledged
 *            without a run. Where it is decided and its sender has died, this worker takes over and sends.
 *            Else the handler is asked
 *   report   of asking, the transaction's own terms say how often and how far apart, not the retry policy
 *   commit   the handler's answer is the decision, unless another was faster; a commit is sent before the
 *            message is settled. Where the broker refuses it for good, the asking message is dead. The last
 *            gate that commits, but for the stream's
 *
 * Where the store has another decision than this end would need, the message goes back to the broker, and
 * `look` sees it anew. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/killpoint.h"
#include "bide/log.h"
#include "dispatch/context.h"
#include "message/asking.h"
#include "transactions/transaction.h"
#include "worker/gates/gate.h"

enum { HELD_WITHOUT_STORE_MS = 10 * 1000, LEASE_MS = 20 * 1000, SOON_MS = 1000 };

/* bide_job.transaction: what is under way. */
enum { NOTHING, TAKING_OVER, DECIDING, SENDING, ABORTING, BURYING };

struct transaction_gate {
    struct bide_gate gate;
    bool complained;
};

/* What the operations of an errand name: the transaction in `key`; two claims in `holder`. */
_Static_assert(
    2 * (int)BIDE_TRANSACTION_CLAIM_TEXT <= (int)BIDE_HOLDER_MAX, "a holder has room for two claims");
_Static_assert(
    (int)BIDE_TRANSACTION_OPERATIONS <= (int)BIDE_ERRAND_OPERATIONS, "… and an errand for a letter");

static char *claim_of(struct bide_errand *errand)
{
    return errand->holder;
}

static char *old_claim_of(struct bide_errand *errand)
{
    return errand->holder + BIDE_TRANSACTION_CLAIM_TEXT;
}

static const char *id_of(const struct bide_job *job)
{
    return job->delivery->message->id + sizeof BIDE_ASKING_PREFIX - 1;
}

/* For the answer of which nobody has asked yet, or the one that came back. NULL: no memory. */
static struct bide_errand *errand_for(struct bide_gate *gate, struct bide_job *job)
{
    struct bide_errand *errand =
        job->errand ? bide_errand_again(job->errand) : bide_clerk_errand(gate->site->clerk);
    job->errand = NULL;
    if (errand)
        snprintf(errand->key, sizeof errand->key, "%s", id_of(job));
    return errand;
}

/* The same one, as long as this job is in hand. */
static void make_claim(struct bide_job *job, struct bide_errand *errand)
{
    if (job->claim == 0)
        job->claim = bide_random_number();
    bide_transaction_claim(claim_of(errand), job->claim, LEASE_MS);
}

static void count(const struct bide_gate *gate, size_t which)
{
    const struct bide_supervised *supervised = gate->site->supervised;
    if (supervised)
        bide_metrics_add(&supervised->metrics->transactions[which], 1);
}

/* ---- before the run ---- */

static enum bide_gate_says hold(struct bide_gate *gate, int64_t hold_ms, struct bide_gate_answer *answer)
{
    answer->hold_ms = bide_gate_held_ms(gate->site, hold_ms);
    return BIDE_GATE_HOLD;
}

static enum bide_gate_says lacks_store(struct transaction_gate *gate, struct bide_gate_answer *answer)
{
    if (!gate->complained)
        bide_log(BIDE_LOG_ERROR,
            "messages of transactions need a store, and the configuration names none: they go back to the "
            "broker (docs/transactions.md)");
    gate->complained = true;
    return hold(&gate->gate, HELD_WITHOUT_STORE_MS, answer);
}

static enum bide_gate_says wait_for(struct bide_errand *errand, struct bide_gate_answer *answer)
{
    answer->errand = errand;
    return BIDE_GATE_WAIT;
}

/* Else somebody made up its headers, and nobody could send what it asks for. */
static bool read_terms(const bide_message *asking, struct bide_transaction_terms *ret_terms)
{
    return bide_transaction_terms_read(bide_message_header(asking, BIDE_ASKING_TERMS), ret_terms, NULL) ==
           BIDE_OK;
}

static enum bide_gate_says refuse(struct bide_job *job, struct bide_gate_answer *answer)
{
    job->run.error = bide_strdup("its headers say that it asks about a transaction, and cannot be read");
    answer->decision = (struct bide_decision){.verdict = BIDE_VERDICT_DEAD,
        .reason = BIDE_REASON_MALFORMED,
        .attempt = job->delivery->message->attempt};
    return BIDE_GATE_SETTLE;
}

static enum bide_gate_says ask(struct bide_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct bide_errand *errand = bide_clerk_is_away(gate->site->clerk) ? NULL : errand_for(gate, job);
    if (!errand)
        return bide_gate_hold_for_store(gate->site, answer);
    bide_errand_add(errand, BIDE_STORE_GET, BIDE_TRANSACTIONS, errand->key);
    errand->letter.lax = true;
    return wait_for(errand, answer);
}

/* Nobody waits for that; where it fails, the fact lasts longer. */
static void note_met(struct bide_gate *gate, struct bide_job *job, unsigned state)
{
    struct bide_transaction_terms terms;
    struct bide_errand *errand =
        read_terms(job->delivery->message, &terms) ? bide_clerk_errand(gate->site->clerk) : NULL;
    if (!errand)
        return;
    snprintf(errand->key, sizeof errand->key, "%s", id_of(job));
    bide_transaction_write_met(bide_errand_add(errand, 0, NULL, NULL), errand->key, state, terms.interval_ms);
    errand->letter.lax = true;
    bide_clerk_hand(gate->site->clerk, errand);
}

static enum bide_gate_says drop_ended(
    struct bide_gate *gate, struct bide_job *job, unsigned state, struct bide_gate_answer *answer)
{
    count(
        gate, state == BIDE_TRANSACTION_COMMITTED ? BIDE_TRANSACTIONS_COMMITTED : BIDE_TRANSACTIONS_ABORTED);
    note_met(gate, job, state);
    return bide_gate_drop(job, BIDE_COUNT_SUPERSEDED, answer);
}

/* Decided, and not sent: is whoever decided still at it? */
static enum bide_gate_says judge_decided(
    struct bide_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    char old[BIDE_TRANSACTION_CLAIM_TEXT];
    int64_t left_ms = bide_transaction_lease_ms(&job->errand->operations[0].answer, old);
    if (left_ms > 0) /* mostly it has sent in a moment */
        return hold(gate, left_ms < SOON_MS ? left_ms : SOON_MS, answer);
    struct bide_errand *errand = errand_for(gate, job);
    memcpy(old_claim_of(errand), old, sizeof old);
    make_claim(job, errand);
    bide_transaction_write_claim(
        bide_errand_add(errand, 0, NULL, NULL), errand->key, old_claim_of(errand), claim_of(errand));
    job->transaction = TAKING_OVER;
    return wait_for(errand, answer);
}

static enum bide_gate_says judge(
    struct bide_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    const struct bide_errand *errand = job->errand;
    bool is_ours = job->transaction == TAKING_OVER && errand->operations[0].answer.ok;
    if (errand->letter.code != BIDE_OK && errand->letter.code != BIDE_E_DATA)
        return bide_gate_hold_for_store(gate->site, answer);
    if (is_ours)
        return bide_gate_drop(job, BIDE_COUNT_SUPERSEDED, answer);
    if (job->transaction == TAKING_OVER)
        return hold(gate, SOON_MS, answer);
    switch (errand->operations[0].answer.state) {
    case BIDE_TRANSACTION_COMMITTED:
    case BIDE_TRANSACTION_ABORTED:
        return drop_ended(gate, job, errand->operations[0].answer.state, answer);
    case BIDE_TRANSACTION_DECIDED:
        return judge_decided(gate, job, answer);
    default: /* it is open, or the store has lost it */
        return BIDE_GATE_PASS;
    }
}

static enum bide_gate_says look(struct bide_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct bide_transaction_terms terms;
    if (!bide_asking_may_be(job->delivery->message->id) || !bide_asking_checks(job->delivery->message))
        return BIDE_GATE_PASS;
    if (!gate->site->clerk)
        return lacks_store((struct transaction_gate *)gate, answer);
    if (job->errand)
        return judge(gate, job, answer);
    return read_terms(job->delivery->message, &terms) ? ask(gate, job, answer) : refuse(job, answer);
}

/* ---- after it ---- */

static void report(struct bide_gate *gate, struct bide_job *job, struct bide_run_result *result)
{
    const bide_message *message = job->delivery->message;
    struct bide_transaction_terms terms;
    int checks = result ? bide_asking_checks(message) : 0;
    if (checks == 0)
        return;
    count(gate, BIDE_TRANSACTIONS_CHECKS);
    result->checks = checks;
    if (result->outcome == BIDE_DONE && !job->run.answer) {
        bide_run_release(&job->run); /* also what it has sent */
        job->run.error = bide_strdup("the check handler said neither commit nor abort");
        result->outcome = BIDE_RETRY;
    }
    if (result->outcome == BIDE_RETRY && result->delay_ms < 0 && read_terms(message, &terms))
        result->delay_ms = terms.interval_ms;
}

/* It is handed out again, and judged by what the store has then. */
static struct bide_errand *hand_back(struct bide_job *job)
{
    job->uncommitted = true;
    return NULL;
}

static struct bide_errand *must(struct bide_job *job, struct bide_errand *errand, unsigned char what)
{
    errand->must = true;
    job->transaction = what;
    return errand;
}

/* Its message is in the broker before it counts as sent. */
static struct bide_errand *send(struct bide_gate *gate, struct bide_job *job)
{
    bide_error error = {0};
    bide_message *message;
    struct bide_run *run = &job->run;
    struct bide_errand *errand = errand_for(gate, job);
    bide_message **sends = errand ? bide_realloc(run->sends, (run->n_sends + 1) * sizeof *sends) : NULL;
    if (sends)
        run->sends = sends;
    bide_code code =
        sends ? bide_transaction_restore(job->delivery->message, &message, &error) : BIDE_E_NOMEM;
    if (code == BIDE_OK) {
        run->sends[run->n_sends++] = message;
        code = bide_message_stamp(message, job->delivery->message->queue, gate->site->clock, &error);
    }
    if (code != BIDE_OK) {
        if (errand)
            bide_clerk_free(gate->site->clerk, errand);
        return hand_back(job);
    }
    make_claim(job, errand);
    errand->letter.n = BIDE_TRANSACTION_OPERATIONS;
    bide_transaction_write_sent(errand->operations, errand->key, claim_of(errand));
    errand->sends = true;
    errand->letter.lax = gate->site->is_store; /* on disk before the settlement */
    BIDE_KILL_POINT("worker/transaction-decided");
    return must(job, errand, SENDING);
}

static struct bide_errand *decide(struct bide_job *job, struct bide_errand *errand)
{
    enum {
        FROM = BIDE_TRANSACTION_IS_OPEN | 1 << BIDE_TRANSACTION_UNKNOWN
    }; /* also what the store has lost */
    errand->letter.n = BIDE_TRANSACTION_OPERATIONS;
    if (job->run.answer == BIDE_ANSWER_ABORT) {
        bide_transaction_write_abort(errand->operations, errand->key, FROM);
        return must(job, errand, ABORTING);
    }
    make_claim(job, errand);
    bide_transaction_write_decide(errand->operations, errand->key, FROM, claim_of(errand));
    errand->letter.n = 1; /* the message itself is here */
    return must(job, errand, DECIDING);
}

static struct bide_errand *bury(struct bide_job *job, struct bide_errand *errand)
{
    bide_transaction_write_unresolved(bide_errand_add(errand, 0, NULL, NULL), errand->key);
    return must(job, errand, BURYING);
}

static struct bide_errand *begin_to_end(
    struct bide_gate *gate, struct bide_job *job, const struct bide_gate_end *end)
{
    bool answered = job->run.ran && job->run.answer && end->decision.verdict == BIDE_VERDICT_ACK;
    bool dies = end->decision.verdict == BIDE_VERDICT_DEAD;
    if (!answered && !dies)
        return NULL;
    struct bide_errand *errand = errand_for(gate, job);
    if (!errand)
        return hand_back(job);
    return dies ? bury(job, errand) : decide(job, errand);
}

/* The store has answered: may it be settled, and what is missing? */
static struct bide_errand *go_on(struct bide_gate *gate, struct bide_job *job)
{
    const struct bide_store_answer *answer = &job->errand->operations[0].answer;
    bool is_ended = answer->state == BIDE_TRANSACTION_COMMITTED || answer->state == BIDE_TRANSACTION_ABORTED;
    switch (job->transaction) {
    case DECIDING:
        return answer->ok ? send(gate, job) : is_ended ? NULL : hand_back(job);
    case ABORTING:
        if (answer->ok)
            count(gate, BIDE_TRANSACTIONS_ABORTED);
        return answer->ok || is_ended ? NULL : hand_back(job);
    case BURYING:
        if (answer->ok)
            count(gate, BIDE_TRANSACTIONS_UNRESOLVED);
        return answer->ok || answer->state == BIDE_TRANSACTION_UNKNOWN ||
                       answer->state == BIDE_TRANSACTION_UNRESOLVED
                   ? NULL
                   : hand_back(job);
    default:
        count(gate, BIDE_TRANSACTIONS_COMMITTED);
        return NULL;
    }
}

static bool waits_still(const struct bide_job *job)
{
    for (size_t i = 0; i < job->run.n_sends; i++)
        if (strcmp(job->run.sends[i]->id, id_of(job)) == 0)
            return true;
    return false;
}

/* The broker has refused what the job sends. Its decision stands, and somebody has to see to it: a dead
 * letter says so, and brings it on its way again when it is replayed. Where only the handler's own messages
 * were refused, these go with the settlement, whose receiver knows what becomes of them. */
static struct bide_errand *not_taken(struct bide_gate *gate, struct bide_job *job, struct bide_gate_end *end)
{
    struct bide_run *run = &job->run;
    struct bide_errand *errand = errand_for(gate, job);
    job->refused = true;
    if (!waits_still(job)) {
        make_claim(job, errand);
        errand->letter.n = BIDE_TRANSACTION_OPERATIONS;
        bide_transaction_write_sent(errand->operations, errand->key, claim_of(errand));
        return must(job, errand, SENDING);
    }
    char *why = bide_asprintf("the transaction is committed, and the broker refuses its message: %s",
        run->error ? run->error : "no memory for the reason");
    bide_clerk_free(gate->site->clerk, errand);
    bide_run_release(run);
    run->error = why;
    count(gate, BIDE_TRANSACTIONS_UNRESOLVED);
    end->kind = BIDE_COUNT_DEAD;
    end->decision = (struct bide_decision){.verdict = BIDE_VERDICT_DEAD,
        .reason = BIDE_REASON_UNRESOLVED,
        .attempt = job->delivery->message->attempt};
    return NULL;
}

static struct bide_errand *commit(struct bide_gate *gate, struct bide_job *job, struct bide_gate_end *end)
{
    if (!gate->site->clerk || !bide_asking_checks(job->delivery->message))
        return NULL;
    if (!job->errand)
        return job->transaction == TAKING_OVER ? send(gate, job) : begin_to_end(gate, job, end);
    if (job->errand->letter.code == BIDE_OK)
        return go_on(gate, job);
    if (job->errand->must || job->errand->letter.code == BIDE_E_DATA)
        return hand_back(job);
    return not_taken(gate, job, end);
}

const struct bide_gate_kind bide_gate_transaction = {
    .size = sizeof(struct transaction_gate), .look = look, .report = report, .commit = commit};
