#include "schedules/process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "bide/log.h"
#include "producer/configured.h"
#include "schedules/clock.h"
#include "store/configured.h"

enum { STORE_TIMEOUT_MS = 5 * 1000 }; /* one that makes way for a reload is killed after ten */

struct process {
    const struct bide_config *config;
    struct bide_configured_store configured;
    struct bide_store *store;
    bide_producer *producer; /* opened with the first message: the broker may be away */
    struct bide_schedules *schedules;
    bool is_away; /* the last step failed, and that was logged */
};

static bide_code send_all(
    void *user, bide_message *const *messages, size_t n, bide_sent *results, bide_error *error)
{
    struct process *process = user;
    bide_code code = BIDE_OK;
    if (!process->producer)
        code = bide_producer_open_configured(process->config, &process->producer, error);
    return code == BIDE_OK ? bide_producer_send_many(process->producer, messages, n, results, error) : code;
}

/* True: SIGUSR2 came. */
static bool wait_ms(const sigset_t *signals, int64_t ms)
{
    const struct timespec timeout = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return sigtimedwait(signals, NULL, &timeout) == SIGUSR2;
}

static void log_change(struct process *process, const bide_error *error)
{
    if (error && !process->is_away)
        bide_log(BIDE_LOG_ERROR, "schedules wait: a call failed", BIDE_STR("error", error->text));
    else if (!error && process->is_away)
        bide_log(BIDE_LOG_INFO, "schedules go on");
    process->is_away = error != NULL;
}

static void go_round(struct process *process)
{
    sigset_t signals;
    int64_t left_ms = 0;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR2);
    do {
        bide_error error;
        bide_code code = bide_schedules_step(process->schedules, &left_ms, &error);
        log_change(process, code == BIDE_OK ? NULL : &error);
    } while (!wait_ms(&signals, left_ms));
}

static bide_code open_all(struct process *process, const char *host, bide_error *error)
{
    const struct bide_config *config = process->config;
    bide_code code = bide_store_configure(config, "clock", &process->configured, error);
    if (code == BIDE_OK)
        code = bide_store_require(config, &process->configured, NULL, error);
    process->configured.options.timeout_ms = STORE_TIMEOUT_MS;
    if (code == BIDE_OK)
        code = bide_store_open(&process->configured.options, &process->store, error);
    const struct bide_schedules_options options = {.config = config,
        .store = process->store,
        .clock = process->configured.options.clock,
        .send = send_all,
        .user = process,
        .host = host};
    return code == BIDE_OK ? bide_schedules_create(&options, &process->schedules, error) : code;
}

bide_code bide_schedules_run(const struct bide_config *config, bide_error *error)
{
    struct process process = {.config = config};
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    prctl(PR_SET_NAME, "bide-clock", 0, 0, 0);
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    bide_code code = open_all(&process, host, error);
    if (code == BIDE_OK)
        go_round(&process);
    bide_schedules_destroy(process.schedules);
    bide_producer_close(process.producer);
    bide_store_destroy(process.store);
    bide_configured_store_clear(&process.configured);
    return code;
}
