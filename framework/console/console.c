#include "console/console.h"

#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "console/server.h"

enum { STEP_MS = BIDE_HISTORY_STEP_S * 1000, LOOKED_AT_MS = 10 * 1000, UPLOADS_MS = 600, UPLOAD_STEP_MS = 5 };

/* ---- the history ---- */

static void step(struct bide_console *console)
{
    bide_connections_expire(&console->connections, bide_mono_ms(console->clock));
    int64_t asked_ms = atomic_load(&console->history.asked_ms);
    bool looked_at = asked_ms > 0 && bide_mono_ms(console->clock) - asked_ms < LOOKED_AT_MS;
    const struct bide_broker_stats *stats = NULL;
    struct bide_totals totals;
    if (bide_totals_take(console->options->shared, &totals, NULL) != BIDE_OK)
        return; /* the next step then covers this step's time too */
    struct bide_type_total sum = bide_totals_sum(&totals);
    bool knows = looked_at && bide_depths_borrow(console, &stats, NULL) == BIDE_OK;
    bide_history_step(&console->history, &sum, bide_wall_ms(console->clock) / 1000, stats);
    if (knows)
        bide_depths_give_back(console);
    if (!bide_recent_keep(&console->recent, &totals, bide_mono_ms(console->clock)))
        bide_totals_clear(&totals);
}

/* Runs until SIGUSR2. */
static void keep_history(struct bide_console *console, const sigset_t *signals)
{
    int64_t next_ms = bide_mono_ms(console->clock);
    for (;;) {
        int64_t left_ms = next_ms - bide_mono_ms(console->clock);
        left_ms = left_ms > 0 ? left_ms : 0;
        const struct timespec timeout = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
        if (sigtimedwait(signals, NULL, &timeout) == SIGUSR2)
            return;
        if (bide_mono_ms(console->clock) < next_ms)
            continue;
        step(console);
        next_ms += STEP_MS;
        if (next_ms < bide_mono_ms(console->clock)) /* the process was stopped, or the broker is slow */
            next_ms = bide_mono_ms(console->clock) + STEP_MS;
    }
}

/* ---- start and end ---- */

/* Waits for requests that are sending: a client that is told "not confirmed" sends again, which makes
 * duplicates. */
static void let_uploads_finish(struct bide_console *console)
{
    const struct timespec step = {.tv_nsec = UPLOAD_STEP_MS * 1000000};
    for (int waited_ms = 0; waited_ms < UPLOADS_MS && atomic_load(&console->uploads) > 0;
         waited_ms += UPLOAD_STEP_MS)
        nanosleep(&step, NULL);
}

static bide_code open_doors(
    struct bide_console *console, struct bide_server servers[BIDE_DOORS], bide_error *error)
{
    const struct bide_listeners *listeners = console->options->listeners;
    const int fds[BIDE_DOORS] = {
        [BIDE_DOOR_TCP] = listeners->tcp,
        [BIDE_DOOR_OWNER] = listeners->local,
        [BIDE_DOOR_SENDERS] = listeners->senders,
    };
    bide_code code = BIDE_OK;
    for (enum bide_door door = 0; door < BIDE_DOORS && code == BIDE_OK; door++)
        if (fds[door] >= 0)
            code = bide_server_start(&servers[door], console, fds[door], door, error);
    return code;
}

static bide_code serve(struct bide_console *console, const sigset_t *signals, bide_error *error)
{
    struct bide_server servers[BIDE_DOORS] = {0};
    bide_code code =
        bide_outbox_start(&console->outbox, console->options->config, &console->options->shared->sent, error);
    if (code == BIDE_OK)
        code = bide_retention_start(console, error);
    if (code == BIDE_OK)
        code = open_doors(console, servers, error);
    if (code == BIDE_OK)
        keep_history(console, signals);
    atomic_store(&console->stopping, 1);
    for (size_t i = 0; i < BIDE_DOORS; i++)
        bide_server_quiesce(&servers[i]);
    let_uploads_finish(console);
    for (size_t i = 0; i < BIDE_DOORS; i++)
        bide_server_stop(&servers[i]);
    bide_retention_stop(&console->retention);
    bide_outbox_stop(&console->outbox);
    bide_producer_close(console->transactor.producer);
    return code;
}

bide_code bide_console_run(const struct bide_console_options *options, bide_error *error)
{
    sigset_t signals; /* supervisor/attendant.c has blocked it */
    struct bide_console *console = bide_calloc(1, sizeof *console);
    if (!console)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    prctl(PR_SET_NAME, "bide-console", 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR2);
    console->options = options;
    console->clock = bide_clock_system();
    pthread_mutex_init(&console->depths.lock, NULL);
    pthread_mutex_init(&console->schedules.lock, NULL);
    pthread_mutex_init(&console->letters, NULL);
    pthread_mutex_init(&console->transactor.lock, NULL);
    pthread_mutex_init(&console->open_transactions.lock, NULL);
    bide_connections_init(&console->connections);
    bide_recent_init(&console->recent);
    bide_history_init(&console->history, &options->shared->past);
    atomic_store(&options->shared->controls.listeners, 0); /* a crashed console may have left some */
    bide_code code = serve(console, &signals, error);
    bide_history_clear(&console->history);
    bide_recent_clear(&console->recent);
    bide_broker_stats_clear(&console->depths.stats);
    bide_schedule_list_clear(&console->schedules.list);
    bide_connections_destroy(&console->connections);
    pthread_mutex_destroy(&console->transactor.lock);
    pthread_mutex_destroy(&console->open_transactions.lock);
    pthread_mutex_destroy(&console->letters);
    pthread_mutex_destroy(&console->schedules.lock);
    pthread_mutex_destroy(&console->depths.lock);
    bide_free(console);
    return code;
}
