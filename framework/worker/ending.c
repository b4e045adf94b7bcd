#include "worker/ending.h"

#include <signal.h>
#include <unistd.h>

enum {
    CANCEL_GRACE_US = 500 * 1000, /* for handlers to return once cancelled */
    LEAVE_US = 5 * 1000 * 1000,   /* for the last settlements, where `drain` leaves less */
    AWAY_MS = 5000,               /* for how long a store may be away that is waited for */
    LOOK_US = 500 * 1000,         /* while this process ends: how often to look at that */
};

static void wake_supervisor(const struct bide_supervised *supervised)
{
    if (getppid() == supervised->supervisor) /* else it is dead, and this one is about to hear of it */
        kill(supervised->supervisor, SIGUSR1);
}

void bide_ending_begin(struct bide_ending *ending, const struct bide_passage *passage)
{
    const struct bide_supervised *supervised = passage->site.supervised;
    ending->busy_us = bide_mono_us(passage->site.clock);
    if (!supervised)
        return;
    atomic_store(&supervised->process->serving, 1);
    wake_supervisor(supervised);
}

/* ---- reasons to end ---- */

/* Before anything is handed back: the supervisor knows of it however late it looks. The first reason holds.
 */
static void say_leaving(const struct bide_passage *passage, enum bide_leaving why)
{
    const struct bide_supervised *supervised = passage->site.supervised;
    int stays = BIDE_STAYS;
    if (supervised && atomic_compare_exchange_strong(&supervised->process->leaving, &stays, (int)why))
        wake_supervisor(supervised);
}

/* A handler that went on beyond timeout + kill_after cannot be stopped within this process: the supervisor
 * starts another one, and this one finishes what else it has. */
static void make_way_when_hung(struct bide_ending *ending, struct bide_passage *passage)
{
    if (ending->stage != BIDE_STAGE_SERVING || bide_pool_find_hung(passage->pool) == 0)
        return;
    bide_log(BIDE_LOG_ERROR, "a handler does not return: this process is replaced");
    say_leaving(passage, BIDE_LEAVES_HUNG);
    atomic_fetch_add(&ending->stops, 1);
}

/* Idle is who takes all that the broker has and finds nothing: not while the broker is away, a circuit is
 * open or an operator has paused something. */
static bool is_idle(const struct bide_passage *passage, size_t received)
{
    struct bide_receiver_stats stats;
    passage->settling.receiver->ops->stats(passage->settling.receiver, &stats);
    return received == 0 && bide_passage_in_hand(passage) == 0 && stats.unsettled == 0 && stats.connected &&
           !passage->gates.round.waits;
}

static void leave_when_idle(
    struct bide_ending *ending, const struct bide_passage *passage, size_t received, int64_t now_us)
{
    if (ending->exit_idle_us == 0)
        return;
    if (!is_idle(passage, received))
        ending->busy_us = now_us;
    if (now_us - ending->busy_us >= ending->exit_idle_us && atomic_load(&ending->stops) == 0) {
        say_leaving(passage, BIDE_LEAVES_IDLE);
        atomic_fetch_add(&ending->stops, 1);
    }
}

/* ---- stages ---- */

static void enter(struct bide_ending *ending, enum bide_stage stage, int64_t ends_us)
{
    ending->stage = stage;
    ending->ends_us = ends_us;
}

/* A process that a reload replaces is in nobody's way: its handlers get all the time they take, until the
 * whole worker stops. */
static int64_t drain_ends_us(const struct bide_passage *passage, int64_t now_us)
{
    const struct bide_supervised *supervised = passage->site.supervised;
    bool unhurried = supervised && atomic_load(&supervised->process->unhurried);
    return unhurried ? INT64_MAX : now_us + passage->site.config->worker.drain_ms * 1000;
}

static void begin_to_drain(struct bide_ending *ending, struct bide_passage *passage, int64_t now_us)
{
    say_leaving(passage, BIDE_LEAVES);
    size_t handed_back = bide_passage_drain(passage);
    bide_log(BIDE_LOG_INFO, "worker draining", BIDE_INT("running", passage->out),
        BIDE_INT("handed_back", handed_back));
    enter(ending, BIDE_STAGE_DRAINING, drain_ends_us(passage, now_us));
}

static void begin_to_cancel(struct bide_ending *ending, struct bide_passage *passage, int64_t now_us)
{
    if (passage->out > 0) /* else only the store was waited for */
        bide_log(
            BIDE_LOG_WARN, "worker leaves before its handlers are done", BIDE_INT("running", passage->out));
    passage->cutting = true;
    bide_pool_cancel(passage->pool);
    enter(ending, BIDE_STAGE_CANCELLING, now_us + CANCEL_GRACE_US);
}

