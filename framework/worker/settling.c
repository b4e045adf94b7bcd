#include <stdlib.h>

#include "base/killpoint.h"
#include "message/failures.h"
#include "message/trace.h"
#include "worker/intake.h"
#include "worker/on_dead.h"

enum { LACKING_PAUSE_MS = 1000 }; /* of a message that could not run for want of processes, memory … here */

void bide_intake_flush(struct bide_intake *intake)
{
    if (intake->n_settlements == 0)
        return;
    BIDE_KILL_POINT("worker/decided");
    intake->receiver->ops->settle(intake->receiver, intake->settlements, intake->n_settlements);
    BIDE_KILL_POINT("worker/handed-over");
    intake->n_settlements = 0;
}

void bide_intake_settle(struct bide_intake *intake, const struct bide_settlement *settlement)
{
    intake->settlements[intake->n_settlements++] = *settlement;
    if (intake->n_settlements == BIDE_INTAKE_BATCH)
        bide_intake_flush(intake);
}

static void log_decision(const struct bide_message *message, const struct bide_decision *decision,
    const struct bide_run *run, int64_t now_ms)
{
    if (decision->verdict == BIDE_VERDICT_ACK)
        bide_log(BIDE_LOG_DEBUG, "message done", BIDE_STR("id", message->id), BIDE_STR("type", message->type),
            BIDE_INT("attempt", message->attempt), BIDE_INT("took_us", run->took_us),
            BIDE_INT("waited_us", run->waited_us), BIDE_TRACE(message));
    else if (decision->verdict == BIDE_VERDICT_RETRY)
        bide_log(BIDE_LOG_INFO, "message will be retried", BIDE_STR("id", message->id),
            BIDE_STR("type", message->type), BIDE_INT("attempt", message->attempt),
            BIDE_INT("in_ms", decision->due_ms - now_ms), BIDE_STR("error", run->error), BIDE_TRACE(message));
    else
        bide_log(BIDE_LOG_WARN, "message parked", BIDE_STR("id", message->id),
            BIDE_STR("type", message->type), BIDE_INT("attempt", message->attempt),
            BIDE_STR("reason", bide_reason_name(decision->reason)), BIDE_STR("error", run->error),
            BIDE_TRACE(message));
}

static enum bide_outcome_kind kind_of(enum bide_verdict verdict)
{
    static const enum bide_outcome_kind kinds[] = {
        [BIDE_VERDICT_ACK] = BIDE_COUNT_DONE,
        [BIDE_VERDICT_RETRY] = BIDE_COUNT_RETRIED,
        [BIDE_VERDICT_DEAD] = BIDE_COUNT_DEAD,
        [BIDE_VERDICT_RELEASE] = BIDE_COUNT_RELEASED,
    };
    return kinds[verdict];
}

/* NULL, no change, where there is no memory. */
static char *failures_with(const struct bide_message *message, const char *error, int64_t now_ms)
{
    return bide_failures_add(message->failures,
        &(struct bide_failure){.attempt = message->attempt, .at_ms = now_ms, .error = error ? error : ""});
}

/* Due times are whole milliseconds, and a retry must not come one part of them early. */
static int64_t now_rounded_up_ms(const struct bide_intake *intake)
{
    return (bide_wall_us(intake->clock) + 999) / 1000;
}

void bide_intake_settle_result(struct bide_intake *intake, struct bide_delivery *delivery,
    const struct bide_handler *handler, const struct bide_run_result *result, const struct bide_run *run)
{
    int64_t now_ms = result->outcome == BIDE_DONE ? 0 : now_rounded_up_ms(intake); /* which needs none */
    double random = result->outcome == BIDE_RETRY ? erand48(intake->random) : 0.5;
    struct bide_decision decision = bide_decide(&handler->config->retry, result, now_ms, random);
    bide_intake_count(
        intake, delivery->message, handler, kind_of(decision.verdict), run->ran ? run : NULL, run->error);
    log_decision(delivery->message, &decision, run, now_ms);
    if (intake->supervised && decision.verdict == BIDE_VERDICT_ACK) {
        bide_crashes_forget(intake->supervised->crashes, delivery->message->id);
        bide_crashes_type_did_well(intake->supervised->crashes, delivery->message->type);
    } else if (intake->supervised && decision.verdict == BIDE_VERDICT_DEAD)
        bide_crashes_end(intake->supervised->crashes, delivery->message->id, bide_mono_ms(intake->clock));
    char *failures =
        decision.verdict == BIDE_VERDICT_ACK ? NULL : failures_with(delivery->message, run->error, now_ms);
    struct bide_settlement settlement = {
        .delivery = delivery,
        .verdict = decision.verdict,
        .reason = decision.reason,
        .attempt = decision.attempt,
        .due_ms = decision.due_ms,
        .error = run->error,
        .failures = failures,
        .sends = run->sends, /* none but with ACK */
        .n_sends = run->n_sends,
    };
    if (decision.verdict == BIDE_VERDICT_DEAD)
        bide_intake_tell_of_death(intake, handler, &settlement);
    bide_intake_settle(intake, &settlement);
}

/* Cancelled because this worker leaves, for nothing of its own: handed back, and no attempt is burnt. */
static bool was_cut_short(const struct bide_intake *intake, const struct bide_job *job)
{
    bool leaving = intake->stage == BIDE_INTAKE_CANCELLING || intake->stage == BIDE_INTAKE_LEAVING;
    return leaving && job->run.outcome == BIDE_RETRY && !job->run.timed_out && !job->run.crashed;
}

