/* worker/gates/gate.h: what a gate is.
 *
 * Each delivery passes the gates (the table in gates.c) before the pool gets it. Each gate is one file with a
 * state of its own; it says whether the delivery may run now. All gates that let it pass are told in reverse
 * order how it ended, so that what a gate has given (a probe, a permit) comes back to it.
 *
 * A gate that must ask the store writes an errand for the clerk (clerk/clerk.h) and answers WAIT. When the
 * errand has come back, `look` is called again and finds it in job->errand, answered or failed; the gates
 * after this one follow. In the same way `commit` may keep a job whose end is decided, until the store has
 * what the gate writes; only then the message is settled. Nothing is withdrawn from the clerk: a job that
 * must not run any more when its answer comes goes back then. A handler without such gates never meets the
 * clerk.
 *
 * Thread-safety: the intake thread's. Ownership: a gate looks at jobs and keeps none; one that waits is the
 * clerk's. */
#ifndef BIDE_WORKER_GATES_GATE_H
#define BIDE_WORKER_GATES_GATE_H

#include <stdlib.h>

#include "bide/log.h"
#include "dispatch/handler.h"
#include "outcome/decide.h"
#include "shared/memory.h"
#include "worker/clerk/clerk.h"

enum { BIDE_GATE_SHORTEST_MS = 500 };

/* What all parts of a worker process may use: borrowed. */
struct bide_site {
    const struct bide_config *config;
    const struct bide_clock *clock;
    const struct bide_handlers *handlers;
    const struct bide_supervised *supervised; /* NULL without a supervisor */
    struct bide_clerk *clerk;                 /* NULL: there is no store */
    bool is_store; /* the broker is the store: what it settles is on disk only with all the store was told */
    bool marks;    /* the broker cannot search: what is cancelled by id has a mark in the store */
    unsigned short random[3]; /* of erand48 */
};

struct bide_gate {
    const struct bide_gate_kind *kind;
    struct bide_site *site;
};

enum bide_gate_says {
    BIDE_GATE_PASS,
    BIDE_GATE_ALONE,  /* it may run, but while nothing else does (quarantine.h); the gate gave it nothing */
    BIDE_GATE_HOLD,   /* not now: back to the broker until later, and this was no attempt */
    BIDE_GATE_SETTLE, /* never: it is settled as the answer says */
    BIDE_GATE_MOVE, /* not now: back to the broker as decided, to the time that was reserved for it; this was
                       no attempt. Unlike HOLD, the store is told what it must know of it */
    BIDE_GATE_WAIT, /* for the answer to an errand; then `look` is called again */
};

struct bide_gate_answer {
    int64_t hold_ms;               /* HOLD, and ALONE where there is no room for it; 0: as long as it stops */
    struct bide_decision decision; /* SETTLE, MOVE; what went wrong is job->run.error */
    enum bide_outcome_kind kind;   /* SETTLE with BIDE_VERDICT_ACK: as what it counts */
    struct bide_errand *errand;    /* WAIT; NULL: for the answer to that of another job, which is under way */
};

/* How a job ends. */
struct bide_gate_end {
    struct bide_decision decision;
    enum bide_outcome_kind kind;
};

/* What the gates want of the time until the next round; begins with nothing. */
struct bide_gate_round {
    int64_t now_us;  /* monotonic */
    int64_t wait_us; /* the next round should come so soon; -1: when something happens */
    bool waits;      /* messages may lie in the broker that are not taken just now */
};

struct bide_gate_kind {
    size_t size;
    bide_code (*open)(struct bide_gate *gate, bide_error *error); /* its state is zeroed */
    void (*close)(struct bide_gate *gate);                        /* also after a failed open, or none */
    /* Has this handler (NULL: what no handler runs) the gate in its list? Asked once. NULL: each has. */
    bool (*serves)(const struct bide_site *site, const struct bide_handler *handler);

    /* May it run now? NULL: unless it `stops`. */
    enum bide_gate_says (*look)(
        struct bide_gate *gate, struct bide_job *job, struct bide_gate_answer *answer);
    /* It has run: result is what decide() will be told, and the gate may change it. NULL: it did not run. */
    void (*report)(struct bide_gate *gate, struct bide_job *job, struct bide_run_result *result);
    /* What has been decided of a run, or by a SETTLE of this gate or a later one; it is about to be settled.
     */
    void (*decided)(struct bide_gate *gate, const struct bide_job *job, const struct bide_decision *decision);
    /* It ends for good, or is to run again: does the store have to know before the message is settled? If so,
     * returns an errand, which `must` be applied, and is called again with the answer in job->errand; if that
     * failed, this worker leaves, or what the run has sent was refused. NULL: settle. Called for each job
     * whose handler has the gate in its list, whether it passed this gate or not; not where it goes back as
     * if it had not been here (HOLD, or a release without a run). It may change the end, for the gates that
     * follow and for the settlement. */
    struct bide_errand *(*commit)(struct bide_gate *gate, struct bide_job *job, struct bide_gate_end *end);

