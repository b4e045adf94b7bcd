/* supervisor/states.h: what the supervisor decides, without a fork, a signal, a clock or a lock.
 *
 * The supervisor (supervisor.c) tells what happened: a process serves, says that it leaves, has ended;
 * somebody wants a stop or a reload. Then it takes steps from bide_states_next, and performs them, until
 * there is none. How many processes are missing is not counted along the way: it is what is wanted less the
 * members that are there, so that no order of events can lose one. tests/unit/test_states.c goes through all
 * orders.
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

/* Places for each wanted process, for those that finish beside their successors. */
enum { BIDE_PLACES_EACH = 8 };

enum {
    BIDE_LONGEST_PAUSE_MS = 5000,    /* between deaths that no message explains */
    BIDE_CANDIDATE_MS = 60 * 1000,   /* for a candidate to connect and to open its handlers */
    BIDE_AFTER_DRAIN_MS = 30 * 1000, /* from the end of `drain`, or a second stop, to SIGKILL */
    BIDE_AFTER_KILL_MS = 5 * 1000,   /* from SIGKILL until the supervisor ends without such a process */
};

struct bide_workforce {
    int processes; /* at most BIDE_PROCESSES_MAX */
    int threads;   /* slots for each; at most BIDE_THREADS_MAX */
    int64_t drain_ms;
};

enum bide_role {
    BIDE_ROLE_FREE,      /* nobody is in this place */
    BIDE_ROLE_MEMBER,    /* one of the wanted processes */
    BIDE_ROLE_CANDIDATE, /* tries the next configuration beside them */
    BIDE_ROLE_LEAVING,   /* finishes; others do its work, or nobody does any more */
};

/* One process, or the place for one. */
struct bide_place {
    enum bide_role role;
    bool serves;
    bool unhurried; /* replaced by a reload: has all the time its handlers take */
    bool killed;    /* got SIGKILL */
    int signal;     /* to be sent to it; 0: none */
    int64_t started_ms, drain_ms;
    int64_t until_ms; /* then it gets SIGKILL; once killed: then the supervisor ends without it */
};

enum bide_phase {
    BIDE_PHASE_ON,
    BIDE_PHASE_STOPPING, /* nothing is started any more */
    BIDE_PHASE_HURRYING, /* told a second time */
};

enum bide_reload_answer { BIDE_RELOAD_NONE, BIDE_RELOAD_ACCEPTED, BIDE_RELOAD_REFUSED };

struct bide_states {
    struct bide_workforce force, next_force;
    struct bide_place *places; /* borrowed; zeroed at the start */
    size_t n_places;
    enum bide_phase phase;
    int status;       /* of the supervisor at its end */
    int idle;         /* members that left because they had nothing to do: not to be replaced */
    bool ever_served; /* any process */
    bool reload_wanted, candidate_wanted;
    enum bide_reload_answer answer; /* on the next configuration, to be told */
    const char *why;                /* it is refused; borrowed */
    int64_t start_again_ms;         /* not before */
    int64_t pause_ms;               /* after the next unexplained death */
};

/* processes ≤ n_places / 2. */
void bide_states_init(
    struct bide_states *states, struct bide_workforce force, struct bide_place *places, size_t n_places);

/* ---- what happened ---- */

/* Somebody wants the supervisor to end; a second time: sooner. */
void bide_states_stop(struct bide_states *states, int64_t now_ms);
void bide_states_reload(struct bide_states *states);
/* The answer to BIDE_STEP_PREPARE; NULL: there is no next configuration. */
void bide_states_prepared(struct bide_states *states, const struct bide_workforce *force);
/* The process in a place serves. May be told again. */
void bide_states_serves(struct bide_states *states, size_t place);
/* It says that it leaves. May be told again. True where it was not told to, and another one takes its place.
 */
bool bide_states_leaves(struct bide_states *states, size_t place, enum bide_leaving leaving, int64_t now_ms);

struct bide_end {
    bool returned;      /* from its main function, with `status`; else something ended it */
    int status, signal; /* one of them; as waitpid says */
    bool explained;     /* by a message that it was running */
    const char *how;    /* for a candidate's refusal; borrowed until the next step */
};
/* It has ended, after what it said of itself was told. True where that is a death nobody asked for. */
bool bide_states_ended(struct bide_states *states, size_t place, const struct bide_end *end, int64_t now_ms);
/* BIDE_STEP_START could not be performed. */
void bide_states_not_started(struct bide_states *states, size_t place, int64_t now_ms);

/* ---- what is to be done ---- */

enum bide_step_kind {
    BIDE_STEP_START,   /* a process into `place`: what role it has says what it runs with */
    BIDE_STEP_SIGNAL,  /* `signal` to the process in `place` */
    BIDE_STEP_PREPARE, /* read the next configuration: bide_states_prepared */
    BIDE_STEP_ACCEPT,  /* from here on everything runs with it */
    BIDE_STEP_REFUSE,  /* forget it, and say why */
};

struct bide_step {
    enum bide_step_kind kind;
    size_t place;
    int signal;
    const char *why;
};

/* The next step; false where there is none for now. */
bool bide_states_next(struct bide_states *states, int64_t now_ms, struct bide_step *ret_step);
/* When there may be another one though nothing happens: ms from now; -1: never. */
int64_t bide_states_wait_ms(const struct bide_states *states, int64_t now_ms);
/* Nothing is left to be done, ever. */
bool bide_states_over(const struct bide_states *states, int64_t now_ms);

/* A reload that is wanted waits until some of the processes of earlier ones have finished. */
bool bide_states_is_crowded(const struct bide_states *states);
bool bide_states_is_reloading(const struct bide_states *states);

#endif
