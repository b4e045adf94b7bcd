/* supervisor/supervising.h: between supervisor.c, children.c and deaths.c. The supervisor's one thread. */
#ifndef BIDE_SUPERVISOR_SUPERVISING_H
#define BIDE_SUPERVISOR_SUPERVISING_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "supervisor/notify.h"
#include "supervisor/states.h"
#include "supervisor/supervisor.h"

enum { BIDE_PLACES_MAX = BIDE_PLACES_EACH * BIDE_PROCESSES_MAX };

struct child {
    pid_t pid; /* 0: nobody */
    int threads;
    struct bide_metrics *metrics;
    struct bide_process *process;
};

struct supervisor {
    const struct bide_supervisor_options *options;
    const struct bide_clock *clock;
    struct bide_shared *shared;
    struct bide_states states;
    struct bide_place places[BIDE_PLACES_MAX];
    struct child children[BIDE_PLACES_MAX]; /* one in each place */
    struct bide_notify notify;
    struct bide_attendant attendant;
    sigset_t signals;
    int64_t oom_kills; /* as of the last SIGKILL: see supervisor/oom.h */
    bool has_terminal;
};

/* ---- children.c ---- */

/* Maps what all processes share, and makes the places in it. */
bide_code bide_supervisor_share_memory(struct supervisor *supervisor, bide_error *error);
/* Forks a process into a place. False, and the log says why, where that fails. */
bool bide_supervisor_start(struct supervisor *supervisor, size_t place);

/* ---- deaths.c ---- */

/* Tells the states what the process in a place has said of itself. */
void bide_supervisor_look_at(struct supervisor *supervisor, size_t place);
/* Looks who has ended, blames and suspects messages, and tells the states. */
void bide_supervisor_bury_the_dead(struct supervisor *supervisor);

#endif