    /* It waits in hand: for how many ms must it go back to the broker? -1: it may wait. Of several gates the
     * longest counts; it is never less than BIDE_GATE_SHORTEST_MS. */
    int64_t (*stops)(struct bide_gate *gate, const struct bide_job *job);
    /* Must it go back at all? Called under the pool's lock, so it takes no lock that other processes share.
     * NULL: `stops` takes none and is asked. */
    bool (*is_stopped)(struct bide_gate *gate, const struct bide_job *job);
    /* Before each batch is looked at: is something stopped now that was not? Of gates that serve NULL. */
    bool (*obey)(struct bide_gate *gate);
    /* Once a round: how many more of this handler (NULL: of this queue, which is no handler's) may be taken
     * in? SIZE_MAX: any number. */
    size_t (*room)(struct bide_gate *gate, const struct bide_handler *handler, size_t queue,
        struct bide_gate_round *round);
};

extern const struct bide_gate_kind bide_gate_stream, bide_gate_transaction, bide_gate_fit, bide_gate_crash,
    bide_gate_pause, bide_gate_runner, bide_gate_apart, bide_gate_circuit, bide_gate_marked, bide_gate_once,
    bide_gate_unique, bide_gate_schedule, bide_gate_limit;

/* ---- for gates ---- */

static inline size_t bide_gate_row(const struct bide_site *site, const struct bide_handler *handler)
{
    return handler ? (size_t)(handler - site->handlers->rows) : site->handlers->n;
}

/* A pause that is not the same for all: longer by up to this share. */
static inline int64_t bide_gate_spread_ms(
    struct bide_site *site, int64_t pause_ms, int64_t least_ms, double share)
{
    pause_ms = pause_ms > least_ms ? pause_ms : least_ms;
    return pause_ms + (int64_t)((double)pause_ms * share * erand48(site->random));
}

/* Of what is held for at least so long. */
static inline int64_t bide_gate_held_ms(struct bide_site *site, int64_t pause_ms)
{
    return bide_gate_spread_ms(site, pause_ms, BIDE_GATE_SHORTEST_MS, 0.5);
}

/* Acknowledged without a run, and counted as `kind`. */
static inline enum bide_gate_says bide_gate_drop(
    const struct bide_job *job, enum bide_outcome_kind kind, struct bide_gate_answer *answer)
{
    answer->decision =
        (struct bide_decision){.verdict = BIDE_VERDICT_ACK, .attempt = job->delivery->message->attempt};
    answer->kind = kind;
    return BIDE_GATE_SETTLE;
}

/* Back to the broker for at least so long. */
static inline enum bide_gate_says bide_gate_hold(
    struct bide_site *site, int64_t pause_ms, struct bide_gate_answer *answer)
{
    answer->hold_ms = bide_gate_held_ms(site, pause_ms);
    return BIDE_GATE_HOLD;
}

/* What needs a store is held where the configuration names none; the log says so once. */
static inline enum bide_gate_says bide_gate_lacks_store(
    const char *text, struct bide_site *site, bool *complained, struct bide_gate_answer *answer)
{
    if (!*complained)
        bide_log(BIDE_LOG_ERROR, text);
    *complained = true;
    return bide_gate_hold(site, 10 * 1000, answer);
}

static inline enum bide_gate_says bide_gate_wait_for(
    struct bide_errand *errand, struct bide_gate_answer *answer)
{
    answer->errand = errand;
    return BIDE_GATE_WAIT;
}

/* For `commit`: the store could not be told how it ended, so it does not end. */
static inline struct bide_errand *bide_gate_hand_back(struct bide_job *job)
{
    job->uncommitted = true;
    return NULL;
}

/* What needs the store is held while that is away: longer when it has been away for longer, so that a backlog
 * does not go out and back all the time. */
static inline enum bide_gate_says bide_gate_hold_for_store(
    struct bide_site *site, struct bide_gate_answer *answer)
{
    enum { LEAST_MS = 1000, MOST_MS = 10 * 1000 };
    int64_t away_ms = bide_clerk_away_ms(site->clerk);
    away_ms = away_ms > LEAST_MS ? away_ms : LEAST_MS;
    return bide_gate_hold(site, away_ms < MOST_MS ? away_ms : MOST_MS, answer);
}

/* The next round should come so soon. */
static inline void bide_gate_hurry(struct bide_gate_round *round, int64_t wait_us)
{
    if (round->wait_us < 0 || wait_us < round->wait_us)
        round->wait_us = wait_us;
}

/* decide(), by this worker's clock and dice. */
static inline struct bide_decision bide_gate_decide(
    struct bide_site *site, const struct bide_handler *handler, const struct bide_run_result *result)
{
    /* due times are whole milliseconds, and a retry must not come one part of them early */
    int64_t now_ms = result->outcome == BIDE_DONE ? 0 : (bide_wall_us(site->clock) + 999) / 1000;
    double random = result->outcome == BIDE_RETRY ? erand48(site->random) : 0.5;
    return bide_decide(&handler->config->retry, result, now_ms, random);
}

#endif
