/* `once` of a handler: a message that ended done within that time, known by its queue, type and id, is
 * acknowledged without a run. While a copy of it runs elsewhere, a second one waits: it goes back to the
 * broker.
 *
 *   look     is there the fact "done"? If not, a permit: one holder a message, which ends with the session of
 *            its worker, so that nothing is locked by a worker that died
 *   commit   after a run that ended done: the fact is written and the permit given back at once, once the
 *            broker has what the run has sent. Otherwise only the permit is given back
 *
 * Only "done" is a fact. A worker that dies between the end of the run and the commit lets the message run
 * again. So does a worker that leaves while the store is away: it acknowledges what is done, and a second
 * copy would run. */
#include <inttypes.h>
#include <stdio.h>

#include "base/killpoint.h"
#include "bide/log.h"
#include "message/asking.h"
#include "worker/gates/gate.h"

#define FACTS "once"
#define PERMITS "once-run"

enum { DONE = 1 };
enum { IS_NOT_DONE, PERMIT }; /* the operations of the first errand */
enum {
    TWIN_MS = 1000, /* how long a second copy is held: the tenth part of the timeout, … */
    TWIN_MAX_MS = 10 * 1000,
    PERMIT_MS = 7 * 24 * 3600 * 1000, /* if neither its run nor its session ended, it would */
};

struct once_gate {
    struct bide_gate gate;
    char holder[BIDE_ID_TEXT]; /* of this process: no other has it */
    uint64_t permits;          /* numbers them */
    bool complained;           /* of a message without an id of its own */
};

static bool serves(const struct bide_site *site, const struct bide_handler *handler)
{
    (void)site;
    return handler && handler->config->once_ms > 0;
}

static bide_code open(struct bide_gate *base, bide_error *error)
{
    struct once_gate *gate = (struct once_gate *)base;
    if (!base->site->clerk)
        return bide_fail(error, BIDE_E_CONFIG, "`once` needs a store, and there is none");
    bide_id_generate(gate->holder, base->site->clock);
    bide_clerk_begin(base->site->clerk);
    return BIDE_OK;
}

/* ---- before the run ---- */

static int64_t between(int64_t ms, int64_t least_ms, int64_t most_ms)
{
    ms = ms > least_ms ? ms : least_ms;
    return ms < most_ms ? ms : most_ms;
}

/* False: its id is no name of its own: empty, or longer than ids are, as only foreign senders write them, or
 * another one in each delivery. Two such messages may be different ones. */
static bool name(struct once_gate *gate, const struct bide_delivery *delivery, struct bide_errand *errand)
{
    const struct bide_message *message = delivery->message;
    snprintf(errand->holder, sizeof errand->holder, "%s/%" PRIu64, gate->holder, ++gate->permits);
    int size =
        snprintf(errand->key, sizeof errand->key, "%s/%s/%s", message->queue, message->type, message->id);
    return *message->id && !delivery->id_is_new && size > 0 && (size_t)size < sizeof errand->key;
}

/* Its name would be refused for ever: it runs as without `once`. */
static enum bide_gate_says run_without(struct once_gate *gate, const struct bide_message *message)
{
    if (!gate->complained)
        bide_log(BIDE_LOG_WARN,
            "a message has no id, or one that is too long: it runs as often as it comes, as all such do",
            BIDE_STR("type", message->type), BIDE_STR("queue", message->queue));
    gate->complained = true;
    return BIDE_GATE_PASS;
}

static enum bide_gate_says ask(struct once_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct bide_clerk *clerk = gate->gate.site->clerk;
    struct bide_errand *errand = bide_clerk_is_away(clerk) ? NULL : bide_clerk_errand(clerk);
    if (!errand)
        return bide_gate_hold_for_store(gate->gate.site, answer);
    if (!name(gate, job->delivery, errand)) {
        bide_clerk_free(clerk, errand);
        return run_without(gate, job->delivery->message);
    }
    struct bide_store_operation *fact = bide_errand_add(errand, BIDE_STORE_TURN, FACTS, errand->key);
    fact->turn.from = 1 << 0; /* changes nothing */
    fact->stop = true;
    struct bide_store_operation *permit = bide_errand_add(errand, BIDE_STORE_ACQUIRE, PERMITS, errand->key);
    permit->acquire.holder = errand->holder;
    permit->acquire.n = 1;
    permit->lasts_ms = PERMIT_MS;
    errand->letter.lax = true; /* after a power cut nobody holds a permit */
    answer->errand = errand;
    return BIDE_GATE_WAIT;
}

