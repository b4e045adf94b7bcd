#include "worker/intake.h"

#include <signal.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/killpoint.h"
#include "base/alloc.h"

enum {
    OVERDUE_US = 100 * 1000,        /* a landed message that has not begun goes back after so long */
    CANCEL_GRACE_US = 500 * 1000,   /* for handlers to return once cancelled */
    LEAVE_US = 5 * 1000 * 1000,     /* for the last settlements */
    LONGEST_SLEEP_US = 5 * 1000000, /* a bound, so that the supervisor sees it is awake */
};

bide_code bide_intake_init(struct bide_intake *intake, const struct bide_config *config,
    struct bide_handlers *handlers, const struct bide_clock *clock, bide_error *error)
{
    *intake = (struct bide_intake){.config = config, .clock = clock, .handlers = handlers, .wakeup = {-1}};
    bide_arena_init(&intake->jobs);
    intake->prefetch = bide_calloc(config->n_queues, sizeof *intake->prefetch);
    if (!intake->prefetch)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (getrandom(intake->random, sizeof intake->random, 0) != (ssize_t)sizeof intake->random)
        intake->random[0] = (unsigned short)bide_mono_us(clock); /* jitter needs no more than a difference */
    return bide_wakeup_init(&intake->wakeup, error);
}

void bide_intake_clear(struct bide_intake *intake)
{
    bide_wakeup_close(&intake->wakeup);
    bide_holding_clear(intake);
    bide_free(intake->prefetch);
    bide_arena_release(&intake->jobs);
}

void bide_intake_stop(struct bide_intake *intake)
{
    atomic_fetch_add(&intake->stops, 1);
    bide_wakeup_signal(&intake->wakeup);
}

/* ---- a round ---- */

static void settle_all(struct bide_intake *intake, struct bide_job_list *jobs)
{
    struct bide_job *job;
    while ((job = bide_job_pop(jobs)))
        bide_intake_settle_job(intake, job);
}

static void collect(struct bide_intake *intake)
{
    struct bide_job_list jobs = {0};
    bide_pool_collect(intake->pool, OVERDUE_US, &jobs);
    settle_all(intake, &jobs);
    bide_intake_flush(intake);
}

/* The limits count only what could run at once. `early` is decided here alone, when a job is new: it says how
 * the job is counted until it comes back, however long the quarantine keeps it, and whatever the time is when
 * the pool gets it. */
static void mark_early(struct bide_intake *intake, struct bide_job_list *jobs)
{
    int64_t now_us = bide_wall_us(intake->clock);
    for (struct bide_job *job = jobs->first; job; job = job->next)
        job->early = job->delivery->message->due_ms * 1000 > now_us;
}

static void submit(struct bide_intake *intake, struct bide_job_list *jobs)
{
    struct bide_job_list refused = {0};
    size_t n = jobs->n;
    for (struct bide_job *job = jobs->first; job; job = job->next)
        if (!job->early)
            bide_prefetch_took(&intake->prefetch[job->delivery->queue], 1);
    intake->out += n;
    bide_pool_submit(intake->pool, jobs, &refused);
    settle_all(intake, &refused);
}

static bool everything_is_final(struct bide_intake *intake)
{
    struct bide_receiver_stats stats;
    intake->receiver->ops->stats(intake->receiver, &stats);
    return stats.unsettled == 0;
}

static bide_code receive(struct bide_intake *intake, size_t *ret_n, bide_error *error)
{
    struct bide_delivery *deliveries[BIDE_INTAKE_BATCH];
    struct bide_job_list jobs = {0};
    bide_code code =
        intake->receiver->ops->receive(intake->receiver, deliveries, BIDE_INTAKE_BATCH, ret_n, error);
    if (code != BIDE_OK)
        return code;
    intake->counts.received += *ret_n;
    if (*ret_n > 0)
        BIDE_KILL_POINT("worker/received");
    bide_holding_obey(intake);
    for (size_t i = 0; i < *ret_n; i++)
        bide_intake_triage(intake, deliveries[i], &jobs);
    mark_early(intake, &jobs);
    bide_quarantine_admit(
        &intake->quarantine, &jobs, intake->out, everything_is_final(intake), bide_mono_us(intake->clock));
    submit(intake, &jobs);
    bide_intake_flush(intake);
    return BIDE_OK;
}

