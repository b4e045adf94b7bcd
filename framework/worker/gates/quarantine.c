#include "worker/gates/quarantine.h"

enum {
    TURN_US = 250 * 1000,   /* the others' turn between two of these */
    IDLE_US = 30 * 1000,    /* nothing else for so long: there are no others */
    SETTLE_US = 500 * 1000, /* for what has run to be settled before one starts */
    ALONE_US = 50 * 1000,   /* for one to show what it does before others start beside it */
    DEATH_SHIFT = 2,        /* both four times as long with each death that it was near … */
    DEATH_SHIFT_MAX = 10,   /* … at most 51 s alone */
    LOOK_US = 5 * 1000,
};

void bide_quarantine_init(struct bide_quarantine *quarantine, size_t threads, int64_t now_us)
{
    *quarantine = (struct bide_quarantine){.room = threads, .others_us = now_us, .turn_us = now_us + TURN_US};
}

bool bide_quarantine_is_full(const struct bide_quarantine *quarantine, size_t queue, size_t limit)
{
    size_t of_queue = quarantine->runs && quarantine->running_queue == queue;
    for (const struct bide_job *job = quarantine->waiting.first; job; job = job->next)
        of_queue += job->delivery->queue == queue;
    return quarantine->waiting.n >= quarantine->room || of_queue >= (limit > 2 ? limit / 2 : 1);
}

static void hold(struct bide_quarantine *quarantine, struct bide_job_list *jobs)
{
    bide_job_append_all(&quarantine->held, jobs);
}

static void let_go(struct bide_quarantine *quarantine, struct bide_job_list *jobs)
{
    bide_job_append_all(&quarantine->held, jobs);
    bide_job_append_all(jobs, &quarantine->held);
}

/* A handler that takes seconds to use up the memory, beside others that take long, is found out, too. */
static int64_t stretch_us(const struct bide_job *job, int64_t us)
{
    int shift = DEATH_SHIFT * job->deaths;
    return us << (shift < DEATH_SHIFT_MAX ? shift : DEATH_SHIFT_MAX);
}

static bool is_its_turn(const struct bide_quarantine *quarantine, int64_t now_us)
{
    return now_us >= quarantine->turn_us || now_us - quarantine->others_us >= IDLE_US;
}

void bide_quarantine_admit(
    struct bide_quarantine *quarantine, struct bide_job_list *jobs, size_t out, bool settled, int64_t now_us)
{
    if (jobs->n > 0 || quarantine->held.n > 0 || out > quarantine->runs)
        quarantine->others_us = now_us;
    bool waits = quarantine->waiting.first && !quarantine->runs;
    if (waits && quarantine->quiet_ends_us == 0 && is_its_turn(quarantine, now_us))
        quarantine->quiet_ends_us = now_us + stretch_us(quarantine->waiting.first, SETTLE_US);
    if (quarantine->quiet_ends_us == 0 || (quarantine->runs && now_us >= quarantine->quiet_ends_us)) {
        let_go(quarantine, jobs);
        return;
    }
    hold(quarantine, jobs);
    if (waits && (settled || now_us >= quarantine->quiet_ends_us)) {
        quarantine->runs = true;
        quarantine->quiet_ends_us = now_us + stretch_us(quarantine->waiting.first, ALONE_US);
        quarantine->running_queue = quarantine->waiting.first->delivery->queue;
        bide_job_append(jobs, bide_job_pop(&quarantine->waiting));
    }
}

void bide_quarantine_ran(struct bide_quarantine *quarantine, int64_t now_us)
{
    quarantine->runs = false;
    quarantine->quiet_ends_us = 0;
    quarantine->turn_us = now_us + TURN_US;
}

void bide_quarantine_withdraw(
    struct bide_quarantine *quarantine, bide_job_test *test, const void *user, struct bide_job_list *to)
{
    if (test) {
        bide_job_pick(&quarantine->waiting, test, user, to);
        bide_job_pick(&quarantine->held, test, user, to);
        if (!quarantine->waiting.first && !quarantine->runs)
            quarantine->quiet_ends_us = 0; /* nobody is left for whom the others have to wait */
        return;
    }
    bide_job_append_all(to, &quarantine->waiting);
    bide_job_append_all(to, &quarantine->held);
}

int64_t bide_quarantine_wait_us(const struct bide_quarantine *quarantine)
{
    bool waits = quarantine->waiting.first && !quarantine->runs;
    return waits || quarantine->held.first ? LOOK_US : -1;
}
