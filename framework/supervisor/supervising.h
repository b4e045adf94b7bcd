/* supervisor/supervising.h: between supervisor.c, children.c and deaths.c. The supervisor's one thread. */
#ifndef BIDE_SUPERVISOR_SUPERVISING_H
#define BIDE_SUPERVISOR_SUPERVISING_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "shared/slot.h"
#include "supervisor/notify.h"
#include "supervisor/states.h"
#include "supervisor/supervisor.h"

enum { BIDE_PLACES_MAX = BIDE_PLACES_EACH * BIDE_PROCESSES_MAX };

/* What a place and its process share of these. */
struct flags {
    _Atomic int serving;
    _Atomic int unhurried;
    _Atomic int64_t beat_ms;
    _Atomic int leaving;  /* enum bide_leaving */
    _Atomic int returned; /* from options.run: else somebody else ended the process, also with status 0 */
    char failure[BIDE_ERROR_SIZE]; /* why a candidate did not come to serve; "": it has not said */
    struct bide_slot slots[];
};

struct child {
    pid_t pid; /* 0: nobody */
    int threads;
    struct flags *flags;
    struct bide_metrics *metrics;
};

struct supervisor {
    const struct bide_supervisor_options *options;
    const struct bide_clock *clock;
    struct bide_crashes *crashes;
    struct bide_shared *shared;
    struct bide_circuits *circuits;
    struct bide_states states;
    struct bide_place places[BIDE_PLACES_MAX];
    struct child children[BIDE_PLACES_MAX]; /* one in each place */
    void *memory;
    size_t memory_size;
    struct bide_notify notify;
    struct bide_attendant attendant;
    sigset_t signals;
    int64_t oom_kills; /* as of the last SIGKILL: see supervisor/oom.h */
    bool has_terminal;
};

/* ---- children.c ---- */

/* Maps what all processes share, and makes the places in it. What is mapped stays until the process ends. */
bide_code bide_supervisor_share_memory(struct supervisor *supervisor, bide_error *error);
/* Forks a process into a place. False, and the log says why, where that fails. */
bool bide_supervisor_start(struct supervisor *supervisor, size_t place);

/* ---- deaths.c ---- */

/* Tells the states what the process in a place has said of itself. */
void bide_supervisor_look_at(struct supervisor *supervisor, size_t place);
/* Looks who has ended, blames and suspects messages, and tells the states. */
void bide_supervisor_bury_the_dead(struct supervisor *supervisor);

#endif
