/* worker/intake.h: the loop between the broker and the pool.
 *
 * One thread, the one that calls bide_worker_run, owns the receiver: it takes deliveries in, routes them by
 * type, hands them to the pool as jobs, collects what has run, asks outcome/ what becomes of it, and settles.
 * It runs no handler and waits in one place (ppoll), so that settling and the broker's heartbeats never wait
 * for user code.
 *
 *   receive ─> triage ─> pool ─> collect ─> decide ─> settle
 *
 * Thread-safety: everything is the intake thread's; bide_intake_stop is for any thread and signal handlers.
 */
#ifndef BIDE_WORKER_INTAKE_H
#define BIDE_WORKER_INTAKE_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/wakeup.h"
#include "broker/broker.h"
#include "config/config.h"
#include "dispatch/handler.h"
#include "dispatch/pool.h"
#include "outcome/decide.h"
#include "shared/memory.h"
#include "worker/holding.h"
#include "worker/prefetch.h"
#include "worker/quarantine.h"

enum { BIDE_INTAKE_BATCH = 512 };

/* How a worker ends. */
enum bide_intake_stage {
    BIDE_INTAKE_SERVING,
    BIDE_INTAKE_DRAINING,   /* takes nothing new; what runs may finish */
    BIDE_INTAKE_CANCELLING, /* what runs has been told to return */
    BIDE_INTAKE_LEAVING,    /* the last settlements become final */
    BIDE_INTAKE_ENDED,
};

struct bide_worker_counts {
    uint64_t received, by_kind[BIDE_COUNTS];
};

struct bide_intake {
    const struct bide_config *config;
    const struct bide_clock *clock;
    struct bide_receiver *receiver;
    struct bide_handlers *handlers;
    struct bide_pool *pool;
    struct bide_wakeup wakeup;
    _Atomic int stops;                        /* how often somebody asked it to stop */
    const struct bide_supervised *supervised; /* NULL without a supervisor */
    struct bide_metrics *metrics;             /* NULL without a supervisor */
    struct {
        uint64_t received, reconnects, lost; /* what `metrics` knows of */
    } measured;
    int64_t measured_us;               /* monotonic: when the pool was last asked */
    struct bide_quarantine quarantine; /* known from a crash: run one at a time */

    struct bide_prefetch *prefetch; /* one a queue */
    struct bide_holding holding;
    struct bide_arena jobs;
    struct bide_job_list free_jobs;
    size_t out; /* jobs in the pool's hands */

    struct bide_settlement settlements[BIDE_INTAKE_BATCH]; /* decided, not yet handed to the receiver */
    size_t n_settlements;
    unsigned short random[3]; /* of erand48 */

    enum bide_intake_stage stage;
    int64_t stage_ends_us; /* monotonic */
    int64_t exit_idle_us;  /* 0: never */
    int64_t look_us;       /* monotonic: the next look for what has waited too long */
    int64_t busy_us;       /* monotonic: last time there was something to do */
    struct bide_worker_counts counts;
};

/* receiver and pool are set before run; the rest of what is given is borrowed. */
bide_code bide_intake_init(struct bide_intake *intake, const struct bide_config *config,
    struct bide_handlers *handlers, const struct bide_clock *clock, bide_error *error);
/* After the pool has given everything back. */
void bide_intake_clear(struct bide_intake *intake);

/* Serves until told to stop, idle for so long, or the receiver fails for good. */
bide_code bide_intake_run(struct bide_intake *intake, bide_error *error);

void bide_intake_stop(struct bide_intake *intake);

/* After the pool has been stopped: tells the supervisor which messages hung, before the broker can hand them
 * out. */
void bide_intake_report_hung(struct bide_intake *intake);

/* ---- between intake.c, triage.c, settling.c, holding.c and measuring.c ---- */

/* Gives each handler its row in `metrics` and tells there what handles its type: before run, and again after
 * handlers were added or replaced. */
void bide_intake_count_handlers(struct bide_intake *intake);
/* Once a round, before waiting: the gauges. */
void bide_intake_measure(struct bide_intake *intake, int64_t now_us);
/* A message is about to be settled: counts it, by its handler's type (NULL: no such), and tells those who
 * follow. run: NULL where nothing ran. */
void bide_intake_count(struct bide_intake *intake, const struct bide_message *message,
    const struct bide_handler *handler, enum bide_outcome_kind kind, const struct bide_run *run,
    const char *error);

/* Routes one delivery: a job for the pool in `jobs`, or a settlement at once where it cannot be run. */
void bide_intake_triage(
    struct bide_intake *intake, struct bide_delivery *delivery, struct bide_job_list *jobs);
/* The job is out of the pool: no longer counted as in its hands. */
void bide_intake_take_back(struct bide_intake *intake, struct bide_job *job);
/* The job is out of the pool: what becomes of its delivery. */
void bide_intake_settle_job(struct bide_intake *intake, struct bide_job *job);
/* The same for a run that is known: asks decide(), logs, counts, settles. Takes over what the run carries. */
void bide_intake_settle_result(struct bide_intake *intake, struct bide_delivery *delivery,
    const struct bide_handler *handler, const struct bide_run_result *result, const struct bide_run *run);
/* Adds a settlement; hands the batch over when it is full. */
void bide_intake_settle(struct bide_intake *intake, const struct bide_settlement *settlement);
void bide_intake_flush(struct bide_intake *intake);

#endif