static void hand_back(struct bide_intake *intake, struct bide_job *job)
{
    bide_holding_report(intake, job, BIDE_SIGN_NONE);
    bide_settlement_release(&(struct bide_settlement){
        .error = job->run.error, .sends = job->run.sends, .n_sends = job->run.n_sends});
    bide_intake_count(intake, job->delivery->message, job->handler, BIDE_COUNT_RELEASED, NULL, NULL);
    bide_intake_settle(
        intake, &(struct bide_settlement){.delivery = job->delivery, .verdict = BIDE_VERDICT_RELEASE});
}

/* A run that ended its sandbox: counted where the deaths of this process are, if anywhere. */
static int count_crash(struct bide_intake *intake, const struct bide_job *job)
{
    const struct bide_message *message = job->delivery->message;
    struct bide_crash crash = {.crashes = 1};
    bide_log(BIDE_LOG_ERROR, "handler crashed", BIDE_STR("id", message->id), BIDE_STR("type", message->type),
        BIDE_STR("plugin", job->handler->config->plugin), BIDE_STR("build", job->handler->plugin->build),
        BIDE_INT("attempt", message->attempt), BIDE_STR("how", job->run.error), BIDE_TRACE(message));
    if (intake->supervised) {
        struct bide_crashes *crashes = intake->supervised->crashes;
        const char *how = job->run.error ? job->run.error : "ended its sandbox";
        bide_crashes_note(crashes, message->id, message->attempt, false, how);
        bide_crashes_ask(crashes, message, intake->clock, &crash);
    }
    return crash.crashes;
}

/* A crash is the handler's own; what it rejects, the message's; what it lacked here, this process's. */
static enum bide_sign sign_of(const struct bide_run *run)
{
    if (run->crashed || run->spared || run->outcome == BIDE_DEAD)
        return BIDE_SIGN_NONE;
    return run->outcome == BIDE_DONE ? BIDE_SIGN_GOOD : BIDE_SIGN_BAD;
}

/* How long a failure that is no attempt of the message keeps it away; 0: it is one. */
static int64_t spared_ms(struct bide_intake *intake, const struct bide_job *job)
{
    enum bide_sign sign = sign_of(&job->run);
    bool circuit_spares = bide_holding_report(intake, job, sign) && sign == BIDE_SIGN_BAD;
    if (circuit_spares)
        return bide_holding_pause_ms(intake, job->handler);
    return job->run.spared ? LACKING_PAUSE_MS : 0;
}

static void settle_run(struct bide_intake *intake, struct bide_job *job)
{
    int64_t pause_ms = spared_ms(intake, job);
    const struct bide_run_result result = {
        .outcome = job->run.outcome,
        .delay_ms = job->run.delay_ms,
        .timed_out = job->run.timed_out,
        .attempt = job->delivery->message->attempt,
        .crashes = job->run.crashed ? count_crash(intake, job) : 0,
        .spared_ms = pause_ms,
    };
    bide_intake_settle_result(intake, job->delivery, job->handler, &result, &job->run);
}

/* One of several that ran in a process of a program that ended: it comes back without a burnt attempt, and
 * runs alone then. */
static void settle_near_death(struct bide_intake *intake, struct bide_job *job)
{
    const struct bide_message *message = job->delivery->message;
    bide_crashes_suspect(intake->supervised->crashes, message->id, message->attempt, false,
        job->run.error ? job->run.error : "a process ended that it ran in");
    hand_back(intake, job);
}

static void settle_unrun(struct bide_intake *intake, struct bide_job *job)
{
    const struct bide_message *message = job->delivery->message;
    bide_holding_report(intake, job, BIDE_SIGN_NONE);
    enum bide_verdict verdict = job->run.expired ? BIDE_VERDICT_ACK : BIDE_VERDICT_RELEASE;
    if (job->run.expired)
        bide_log(BIDE_LOG_INFO, "message expired", BIDE_STR("id", message->id),
            BIDE_STR("type", message->type), BIDE_TRACE(message));
    bide_intake_count(intake, message, job->handler,
        job->run.expired ? BIDE_COUNT_EXPIRED : BIDE_COUNT_RELEASED, NULL, NULL);
    bide_intake_settle(intake, &(struct bide_settlement){.delivery = job->delivery, .verdict = verdict});
}

void bide_intake_take_back(struct bide_intake *intake, struct bide_job *job)
{
    intake->out--;
    if (job->suspect)
        bide_quarantine_ran(&intake->quarantine, bide_mono_us(intake->clock));
    if (!job->early)
        bide_prefetch_gave(&intake->prefetch[job->delivery->queue], job->run.ran ? job->run.waited_us : -1);
}

void bide_intake_settle_job(struct bide_intake *intake, struct bide_job *job)
{
    bide_intake_take_back(intake, job);
    if (job->run.near_death && intake->supervised) /* else nobody remembers: it burns its attempt */
        settle_near_death(intake, job);
    else if (job->run.ran && was_cut_short(intake, job))
        hand_back(intake, job);
    else if (job->run.ran)
        settle_run(intake, job);
    else
        settle_unrun(intake, job);
    bide_job_append(&intake->free_jobs, job);
}
