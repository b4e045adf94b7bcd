/* shared/memory.h: the memory that all processes of a worker share: its supervisor, the worker processes and
 * the console. The supervisor maps it (zeroed) before any fork.
 *
 * Thread-safety: as each part says in its header. */
#ifndef BIDE_SHARED_MEMORY_H
#define BIDE_SHARED_MEMORY_H

#include "shared/circuits.h"
#include "shared/controls.h"
#include "shared/crashes.h"
#include "shared/metrics.h"
#include "shared/relays.h"

enum { BIDE_DEATH_SIGNALS = 65 };

/* Deaths of worker processes: by the signal's number; 0: they ended by themselves with an error. */
struct bide_deaths {
    _Atomic uint64_t by_signal[BIDE_DEATH_SIGNALS];
    _Atomic uint64_t hung; /* replaced because a handler did not return */
};

/* What the console noted in each step: written by it alone, and left to the next one. */
struct bide_past_point {
    int64_t t_s; /* Unix */
    uint64_t done, retried, dead;
    double late_p99_us; /* -1: nothing was due */
};

enum { BIDE_PAST_POINTS = 300 };

struct bide_past {
    struct bide_past_point points[BIDE_PAST_POINTS];
    uint64_t n;                         /* ever */
    uint64_t counts[BIDE_COUNTS];       /* of all types together, at the last point */
    struct bide_histogram_sum lateness; /* likewise */
};

struct bide_shared {
    struct bide_controls controls;
    struct bide_crashes crashes;
    struct bide_circuits circuits;
    struct bide_deaths deaths;
    struct bide_past past;
    struct bide_relay_metrics relays[BIDE_RELAYS_MAX]; /* by their place in the configuration */
    _Atomic uint64_t sent;                             /* by POST /send: the console's */
    _Atomic uint64_t dead_dropped;                     /* dead letters that might not stay: likewise */
    int64_t started_ms;                                /* of the supervisor; constant */
    pid_t supervisor;                                  /* constant */
    size_t n_places;                                   /* constant */
    struct bide_metrics places[];
};

/* What a worker process has of it. */
struct bide_supervised {
    struct bide_shared *shared;
    struct bide_metrics *metrics; /* this one's place */
    struct bide_process *process; /* of that place */
    struct bide_crashes *crashes;
    struct bide_circuits *circuits;
    pid_t supervisor;
    bool candidate; /* runs with the configuration that was read last, and is not yet accepted */
};

/* Only what is used of it takes up memory. The mapping is inherited by forks until bide_shared_unmap. */
bide_code bide_shared_map(
    size_t n_places, int64_t now_ms, struct bide_shared **ret_shared, bide_error *error);
void bide_shared_unmap(struct bide_shared *shared); /* NULL is fine */
size_t bide_shared_size(size_t n_places);

/* After the controls were changed: has each worker process look at them (SIGURG, which does nothing to one
 * that is not listening yet). Any process of the worker. */
void bide_shared_wake(const struct bide_shared *shared);

/* A worker process died of this, as waitpid says. */
void bide_shared_count_death(struct bide_shared *shared, int wait_status);

/* The view of the process in one place. */
struct bide_supervised bide_shared_view(struct bide_shared *shared, size_t place, bool candidate);

#endif