static bool waits_since(const void *user, const struct bide_job *job)
{
    const int64_t *since_us = user;
    return job->ready_us < *since_us;
}

/* Behind runs that take minutes, a broker would take away what only waits, and run it twice. Handed back, its
 * time begins anew; another worker may have it. */
static void release_what_waits_long(struct bide_intake *intake, int64_t now_us)
{
    struct bide_job_list jobs = {0};
    struct bide_receiver_stats stats = {0};
    if (now_us < intake->look_us)
        return;
    intake->receiver->ops->stats(intake->receiver, &stats);
    intake->look_us = now_us + (stats.patience_us ? stats.patience_us / 4 : LONGEST_SLEEP_US);
    if (stats.patience_us == 0 || intake->out == 0)
        return;
    int64_t since_us = now_us - stats.patience_us;
    bide_pool_withdraw(intake->pool, waits_since, &since_us, &jobs);
    settle_all(intake, &jobs);
    bide_intake_flush(intake);
}

static void adapt_prefetch(struct bide_intake *intake, int64_t now_us)
{
    if (intake->stage != BIDE_INTAKE_SERVING)
        return;
    bool dry = bide_pool_ran_dry(intake->pool);
    bool strict = intake->config->worker.order == BIDE_ORDER_STRICT;
    for (size_t i = 0; i < intake->config->n_queues; i++) {
        bool has_more = intake->prefetch[i].reached;
        bide_prefetch_adapt(&intake->prefetch[i], dry, now_us);
        if (strict && has_more) /* what the pool lacked was this queue's: the lower ones need no more */
            dry = false;
    }
}

/* ---- the end ---- */

static void enter(struct bide_intake *intake, enum bide_intake_stage stage, int64_t ends_us)
{
    intake->stage = stage;
    intake->stage_ends_us = ends_us;
}

static void release_quarantine(struct bide_intake *intake)
{
    struct bide_job_list jobs = {0};
    struct bide_job *job;
    bide_quarantine_withdraw(&intake->quarantine, NULL, NULL, &jobs);
    while ((job = bide_job_pop(&jobs))) {
        bide_holding_report(intake, job, BIDE_SIGN_NONE);
        bide_intake_count(intake, job->delivery->message, job->handler, BIDE_COUNT_RELEASED, NULL, NULL);
        bide_intake_settle(
            intake, &(struct bide_settlement){.delivery = job->delivery, .verdict = BIDE_VERDICT_RELEASE});
        bide_job_append(&intake->free_jobs, job);
    }
}

static void wake_supervisor(const struct bide_intake *intake)
{
    if (getppid() ==
        intake->supervised->supervisor) /* else it is dead, and this one is about to hear of it */
        kill(intake->supervised->supervisor, SIGUSR1);
}

/* Before anything is handed back: the supervisor knows of it however late it looks. The first reason holds.
 */
static void say_leaving(const struct bide_intake *intake, enum bide_leaving why)
{
    int stays = BIDE_STAYS;
    if (intake->supervised &&
        atomic_compare_exchange_strong(&intake->supervised->process->leaving, &stays, (int)why))
        wake_supervisor(intake);
}

/* A handler that went on beyond timeout + kill_after cannot be stopped within this process: the supervisor
 * starts another one, and this one finishes what else it has. */
static void make_way_when_hung(struct bide_intake *intake)
{
    if (intake->stage != BIDE_INTAKE_SERVING || bide_pool_find_hung(intake->pool) == 0)
        return;
    bide_log(BIDE_LOG_ERROR, "a handler does not return: this process is replaced");
    say_leaving(intake, BIDE_LEAVES_HUNG);
    bide_intake_stop(intake);
}

/* A process that a reload replaces is in nobody's way: its handlers get all the time they take, until the
 * whole worker stops. */
static int64_t drain_ends_us(const struct bide_intake *intake, int64_t now_us)
{
    bool unhurried = intake->supervised && atomic_load(&intake->supervised->process->unhurried);
    return unhurried ? INT64_MAX : now_us + intake->config->worker.drain_ms * 1000;
}

