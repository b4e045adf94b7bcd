#include "cli/commands/worker.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bide/log.h"

enum { BEAT_S = 1 };

bool bide_cli_only_sends(const struct bide_config *config)
{
    return config->n_handlers == 0 &&
           (config->http.listen || config->http.send_socket || config->schedules || config->n_relays > 0);
}

static void begin(const struct bide_supervised *supervised)
{
    atomic_store(&supervised->metrics->connected, 1);
    atomic_store(&supervised->metrics->state, BIDE_PROCESS_SERVING);
    atomic_store(&supervised->process->serving, 1);
    if (getppid() == supervised->supervisor)
        kill(supervised->supervisor, SIGUSR1);
    bide_log(BIDE_LOG_INFO, "no handlers: this worker only sends, by POST /send, schedules and relays");
}

void bide_cli_placeholder_run(const struct bide_supervised *supervised)
{
    static const int stops[] = {SIGTERM, SIGINT, SIGUSR2};
    const struct timespec beat = {.tv_sec = BEAT_S};
    sigset_t signals;
    sigemptyset(&signals);
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        sigaddset(&signals, stops[i]);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGURG, SIG_IGN);
    begin(supervised);
    do
        atomic_store(&supervised->process->beat_ms, bide_mono_ms(bide_clock_system()));
    while (sigtimedwait(&signals, NULL, &beat) < 0 && getppid() == supervised->supervisor);
    atomic_store(&supervised->metrics->state, BIDE_PROCESS_DRAINING);
}