/* Nobody waits for the answer. The errand is the one that asked for the permit. */
static void give_back(struct once_gate *gate, struct bide_errand **permit)
{
    struct bide_errand *errand = bide_errand_again(*permit);
    *permit = NULL;
    bide_errand_add(errand, BIDE_STORE_RELEASE, PERMITS, errand->key)->acquire.holder = errand->holder;
    errand->must = errand->letter.lax = true;
    bide_clerk_hand(gate->gate.site->clerk, errand);
}

static enum bide_gate_says hold_twin(
    struct bide_site *site, const struct bide_job *job, struct bide_gate_answer *answer)
{
    int64_t share_ms = job->handler->config->timeout_ms / 10;
    return bide_gate_hold(site, between(share_ms, TWIN_MS, TWIN_MAX_MS), answer);
}

static enum bide_gate_says judge(
    struct once_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    const struct bide_errand *errand = job->errand;
    if (errand->letter.code == BIDE_E_DATA)
        return run_without(gate, job->delivery->message);
    if (errand->letter.code != BIDE_OK) { /* and it may have got a permit all the same */
        give_back(gate, &job->errand);
        return bide_gate_hold_for_store(gate->gate.site, answer);
    }
    if (!errand->operations[IS_NOT_DONE].answer.ok)
        return bide_gate_drop(job, BIDE_COUNT_DUPLICATE, answer);
    if (!errand->operations[PERMIT].answer.ok)
        return hold_twin(gate->gate.site, job, answer);
    job->permit = job->errand;
    job->errand = NULL;
    return BIDE_GATE_PASS;
}

/* What asks about a transaction has ended when that is decided, and its own fact says so: "done" would be
 * written before, and a worker that died in between would leave it undecided for ever. */
static enum bide_gate_says look(struct bide_gate *base, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct once_gate *gate = (struct once_gate *)base;
    if (bide_asking_checks(job->delivery->message))
        return BIDE_GATE_PASS;
    return job->errand ? judge(gate, job, answer) : ask(gate, job, answer);
}

/* ---- after it ---- */

static void report(struct bide_gate *base, struct bide_job *job, struct bide_run_result *result)
{
    if (!result && job->permit)
        give_back((struct once_gate *)base, &job->permit);
}

static struct bide_errand *commit(struct bide_gate *base, struct bide_job *job, struct bide_gate_end *end)
{
    if (!job->permit) {
        if (job->errand && job->errand->letter.code != BIDE_OK) /* what it sent was refused */
            give_back((struct once_gate *)base, &job->errand);
        return NULL;
    }
    if (end->kind != BIDE_COUNT_DONE) {
        give_back((struct once_gate *)base, &job->permit);
        return NULL;
    }
    struct bide_errand *errand = bide_errand_again(job->permit);
    job->permit = NULL;
    struct bide_store_operation *fact = bide_errand_add(errand, BIDE_STORE_TURN, FACTS, errand->key);
    fact->turn.from = 1 << 0; /* or it is done already: a copy that ran beside it was faster */
    fact->turn.to = DONE;
    fact->lasts_ms = job->handler->config->once_ms;
    bide_errand_add(errand, BIDE_STORE_RELEASE, PERMITS, errand->key)->acquire.holder = errand->holder;
    errand->must = errand->sends = true;
    errand->letter.lax = base->site->is_store; /* on disk before the acknowledgement */
    BIDE_KILL_POINT("worker/once-ran");
    return errand;
}

/* ---- while the store is away ---- */

static size_t room(
    struct bide_gate *base, const struct bide_handler *handler, size_t queue, struct bide_gate_round *round)
{
    (void)handler, (void)queue;
    if (!bide_clerk_is_away(base->site->clerk))
        return SIZE_MAX;
    round->waits = true;
    return 0;
}

const struct bide_gate_kind bide_gate_once = {.size = sizeof(struct once_gate),
    .open = open,
    .serves = serves,
    .look = look,
    .report = report,
    .commit = commit,
    .room = room};
