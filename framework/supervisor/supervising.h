/* supervisor/supervising.h: between supervisor.c, deaths.c and reload.c. The supervisor's one thread. */
#ifndef BIDE_SUPERVISOR_SUPERVISING_H
#define BIDE_SUPERVISOR_SUPERVISING_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "dispatch/slot.h"
#include "supervisor/notify.h"
#include "supervisor/supervisor.h"

/* Places for each process, for those that finish beside their successors. */
enum { BIDE_PLACES_EACH = 8 };

enum { BIDE_LONGEST_PAUSE_MS = 5000 }; /* between deaths that no message explains */

/* One process, or the place for one. */
struct place {
    pid_t pid; /* 0: nobody */
    int64_t started_ms;
    int threads;
    bool replaced; /* its successor has been started */
    struct bide_metrics *metrics;
    struct bide_slot *slots;
    _Atomic int *serving;
    _Atomic int *unhurried;
    char *failure; /* why it did not come to serve; "": it has not said */
    _Atomic int64_t *beat_ms;
    _Atomic int *wants_successor;
    _Atomic int *returned;
};

/* What a place and its process share of these. */
struct flags {
    _Atomic int serving;
    _Atomic int unhurried;
    _Atomic int64_t beat_ms;
    _Atomic int wants_successor;
    _Atomic int returned; /* from options.run: else somebody else ended the process, also with status 0 */
    char failure[BIDE_ERROR_SIZE];
    struct bide_slot slots[];
};

struct supervisor {
    const struct bide_supervisor_options *options;
    const struct bide_clock *clock;
    struct bide_crashes *crashes;
    struct bide_shared *shared;
    struct bide_circuits *circuits;
    struct place places[BIDE_PLACES_EACH * BIDE_PROCESSES_MAX];
    size_t n_places;
    void *memory;
    size_t memory_size;
    struct bide_notify notify;
    struct bide_attendant attendant;
    sigset_t signals;
    sigset_t before;
    struct bide_workforce force;
    int missing;            /* processes to start */
    int64_t start_again_ms; /* not before; monotonic */
    int64_t pause_ms;
    int64_t oom_kills; /* as of the last SIGKILL: see supervisor/oom.h */
    bool ever_served;
    bool has_terminal;
    bool reload_wanted;
    struct place *candidate; /* tries the next configuration beside the others; NULL: none */
    struct bide_workforce next_force;
    int64_t candidate_ends_ms; /* it must serve before; monotonic */
    int stops;
    int status;
};

/* A free place, as long as not too many processes finish beside their successors; or NULL. */
struct place *bide_supervisor_free_place(struct supervisor *supervisor);
/* Forks a process into it. False, and the log says why, where that fails. */
bool bide_supervisor_start(struct supervisor *supervisor, struct place *place, int threads);
/* Starts what is missing, as far as it is time. */
void bide_supervisor_start_missing(struct supervisor *supervisor);

/* A signal to all processes; what was unhurried is so no more. */
void bide_supervisor_pass_on_stop(struct supervisor *supervisor, int number);

/* ---- deaths.c ---- */

/* Looks who has ended, blames and suspects messages, and says what is to be started. */
void bide_supervisor_bury_the_dead(struct supervisor *supervisor);
/* A process with a hung handler is to have a successor, beside which it finishes its other messages. */
void bide_supervisor_start_successors(struct supervisor *supervisor);

/* ---- reload.c ---- */

/* Once a round: begins a reload that is wanted, and ends the one that is under way. */
void bide_supervisor_reload(struct supervisor *supervisor);
/* The candidate has ended. True where it was refused with that: then nothing else is to be done. */
bool bide_supervisor_candidate_ended(struct supervisor *supervisor, const char *how);
/* How long the supervisor may sleep for a reload's sake, in ms; -1: for ever. */
int64_t bide_supervisor_reload_wait_ms(const struct supervisor *supervisor);

#endif
