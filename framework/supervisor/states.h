/* supervisor/states.h: the supervisor's decisions, without a fork, a signal, a clock or a lock.
 *
 * The supervisor (supervisor.c) reports what has happened: a process serves, says that it leaves, or has
 * ended; a stop or a reload is wanted. Then it takes steps from bide_states_next and performs them until
 * there is none. The number of missing processes is not kept but computed, as the wanted number less the
 * members, so that no order of events can make it wrong. tests/unit/test_states.c tries all orders.
 *
 *   FREE ──start──> MEMBER ──told to leave, or says that it leaves──> LEAVING ──ended──> FREE
 *   FREE ──start──> CANDIDATE ──serves──> MEMBER (and the members before it are told to leave)
 *
 * Times are monotonic ms. Thread-safety: one thread. */
#ifndef BIDE_SUPERVISOR_STATES_H
#define BIDE_SUPERVISOR_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/process.h"

/* Places for each wanted process, so that replaced processes can finish beside the new ones. */
enum { BIDE_PLACES_EACH = 8 };

enum {
    BIDE_LONGEST_PAUSE_MS = 5000,    /* the longest pause between deaths that no message explains */
    BIDE_CANDIDATE_MS = 60 * 1000,   /* how long a candidate may take to connect and open its handlers */
    BIDE_AFTER_DRAIN_MS = 30 * 1000, /* from the end of `drain`, or a second stop, to SIGKILL */
    BIDE_AFTER_KILL_MS = 5 * 1000,   /* from SIGKILL until the supervisor ends without such a process */
};

struct bide_workforce {
    int processes; /* at most BIDE_PROCESSES_MAX */
    int threads;   /* slots for each; at most BIDE_THREADS_MAX */
    int64_t drain_ms;
};

enum bide_role {
    BIDE_ROLE_FREE,      /* the place is free */
    BIDE_ROLE_MEMBER,    /* one of the wanted processes */
    BIDE_ROLE_CANDIDATE, /* tries the next configuration beside the members */
    BIDE_ROLE_LEAVING,   /* finishes its runs; it no longer counts as wanted */
};

/* A place, and the process in it. */
struct bide_place {
    enum bide_role role;
    bool serves;
    bool unhurried; /* replaced by a reload: it may finish its runs, however long they take */
    bool killed;    /* SIGKILL was sent */
    int signal;     /* to be sent to it; 0: none */
    int64_t started_ms, drain_ms;
    int64_t until_ms; /* when it gets SIGKILL; after SIGKILL: when the supervisor ends without it */
};

enum bide_phase {
    BIDE_PHASE_ON,
    BIDE_PHASE_STOPPING, /* no process is started any more */
    BIDE_PHASE_HURRYING, /* a second stop was asked for */
};

enum bide_reload_answer { BIDE_RELOAD_NONE, BIDE_RELOAD_ACCEPTED, BIDE_RELOAD_REFUSED };

struct bide_states {
    struct bide_workforce force, next_force;
    struct bide_place *places; /* borrowed; zeroed at the start */
    size_t n_places;
    enum bide_phase phase;
    int status;       /* exit status of the supervisor */
    int idle;         /* members that left because they were idle; they are not replaced */
    bool ever_served; /* has any process ever served? */
    bool reload_wanted, candidate_wanted;
    enum bide_reload_answer answer; /* the result of a reload, to be returned as a step */
    const char *why;                /* why the reload was refused; borrowed */
    int64_t start_again_ms;         /* no process is started before this time */
    int64_t pause_ms;               /* after the next unexplained death */
};

/* `processes` may be at most n_places / 2. */
void bide_states_init(
    struct bide_states *states, struct bide_workforce force, struct bide_place *places, size_t n_places);

/* ---- reporting what has happened ---- */

/* The supervisor shall end; a second call: sooner. */
void bide_states_stop(struct bide_states *states, int64_t now_ms);
void bide_states_reload(struct bide_states *states);
/* The result of BIDE_STEP_PREPARE; NULL: there is no valid next configuration. */
void bide_states_prepared(struct bide_states *states, const struct bide_workforce *force);
/* The process in a place serves. May be called again. */
void bide_states_serves(struct bide_states *states, size_t place);
/* The process says that it leaves. May be called again. Returns true if it was not told to leave, and so must
 * be replaced. */
bool bide_states_leaves(struct bide_states *states, size_t place, enum bide_leaving leaving, int64_t now_ms);

struct bide_end {
    bool returned;      /* its main function returned `status`; otherwise something else ended it */
    int status, signal; /* one of them is set, as waitpid says */
    bool explained;     /* a message that it ran explains the death */
    const char *how;    /* for the refusal of a candidate; borrowed until the next step */
};
/* The process has ended; call serves and leaves before. Returns true if the death was unexpected. */
bool bide_states_ended(struct bide_states *states, size_t place, const struct bide_end *end, int64_t now_ms);
/* BIDE_STEP_START could not be performed. */
void bide_states_not_started(struct bide_states *states, size_t place, int64_t now_ms);

/* ---- taking steps ---- */

enum bide_step_kind {
    BIDE_STEP_START,   /* start a process in `place`; its role says with which configuration */
    BIDE_STEP_SIGNAL,  /* send `signal` to the process in `place` */
    BIDE_STEP_PREPARE, /* read the next configuration, then call bide_states_prepared */
    BIDE_STEP_ACCEPT,  /* from now on all processes run with the next configuration */
    BIDE_STEP_REFUSE,  /* drop the next configuration, and log why */
};

struct bide_step {
    enum bide_step_kind kind;
    size_t place;
    int signal;
    const char *why;
};

/* Returns the next step; false if there is none now. */
bool bide_states_next(struct bide_states *states, int64_t now_ms, struct bide_step *ret_step);
/* In how many ms there may be a step even if nothing happens; -1: never. */
int64_t bide_states_wait_ms(const struct bide_states *states, int64_t now_ms);
/* Has all ended? */
bool bide_states_over(const struct bide_states *states, int64_t now_ms);

/* Must a reload wait until some processes of earlier reloads have finished? */
bool bide_states_is_crowded(const struct bide_states *states);
bool bide_states_is_reloading(const struct bide_states *states);

#endif
