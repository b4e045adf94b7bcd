/* cli/bench/bench.h: a broker measured from inside: a namespace of its own, a producer, a worker. For `bide
 * bench`.
 *
 * The worker runs in a thread of its own; everything else belongs to the thread that opened the bench. */
#ifndef BIDE_CLI_BENCH_BENCH_H
#define BIDE_CLI_BENCH_BENCH_H

#include <pthread.h>
#include <stdatomic.h>

#include "bide/producer.h"
#include "bide/worker.h"
#include "cli/core/output.h"
#include "cli/core/session.h"

struct bide_cli_bench_values {
    int64_t messages, body, threads; /* threads: or BIDE_CLI_UNSET */
    int64_t rate, delay_ms;          /* `bench delay` alone */
};

/* What runs saw; written by pool threads. */
struct bide_cli_bench_runs {
    atomic_uint_fast64_t begun, ended;
    _Atomic int64_t first_us, last_us; /* monotonic; first: 0 before the first */
    uint64_t wanted;
    int64_t *lateness_us; /* `wanted` of them */
    bide_worker *worker;  /* stopped by the last one */
};

struct bide_cli_bench {
    struct bide_cli *cli;
    const struct bide_cli_bench_values *values;
    struct bide_cli_session session; /* of the bench's own namespace */
    struct bide_admin *admin;
    bide_producer *producer;
    char *body;
    struct bide_cli_bench_runs runs;
    pthread_t thread;
    bide_worker *worker; /* NULL: none runs */
    bide_code worker_code;
    bide_error worker_error;
    struct bide_cli_progress progress;
    int threads;
};

/* Opens everything but the worker. What a killed bench left behind is deleted; one that runs is in the way.
 * SIGINT, SIGTERM and SIGHUP then only set bide_cli_bench_interrupted and stop the worker; a second one ends
 * the program. */
bide_code bide_cli_bench_open(struct bide_cli *cli, const struct bide_cli_bench_values *values,
    struct bide_cli_bench *ret_bench, bide_error *error);
/* Deletes the namespace. Also after a failed open. An earlier failure (code) is kept. */
bide_code bide_cli_bench_close(struct bide_cli_bench *bench, bide_code code, bide_error *error);

bool bide_cli_bench_interrupted(void);

/* Sends the messages number first … first + n - 1, with random delays up to delay_ms (0: none). */
bide_code bide_cli_bench_send(struct bide_cli_bench *bench, size_t n, int64_t delay_ms, bide_error *error);

/* Starts a worker; wait returns once all messages have run, the user interrupts, or nothing comes any more
 * for a while: BIDE_E_BROKER with how many are missing. */
bide_code bide_cli_bench_start(struct bide_cli_bench *bench, bide_error *error);
bide_code bide_cli_bench_wait(struct bide_cli_bench *bench, bide_error *error);

#endif
