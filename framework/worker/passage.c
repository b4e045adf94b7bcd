#include "worker/passage.h"

#include "base/alloc.h"
#include "base/bug.h"
#include "base/killpoint.h"
#include "dispatch/context.h"
#include "message/asking.h"
#include "message/trace.h"
#include "streams/stream.h"
#include "worker/room.h"

enum {
    OVERDUE_US = 100 * 1000, /* a landed message that has not begun goes back after so long */
    LACKING_PAUSE_MS = 1000, /* of a message that could not run for want of processes, memory … here */
    LOOK_EVERY_US = 5 * 1000 * 1000, /* for what has waited too long */
};

bide_code bide_passage_init(struct bide_passage *passage, const struct bide_site *site, bide_error *error)
{
    passage->site = *site;
    passage->settling.site = passage->gates.site = &passage->site;
    bide_arena_init(&passage->jobs);
    return bide_passage_init_prefetch(passage) ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

bide_code bide_passage_begin(struct bide_passage *passage, bide_error *error)
{
    bide_code code = bide_gates_open(&passage->gates, error);
    if (code == BIDE_OK)
        bide_gates_obey(&passage->gates);
    return code;
}

void bide_passage_clear(struct bide_passage *passage)
{
    bide_gates_close(&passage->gates);
    bide_free(passage->prefetch);
    bide_arena_release(&passage->jobs);
}

size_t bide_passage_waiting(const struct bide_passage *passage)
{
    return passage->site.clerk ? bide_clerk_jobs(passage->site.clerk) + passage->parked.n : 0;
}

size_t bide_passage_in_hand(const struct bide_passage *passage)
{
    const struct bide_quarantine *quarantine = &passage->gates.quarantine;
    return passage->out + quarantine->waiting.n + quarantine->held.n + bide_passage_waiting(passage);
}

/* ---- in ---- */

static void settle_decided(struct bide_passage *passage, struct bide_job *job, enum bide_outcome_kind kind,
    const struct bide_decision *decision)
{
    bide_settle(&passage->settling, job, kind, decision);
    bide_job_append(&passage->free_jobs, job);
}

static void release(struct bide_passage *passage, struct bide_job *job)
{
    static const struct bide_decision released = {.verdict = BIDE_VERDICT_RELEASE};
    settle_decided(passage, job, BIDE_COUNT_RELEASED, &released);
}

/* Later, and not before it is due; this was no attempt. */
static void hold(struct bide_passage *passage, struct bide_job *job, int64_t hold_ms)
{
    const struct bide_message *message = job->delivery->message;
    int64_t due_ms = bide_wall_ms(passage->site.clock) + hold_ms;
    bide_log(BIDE_LOG_DEBUG, "message held back", BIDE_STR("id", message->id),
        BIDE_STR("type", message->type), BIDE_INT("in_ms", hold_ms));
    settle_decided(passage, job, BIDE_COUNT_RELEASED,
        &(struct bide_decision){.verdict = BIDE_VERDICT_RETRY,
            .attempt = message->attempt,
            .due_ms = due_ms > message->due_ms ? due_ms : message->due_ms});
}

/* The clerk has it: it is in hand, and counts as taken from its queue. */
static void count_waiting(struct bide_passage *passage, struct bide_job *job)
{
    if (!job->waited)
        bide_prefetch_took(&passage->prefetch[job->delivery->queue], 1);
    job->waited = true;
}

static void count_back(struct bide_passage *passage, struct bide_job *job)
{
    if (job->waited)
        bide_prefetch_gave(&passage->prefetch[job->delivery->queue], -1);
    job->waited = false;
}

/* Settled, once the store knows what it has to know of it. */
static void end(struct bide_passage *passage, struct bide_job *job, struct bide_gate_end *end)
{
    const struct bide_message *message = job->delivery->message;
    bool commits = job->gates->commits || *message->generation || bide_stream_may_be(message->id) ||
                   bide_asking_may_be(message->id);
    if (commits && bide_gates_commit(&passage->gates, job, end)) {
        count_waiting(passage, job);
        passage->prefetch[job->delivery->queue].ended++;
    } else if (job->uncommitted) {
        release(passage, job);
    } else
        settle_decided(passage, job, end->kind, &end->decision);
}

static void settle_as_decided(
    struct bide_passage *passage, struct bide_job *job, const struct bide_gate_answer *answer)
{
    static const enum bide_outcome_kind kinds[] = {
        [BIDE_VERDICT_RETRY] = BIDE_COUNT_RETRIED,
        [BIDE_VERDICT_DEAD] = BIDE_COUNT_DEAD,
        [BIDE_VERDICT_RELEASE] = BIDE_COUNT_RELEASED,
    };
    enum bide_verdict verdict = answer->decision.verdict;
    bide_gates_decided(job, &answer->decision);
    end(passage, job,
        &(struct bide_gate_end){.decision = answer->decision,
            .kind = verdict == BIDE_VERDICT_ACK ? answer->kind : kinds[verdict]});
}

static void pass_gates(
    struct bide_passage *passage, struct bide_job *job, int64_t wall_us, struct bide_job_list *jobs)
{
    struct bide_gate_answer answer = {0};
    size_t limit = passage->prefetch[job->delivery->queue].limit;
    switch (bide_gates_look(&passage->gates, job, limit, &answer)) {
    case BIDE_GATE_PASS:
        job->early = job->delivery->message->due_ms * 1000 > wall_us;
        bide_job_append(jobs, job);
        break;
    case BIDE_GATE_ALONE:
        break;
    case BIDE_GATE_HOLD:
        hold(passage, job, answer.hold_ms);
        break;
    case BIDE_GATE_SETTLE:
        settle_as_decided(passage, job, &answer);
        break;
    case BIDE_GATE_MOVE:
        end(passage, job, &(struct bide_gate_end){.decision = answer.decision, .kind = BIDE_COUNT_RELEASED});
        break;
    case BIDE_GATE_WAIT:
        count_waiting(passage, job);
        if (!answer.errand)
            bide_job_append(&passage->parked, job);
        break;
    }
}

void bide_passage_take_in(
    struct bide_passage *passage, struct bide_delivery *delivery, int64_t wall_us, struct bide_job_list *jobs)
{
    struct bide_job *job = bide_job_pop(&passage->free_jobs);
    if (!job && !(job = bide_arena_alloc(&passage->jobs, sizeof *job))) {
        bide_settle(&passage->settling, &(struct bide_job){.delivery = delivery}, BIDE_COUNT_RELEASED,
            &(struct bide_decision){.verdict = BIDE_VERDICT_RELEASE});
        return;
    }
    const struct bide_message *message = delivery->message;
    *job = (struct bide_job){.delivery = delivery,
        .handler = bide_handlers_find(passage->site.handlers, message->type, message->queue)};
    if (passage->draining) /* was under way when the broker was told to stop */
        release(passage, job);
    else
        pass_gates(passage, job, wall_us, jobs);
}

/* ---- out ---- */

/* Cancelled because this worker leaves, for nothing of its own: handed back, and no attempt is burnt. */
static bool was_cut_short(const struct bide_passage *passage, const struct bide_run *run)
{
    return passage->cutting && run->outcome == BIDE_RETRY && !run->timed_out && !run->crashed;
}

static void log_crash(const struct bide_job *job)
{
    const struct bide_message *message = job->delivery->message;
    bide_log(BIDE_LOG_ERROR, "handler crashed", BIDE_STR("id", message->id), BIDE_STR("type", message->type),
        BIDE_STR("plugin", job->handler->config->plugin), BIDE_STR("build", job->handler->plugin->build),
        BIDE_INT("attempt", message->attempt), BIDE_STR("how", job->run.error), BIDE_TRACE(message));
}

static void settle_run(struct bide_passage *passage, struct bide_job *job)
{
    const struct bide_run *run = &job->run;
    struct bide_run_result result = {
        .outcome = run->outcome,
        .delay_ms = run->delay_ms,
        .timed_out = run->timed_out,
        .attempt = job->delivery->message->attempt,
        .crashes = run->crashed,
        .spared_ms = run->spared ? LACKING_PAUSE_MS : 0,
        .handed_back = was_cut_short(passage, run) || run->batch_died,
    };
    if (run->crashed)
        log_crash(job);
    bide_gates_report(job, &result);
    settle_as_decided(passage, job,
        &(struct bide_gate_answer){.decision = bide_gate_decide(&passage->site, job->handler, &result)});
}

static void take_back(struct bide_passage *passage, struct bide_job *job)
{
    if (!job->submitted) /* it was in the quarantine */
        return;
    BIDE_BUG(passage->out == 0);
    passage->out--;
    if (job->suspect)
        bide_quarantine_ran(&passage->gates.quarantine, bide_mono_us(passage->site.clock));
    if (!job->early)
        bide_prefetch_gave(&passage->prefetch[job->delivery->queue], job->run.ran ? job->run.waited_us : -1);
}

void bide_passage_settle(struct bide_passage *passage, struct bide_job *job)
{
    struct bide_gate_end expired = {{.verdict = BIDE_VERDICT_ACK}, BIDE_COUNT_EXPIRED};
    take_back(passage, job);
    if (job->run.ran) {
        settle_run(passage, job);
        return;
    }
    bide_gates_report(job, NULL);
    if (job->run.expired)
        end(passage, job, &expired);
    else
        release(passage, job);
}

/* Its permit's time was over, or it landed to ask for one: the last of its gates is asked again. */
static void ask_again(
    struct bide_passage *passage, struct bide_job *job, int64_t wall_us, struct bide_job_list *jobs)
{
    take_back(passage, job);
    job->run = (struct bide_run){0};
    job->submitted = false;
    job->asked = job->gates->n - 1;
    pass_gates(passage, job, wall_us, jobs);
}

static void settle_all(struct bide_passage *passage, struct bide_job_list *jobs)
{
    struct bide_job *job;
    while ((job = bide_job_pop(jobs)))
        bide_passage_settle(passage, job);
}

/* ---- the steps of a round ---- */

/* What may start now. */
static void submit(struct bide_passage *passage, struct bide_job_list *jobs)
{
    struct bide_job_list refused = {0};
    bool settled = bide_passage_waiting(passage) == 0 && bide_settled_for_good(&passage->settling);
    bide_quarantine_admit(
        &passage->gates.quarantine, jobs, passage->out, settled, bide_mono_us(passage->site.clock));
    for (struct bide_job *job = jobs->first; job; job = job->next) {
        job->submitted = true;
        if (!job->early) /* the limits count only what could run at once */
            bide_prefetch_took(&passage->prefetch[job->delivery->queue], 1);
    }
    passage->out += jobs->n;
    bide_pool_submit(passage->pool, jobs, &refused);
    settle_all(passage, &refused);
}

void bide_passage_collect(struct bide_passage *passage)
{
    int64_t wall_us = bide_wall_us(passage->site.clock);
    struct bide_job_list jobs = {0}, again = {0};
    struct bide_job *job;
    bide_pool_collect(passage->pool, OVERDUE_US, &jobs);
    while ((job = bide_job_pop(&jobs)))
        if (job->run.late && !passage->draining)
            ask_again(passage, job, wall_us, &again);
        else
            bide_passage_settle(passage, job);
    submit(passage, &again);
    bide_settle_flush(&passage->settling);
}

/* What waits, in the pool or in the quarantine, and passes the test (NULL: everything). */
static void withdraw(
    struct bide_passage *passage, bide_job_test *test, const void *user, struct bide_job_list *to)
{
    bide_pool_withdraw(passage->pool, test, user, to);
    bide_quarantine_withdraw(&passage->gates.quarantine, test, user, to);
}

/* What a gate stops now. */
static void give_back(struct bide_passage *passage, struct bide_job_list *jobs)
{
    struct bide_job *job;
    while ((job = bide_job_pop(jobs))) {
        take_back(passage, job);
        bide_gates_report(job, NULL);
        hold(passage, job, bide_gates_held_ms(&passage->gates, job));
    }
}

static void give_back_stopped(struct bide_passage *passage)
{
    struct bide_job_list jobs = {0};
    withdraw(passage, bide_gates_stop, NULL, &jobs);
    give_back(passage, &jobs);
}

/* ---- what waited for the clerk ---- */

/* Goes on where it waited. */
static void resume(
    struct bide_passage *passage, struct bide_errand *errand, int64_t wall_us, struct bide_job_list *jobs)
{
    struct bide_job *job = errand->job;
    struct bide_gate_end decided = {errand->decision, errand->kind};
    job->errand = errand;
    count_back(passage, job);
    if (errand->ends) {
        passage->prefetch[job->delivery->queue].ended--;
        end(passage, job, &decided);
    } else
        pass_gates(passage, job, wall_us, jobs);
}

/* Those that waited for what others have been answered. */
static void resume_parked(struct bide_passage *passage, int64_t wall_us, struct bide_job_list *jobs)
{
    struct bide_job_list parked = passage->parked;
    struct bide_job *job;
    passage->parked = (struct bide_job_list){0};
    while ((job = bide_job_pop(&parked))) {
        count_back(passage, job);
        if (!passage->draining) {
            pass_gates(passage, job, wall_us, jobs);
            continue;
        }
        job->asked++; /* also the gate that it waits at is told */
        bide_gates_report(job, NULL);
        release(passage, job);
    }
}

void bide_passage_take_answers(struct bide_passage *passage, int64_t wall_us, struct bide_job_list *jobs)
{
    struct bide_job_list stopped = {0};
    struct bide_errand *errand = bide_clerk_take(passage->site.clerk);
    bool some = errand != NULL;
    for (struct bide_errand *next; errand; errand = next) {
        next = errand->next;
        resume(passage, errand, wall_us, jobs);
    }
    if (some)
        resume_parked(passage, wall_us, jobs);
    if (passage->draining) {
        bide_quarantine_withdraw(&passage->gates.quarantine, NULL, NULL, jobs);
        settle_all(passage, jobs);
    }
    bide_job_pick(jobs, bide_gates_stop, NULL, &stopped);
    give_back(passage, &stopped);
}

bide_code bide_passage_receive(struct bide_passage *passage, size_t *ret_n, bide_error *error)
{
    struct bide_receiver *receiver = passage->settling.receiver;
    struct bide_delivery *deliveries[BIDE_BATCH];
    struct bide_job_list jobs = {0};
    bide_code code = receiver->ops->receive(receiver, deliveries, BIDE_BATCH, ret_n, error);
    if (code != BIDE_OK)
        return code;
    passage->received += *ret_n;
    if (*ret_n > 0)
        BIDE_KILL_POINT("worker/received");
    if (bide_gates_obey(&passage->gates))
        give_back_stopped(passage);
    int64_t wall_us = bide_wall_us(passage->site.clock);
    if (passage->site.clerk)
        bide_passage_take_answers(passage, wall_us, &jobs);
    for (size_t i = 0; i < *ret_n; i++)
        bide_passage_take_in(passage, deliveries[i], wall_us, &jobs);
    submit(passage, &jobs);
    if (passage->site.clerk)
        bide_clerk_wake(passage->site.clerk);
    bide_settle_flush(&passage->settling);
    return BIDE_OK;
}

static bool waits_since(const void *user, const struct bide_job *job)
{
    const int64_t *since_us = user;
    return job->ready_us < *since_us;
}

/* Behind runs that take minutes, a broker would take away what only waits, and run it twice. Handed back, its
 * time begins anew; another worker may have it. */
static void release_what_waits_long(struct bide_passage *passage, int64_t now_us)
{
    struct bide_receiver *receiver = passage->settling.receiver;
    struct bide_job_list jobs = {0};
    struct bide_receiver_stats stats = {0};
    if (now_us < passage->look_us)
        return;
    receiver->ops->stats(receiver, &stats);
    passage->look_us = now_us + (stats.patience_us ? stats.patience_us / 4 : LOOK_EVERY_US);
    if (stats.patience_us == 0 || passage->out == 0)
        return;
    int64_t since_us = now_us - stats.patience_us;
    bide_pool_withdraw(passage->pool, waits_since, &since_us, &jobs);
    settle_all(passage, &jobs);
}

void bide_passage_ask_gates(struct bide_passage *passage, int64_t now_us)
{
    if (bide_gates_round(&passage->gates, now_us))
        give_back_stopped(passage);
    bide_passage_tell_limits(passage);
}

void bide_passage_adapt(struct bide_passage *passage, int64_t now_us)
{
    release_what_waits_long(passage, now_us);
    if (!passage->draining) {
        bide_passage_adapt_prefetch(passage, now_us);
        bide_passage_ask_gates(passage, now_us);
    }
    bide_settle_flush(&passage->settling);
}

int64_t bide_passage_wait_us(struct bide_passage *passage, int64_t at_most_us)
{
    const int64_t wanted_us[] = {
        bide_pool_tick(passage->pool, bide_passage_patience(passage)),
        bide_quarantine_wait_us(&passage->gates.quarantine),
        passage->gates.round.wait_us,
        passage->out > 0 ? OVERDUE_US : -1,
    };
    for (size_t i = 0; i < sizeof wanted_us / sizeof wanted_us[0]; i++)
        if (wanted_us[i] >= 0 && wanted_us[i] < at_most_us)
            at_most_us = wanted_us[i];
    return at_most_us;
}

/* ---- the end ---- */

size_t bide_passage_drain(struct bide_passage *passage)
{
    struct bide_job_list jobs = {0};
    passage->draining = true;
    passage->settling.receiver->ops->stop(passage->settling.receiver);
    withdraw(passage, NULL, NULL, &jobs);
    size_t n = jobs.n;
    settle_all(passage, &jobs);
    bide_settle_flush(&passage->settling);
    return n;
}

/* The clerk has been stopped. */
static void take_unanswered(struct bide_passage *passage, struct bide_job_list *jobs)
{
    struct bide_errand *errand = bide_clerk_take(passage->site.clerk);
    for (struct bide_errand *next; errand; errand = next) {
        next = errand->next;
        bide_job_append(jobs, errand->job);
        bide_clerk_free(passage->site.clerk, errand);
    }
}

size_t bide_passage_forget(struct bide_passage *passage)
{
    struct bide_receiver *receiver = passage->settling.receiver;
    struct bide_job_list jobs = {0};
    struct bide_job *job;
    bide_pool_collect(passage->pool, 0, &jobs);
    withdraw(passage, NULL, NULL, &jobs);
    for (job = jobs.first; job; job = job->next)
        passage->out -= job->submitted;
    if (passage->site.clerk)
        take_unanswered(passage, &jobs);
    bide_job_append_all(&jobs, &passage->parked);
    size_t n = jobs.n;
    while ((job = bide_job_pop(&jobs))) {
        if (job->permit)
            bide_clerk_free(passage->site.clerk, job->permit);
        bide_free(job->limits);
        bide_run_release(&job->run);
        receiver->ops->forget(receiver, job->delivery);
    }
    return n;
}
