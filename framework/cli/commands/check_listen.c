#include <errno.h>
#include <stdio.h>

#include "cli/commands/check.h"
#include "console/console.h"
#include "console/sockets.h"

static bool note_worker(void *user, const char *path, pid_t pid)
{
    (void)path;
    *(pid_t *)user = pid;
    return false;
}

void bide_cli_check_listen(struct bide_cli_report *report, const struct bide_config *config)
{
    bide_error error;
    pid_t worker = 0;
    char text[120];
    if (!config->http.listen)
        return;
    if (bide_listeners_try(&config->http, &error) == BIDE_OK) {
        bide_cli_report_ok(report, "http.listen", config->http.listen);
        return;
    }
    bool taken = errno == EADDRINUSE;
    bide_socket_each(config, note_worker, &worker);
    if (worker > 0 && taken) {
        snprintf(text, sizeof text, "a worker of this configuration runs (process %d) and may use it",
            (int)worker);
        bide_cli_report_add(
            report, &(struct bide_finding){BIDE_FINDING_NOT_CHECKED, "http.listen", text, "bide top"});
        return;
    }
    bide_cli_report_failure(
        report, "http.listen", &error, "choose another port, or end what uses it (`ss -ltnp` shows who)");
}