static void begin_to_drain(struct bide_intake *intake, int64_t now_us)
{
    struct bide_job_list jobs = {0};
    say_leaving(intake, BIDE_LEAVES);
    intake->receiver->ops->stop(intake->receiver);
    bide_pool_withdraw(intake->pool, NULL, NULL, &jobs);
    release_quarantine(intake);
    bide_log(BIDE_LOG_INFO, "worker draining", BIDE_INT("running", intake->out - jobs.n),
        BIDE_INT("handed_back", jobs.n));
    settle_all(intake, &jobs);
    bide_intake_flush(intake);
    enter(intake, BIDE_INTAKE_DRAINING, drain_ends_us(intake, now_us));
}

static void begin_to_cancel(struct bide_intake *intake, int64_t now_us)
{
    bide_log(BIDE_LOG_WARN, "worker leaves before its handlers are done", BIDE_INT("running", intake->out));
    bide_pool_cancel(intake->pool);
    enter(intake, BIDE_INTAKE_CANCELLING, now_us + CANCEL_GRACE_US);
}

static bool only_hung_ones_left(struct bide_intake *intake)
{
    return intake->supervised && intake->out <= bide_pool_find_hung(intake->pool);
}

static void begin_to_leave(struct bide_intake *intake, int64_t now_us)
{
    enter(intake, BIDE_INTAKE_LEAVING, now_us + LEAVE_US);
}

static void leave_stage_if_over(struct bide_intake *intake, int64_t now_us)
{
    int stops = atomic_load(&intake->stops);
    bool over = now_us >= intake->stage_ends_us; /* of this stage: each has a time of its own */
    switch (intake->stage) {
    case BIDE_INTAKE_SERVING:
        if (stops > 0)
            begin_to_drain(intake, now_us);
        break;
    case BIDE_INTAKE_DRAINING:
        if (intake->stage_ends_us == INT64_MAX) /* there may be some hurry now */
            intake->stage_ends_us = drain_ends_us(intake, now_us);
        if (intake->out == 0 || only_hung_ones_left(intake))
            begin_to_leave(intake, now_us);
        else if (stops > 1 || over)
            begin_to_cancel(intake, now_us);
        break;
    case BIDE_INTAKE_CANCELLING:
        if (intake->out == 0 || over)
            begin_to_leave(intake, now_us);
        break;
    case BIDE_INTAKE_LEAVING:
        if (everything_is_final(intake) || over)
            enter(intake, BIDE_INTAKE_ENDED, INT64_MAX);
        break;
    case BIDE_INTAKE_ENDED:
        break;
    }
}

static void advance_stage(struct bide_intake *intake, int64_t now_us)
{
    enum bide_intake_stage before;
    do {
        before = intake->stage;
        leave_stage_if_over(intake, now_us);
    } while (intake->stage != before);
}

/* Idle is who takes all that the broker has and finds nothing: not while the broker is away, a circuit is
 * open or an operator has paused something. */
static bool is_idle(struct bide_intake *intake, size_t received)
{
    struct bide_receiver_stats stats;
    intake->receiver->ops->stats(intake->receiver, &stats);
    bool holds = intake->holding.waits || bide_quarantine_wait_us(&intake->quarantine) >= 0;
    return received == 0 && intake->out == 0 && stats.unsettled == 0 && stats.connected && !holds;
}

static void leave_when_idle(struct bide_intake *intake, size_t received, int64_t now_us)
{
    if (intake->exit_idle_us == 0)
        return;
    if (!is_idle(intake, received))
        intake->busy_us = now_us;
    if (now_us - intake->busy_us >= intake->exit_idle_us && atomic_load(&intake->stops) == 0) {
        say_leaving(intake, BIDE_LEAVES_IDLE);
        bide_intake_stop(intake);
    }
}

/* ---- waiting ---- */

static void shorten(int64_t *timeout_us, int64_t wanted_us)
{
    if (wanted_us >= 0 && wanted_us < *timeout_us)
        *timeout_us = wanted_us;
}

/* How many acknowledgements the broker can wait for a moment without holding messages back for them. */
static size_t patience(const struct bide_intake *intake)
{
    size_t least = BIDE_PREFETCH_MAX;
    for (size_t i = 0; i < intake->config->n_queues; i++)
        if (intake->prefetch[i].limit < least)
            least = intake->prefetch[i].limit;
    return least / 4;
}

