/* shared/metrics.h: what a worker process tells of itself, in memory that others read (shared/memory.h).
 *
 *   struct bide_metrics           one a place: gauges of the process there now, counters of all that were
 *     struct bide_type_metrics    one a message type
 *     struct bide_program_metrics one a program: handlers in other languages
 *     struct bide_ring            its last settled runs, written while somebody listens
 *
 * Begins as zeroes. Counters are NOT reset when a process is replaced, so that
 * they survive crashes; gauges are. Who reads sums over the places.
 *
 * Thread-safety: what a place says is written by its process, by one thread at a time: the intake, except
 * `busy` and a type's `running`, which pool threads change under the pool's lock, and the rows of programs,
 * which are written by the thread that keeps them (dispatch/program/host.h), and what is told of the store,
 * which the clerk thread writes. All of it is relaxed
 * atomics without locked instructions, to be read by any thread of any process meanwhile.
 *
 * Every function that records takes NULL for "nobody keeps count" (a worker without a supervisor). */
#ifndef BIDE_SHARED_METRICS_H
#define BIDE_SHARED_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/names.h"
#include "bide/error.h"
#include "shared/histogram.h"
#include "shared/process.h"
#include "shared/ring.h"

/* Types beyond the maximum are counted together with those that no handler is configured for. */
enum { BIDE_METRICS_TYPES = 1024, BIDE_METRICS_BUILD = 80 };

/* Programs beyond the maximum are not counted, processes beyond theirs are not listed. */
enum { BIDE_METRICS_PROGRAMS = 64, BIDE_METRICS_PROGRAM_PIDS = 96 };

#define BIDE_METRICS_OTHER "(other)" /* the name of row 0; no type can have it */

struct bide_type_metrics {
    char type[BIDE_HANDLER_NAME_MAX + 1]; /* or what its handler is called: bide_handler_name */
    char plugin[BIDE_NAME_MAX + 1];       /* of its handler now; may be read while it changes; always ended */
    char version[BIDE_METRICS_BUILD];
    char build[BIDE_METRICS_BUILD];
    _Atomic uint64_t counts[BIDE_COUNTS]; /* by enum bide_outcome_kind */
    struct bide_histogram duration;       /* of runs */
    struct bide_histogram wait;           /* from when it could have run to the start */
    struct bide_histogram lateness;       /* start - due, of what was delayed or retried */
    _Atomic int running;                  /* gauge */
    _Atomic int circuit;                  /* gauge; enum bide_circuit */
};

struct bide_program_metrics {
    char name[BIDE_NAME_MAX + 1];
    _Atomic pid_t pids[BIDE_METRICS_PROGRAM_PIDS]; /* gauge: processes that serve or finish; 0: none */
    _Atomic uint64_t runs, restarts; /* ended runs; processes that ended without having been told to */
};

/* What is limited (docs/limits.md). There are at most so many in a configuration. */
enum { BIDE_METRICS_LIMITS = 64 };
struct bide_limit_metrics {
    char name[BIDE_NAME_MAX + 1];
    _Atomic uint64_t allowed;   /* runs */
    _Atomic uint64_t moved;     /* messages, to the time of their permit or turn */
    _Atomic uint64_t throttled; /* runs that were told "too much" (429) */
    struct bide_histogram wait; /* of runs: from the first question to the start */
};

/* What its clerk asked the store (worker/clerk/clerk.h). */
enum { BIDE_METRICS_STORE_KINDS = 7 };
struct bide_store_metrics {
    _Atomic uint64_t operations[BIDE_METRICS_STORE_KINDS]; /* by enum bide_store_kind */
    _Atomic uint64_t letters, batches;
    _Atomic uint64_t errors;       /* calls that it refused or did not answer */
    struct bide_histogram latency; /* of batches */
    _Atomic int away;              /* gauge */
};

/* What became of transactions whose asking message came here (docs/transactions.md), and how often a handler
 * was asked. */
enum {
    BIDE_TRANSACTIONS_COMMITTED,
    BIDE_TRANSACTIONS_ABORTED,
    BIDE_TRANSACTIONS_UNRESOLVED,
    BIDE_TRANSACTIONS_CHECKS,
    BIDE_METRICS_TRANSACTIONS
};

enum bide_process_state {
    BIDE_PROCESS_NONE, /* nobody in this place */
    BIDE_PROCESS_STARTING,
    BIDE_PROCESS_SERVING,
    BIDE_PROCESS_DRAINING,
};

struct bide_metrics {
    _Atomic pid_t pid; /* 0: nobody; the supervisor's, like started_ms */
    _Atomic int64_t started_ms;
    /* gauges */
    _Atomic int state; /* enum bide_process_state */
    _Atomic int connected;
    _Atomic int threads;
    _Atomic int busy;      /* threads inside a handler */
    _Atomic int in_flight; /* messages in this process's hands */
    _Atomic int landing;   /* … of which so many wait for their due time */
    /* counters */
    _Atomic uint64_t received;
    _Atomic uint64_t reconnects;
    _Atomic uint64_t lost; /* settlements that could not be made: the broker hands those messages out again */
    _Atomic uint32_t n_types; /* rows in use; published last */
    struct bide_type_metrics types[BIDE_METRICS_TYPES];
    _Atomic uint32_t n_programs; /* likewise */
    struct bide_program_metrics programs[BIDE_METRICS_PROGRAMS];
    _Atomic uint32_t n_limits; /* likewise */
    struct bide_limit_metrics limits[BIDE_METRICS_LIMITS];
    struct bide_store_metrics store;
    _Atomic uint64_t transactions[BIDE_METRICS_TRANSACTIONS];
    struct bide_ring ring;
    struct bide_process process; /* between it and its supervisor */
};

/* ---- the supervisor ---- */

/* A process begins in this place: the gauges start anew. */
void bide_metrics_begin(struct bide_metrics *metrics, int threads, int64_t now_ms);
/* It has ended. */
void bide_metrics_end(struct bide_metrics *metrics);
/* ---- a worker process ---- */

/* The row of a type: found, or added. Row 0 where there is no room, and for NULL. Slow: once a handler. */
struct bide_type_metrics *bide_metrics_type(struct bide_metrics *metrics, const char *type);

/* What handles it now, for people; NULL reads as "". */
void bide_metrics_describe(
    struct bide_type_metrics *row, const char *plugin, const char *version, const char *build);

/* The row of a program: found, or added. NULL: no room, or no metrics. */
struct bide_program_metrics *bide_metrics_program(struct bide_metrics *metrics, const char *name);

/* The same of a limit. */
struct bide_limit_metrics *bide_metrics_limit(struct bide_metrics *metrics, const char *name);

/* A message was settled, or decided upon. */
void bide_metrics_count(struct bide_type_metrics *row, enum bide_outcome_kind kind);
/* A run has ended. lateness_us: -1 where it was neither delayed nor retried. */
void bide_metrics_run(struct bide_type_metrics *row, int64_t took_us, int64_t waited_us, int64_t lateness_us);

/* One writer at a time: no locked instruction. */
static inline void bide_metrics_gauge_add(_Atomic int *gauge, int n)
{
    atomic_store_explicit(gauge, atomic_load_explicit(gauge, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void bide_metrics_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(
        counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

#endif