/* What the store must know before it is settled is waited for, also where the store is away for a moment. If
 * it stays away, that is settled all the same, or handed out again, as its gate says. */
static bool waits_for_store(const struct bide_passage *passage)
{
    return bide_passage_waiting(passage) > 0 && bide_clerk_away_ms(passage->site.clerk) < AWAY_MS;
}

/* What is left of `drain` is for the last settlements, too: where the broker is away, and back within it,
 * nothing runs twice. */
static int64_t leave_ends_us(
    const struct bide_ending *ending, const struct bide_passage *passage, int64_t now_us)
{
    int64_t least_us = now_us + LEAVE_US, most_us = now_us + passage->site.config->worker.drain_ms * 1000;
    int64_t ends_us = ending->ends_us < most_us ? ending->ends_us : most_us;
    bool has_time = ending->stage == BIDE_STAGE_DRAINING && atomic_load(&ending->stops) < 2;
    return has_time && ends_us > least_us ? ends_us : least_us;
}

static void begin_to_leave(struct bide_ending *ending, struct bide_passage *passage, int64_t now_us)
{
    passage->cutting = true;
    if (passage->site.clerk)
        bide_clerk_give_up(passage->site.clerk);
    enter(ending, BIDE_STAGE_LEAVING, leave_ends_us(ending, passage, now_us));
}

/* Somebody is in a hurry now: a second signal, or the whole worker stops. */
static void hurry(struct bide_ending *ending, const struct bide_passage *passage, int64_t now_us)
{
    if (ending->ends_us == INT64_MAX)
        ending->ends_us = drain_ends_us(passage, now_us);
    if (atomic_load(&ending->stops) > 1 && ending->ends_us > now_us + LEAVE_US)
        ending->ends_us = now_us + LEAVE_US;
}

static bool only_hung_ones_left(const struct bide_passage *passage)
{
    return passage->site.supervised && passage->out <= bide_pool_find_hung(passage->pool);
}

static void leave_stage_if_over(struct bide_ending *ending, struct bide_passage *passage, int64_t now_us)
{
    int stops = atomic_load(&ending->stops);
    bool over = now_us >= ending->ends_us; /* of this stage */
    switch (ending->stage) {
    case BIDE_STAGE_SERVING:
        if (stops > 0)
            begin_to_drain(ending, passage, now_us);
        break;
    case BIDE_STAGE_DRAINING:
        hurry(ending, passage, now_us);
        if ((passage->out == 0 || only_hung_ones_left(passage)) && !waits_for_store(passage))
            begin_to_leave(ending, passage, now_us);
        else if (stops > 1 || over)
            begin_to_cancel(ending, passage, now_us);
        break;
    case BIDE_STAGE_CANCELLING:
        if ((passage->out == 0 && !waits_for_store(passage)) || over)
            begin_to_leave(ending, passage, now_us);
        break;
    case BIDE_STAGE_LEAVING:
        hurry(ending, passage, now_us);
        if ((bide_passage_waiting(passage) == 0 && bide_settled_for_good(&passage->settling)) || over)
            enter(ending, BIDE_STAGE_ENDED, INT64_MAX);
        break;
    case BIDE_STAGE_ENDED:
        break;
    }
}

void bide_ending_advance(
    struct bide_ending *ending, struct bide_passage *passage, size_t received, int64_t now_us)
{
    enum bide_stage before;
    make_way_when_hung(ending, passage);
    leave_when_idle(ending, passage, received, now_us);
    do {
        before = ending->stage;
        leave_stage_if_over(ending, passage, now_us);
    } while (ending->stage != before);
}

int64_t bide_ending_wait_us(const struct bide_ending *ending, int64_t now_us)
{
    int64_t ends_us = ending->stage == BIDE_STAGE_SERVING ? INT64_MAX : ending->ends_us;
    bool looks = ending->stage == BIDE_STAGE_DRAINING || ending->stage == BIDE_STAGE_LEAVING;
    if (looks && ends_us > now_us + LOOK_US)
        ends_us = now_us + LOOK_US;
    if (ending->exit_idle_us > 0 && ending->busy_us + ending->exit_idle_us < ends_us)
        ends_us = ending->busy_us + ending->exit_idle_us;
    if (ends_us == INT64_MAX)
        return -1;
    return ends_us > now_us ? ends_us - now_us : 0;
}

void bide_ending_report_hung(const struct bide_passage *passage)
{
    const struct bide_supervised *supervised = passage->site.supervised;
    for (int i = 0; supervised && i < passage->site.config->worker.threads; i++) {
        const struct bide_slot *slot = &supervised->process->slots[i];
        if (atomic_load(&slot->state) == BIDE_SLOT_HUNG && slot->n == 1)
            bide_crashes_note(supervised->crashes, slot->key, slot->attempt, true, BIDE_CRASH_HUNG);
    }
}