static int64_t choose_timeout(struct bide_intake *intake, int64_t adapter_us, int64_t now_us)
{
    int64_t timeout_us = LONGEST_SLEEP_US;
    shorten(&timeout_us, adapter_us);
    shorten(&timeout_us, bide_pool_tick(intake->pool, patience(intake)));
    shorten(&timeout_us, bide_quarantine_wait_us(&intake->quarantine));
    shorten(&timeout_us, intake->holding.wait_us);
    if (intake->out > 0)
        shorten(&timeout_us, OVERDUE_US);
    if (intake->stage != BIDE_INTAKE_SERVING)
        shorten(&timeout_us, intake->stage_ends_us > now_us ? intake->stage_ends_us - now_us : 0);
    if (intake->exit_idle_us > 0) {
        int64_t left_us = intake->busy_us + intake->exit_idle_us - now_us;
        shorten(&timeout_us, left_us > 0 ? left_us : 0);
    }
    return timeout_us;
}

static void wait_for_something(struct bide_intake *intake, int64_t now_us)
{
    struct bide_wait wait = {.timeout_us = -1};
    intake->receiver->ops->wait(intake->receiver, &wait);
    struct pollfd fds[BIDE_WAIT_FDS + 1];
    for (size_t i = 0; i < wait.n_fds; i++)
        fds[i] = wait.fds[i];
    fds[wait.n_fds] = (struct pollfd){.fd = intake->wakeup.fd, .events = POLLIN};
    int64_t timeout_us = choose_timeout(intake, wait.timeout_us, now_us);
    struct timespec timeout = {.tv_sec = timeout_us / 1000000, .tv_nsec = timeout_us % 1000000 * 1000};
    ppoll(fds, wait.n_fds + 1, &timeout, NULL);
    if (fds[wait.n_fds].revents)
        bide_wakeup_drain(&intake->wakeup);
}

static bide_code begin(struct bide_intake *intake, bide_error *error)
{
    bide_code code = bide_holding_init(intake, error);
    if (code != BIDE_OK)
        return code;
    for (size_t i = 0; i < intake->config->n_queues; i++)
        bide_prefetch_init(
            &intake->prefetch[i], intake->config->worker.prefetch, (size_t)intake->config->worker.threads);
    intake->busy_us = bide_mono_us(intake->clock);
    bide_quarantine_init(&intake->quarantine, (size_t)intake->config->worker.threads, intake->busy_us);
    bide_holding_obey(intake);
    bide_holding_look(intake, intake->busy_us);
    if (intake->supervised) {
        atomic_store(&intake->supervised->process->serving, 1);
        wake_supervisor(intake);
    }
    return BIDE_OK;
}

bide_code bide_intake_run(struct bide_intake *intake, bide_error *error)
{
    bide_code code = begin(intake, error);
    if (code != BIDE_OK)
        return code;
    for (;;) {
        size_t received;
        collect(intake);
        code = receive(intake, &received, error);
        if (code != BIDE_OK)
            return code;
        if (bide_handlers_lost(intake->handlers))
            return bide_fail(
                error, BIDE_E_INTERNAL, "the process that forks sandboxes has ended, or does not answer");
        int64_t now_us = bide_mono_us(intake->clock);
        if (intake->supervised)
            atomic_store_explicit(&intake->supervised->process->beat_ms, now_us / 1000, memory_order_relaxed);
        release_what_waits_long(intake, now_us);
        adapt_prefetch(intake, now_us);
        bide_holding_look(intake, now_us);
        bide_intake_flush(intake);
        make_way_when_hung(intake);
        leave_when_idle(intake, received, now_us);
        advance_stage(intake, now_us);
        if (intake->stage == BIDE_INTAKE_ENDED)
            return BIDE_OK;
        bide_intake_measure(intake, now_us);
        if (received < BIDE_INTAKE_BATCH)
            wait_for_something(intake, now_us);
    }
}

void bide_intake_report_hung(struct bide_intake *intake)
{
    const struct bide_supervised *supervised = intake->supervised;
    for (int i = 0; supervised && i < intake->config->worker.threads; i++) {
        const struct bide_slot *slot = &supervised->process->slots[i];
        if (atomic_load(&slot->state) == BIDE_SLOT_HUNG)
            bide_crashes_note(supervised->crashes, slot->id, slot->attempt, true, BIDE_CRASH_HUNG);
    }
}
