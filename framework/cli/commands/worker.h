/* cli/commands/worker.h: what `bide worker` consists of, beside worker.c. One thread. */
#ifndef BIDE_CLI_COMMANDS_WORKER_H
#define BIDE_CLI_COMMANDS_WORKER_H

#include <sys/stat.h>

#include "config/config.h"
#include "supervisor/supervisor.h"

/* ---- generation.c ---- */

/* What the processes of one `bide worker` run with between two reloads.
 *
 * The configuration is read once, by the supervisor, so that a process that is started again after a crash
 * runs with what was accepted, whatever has become of the file since. Plugins are read from their files by
 * each process; of each file it is remembered which build was there. Thread-safety: one thread. */

struct bide_cli_generation {
    struct bide_config *config;
    struct stat *builds; /* of the plugins' files, one a handler; zero where there is none */
};

bide_code bide_cli_generation_read(
    const char *path, struct bide_cli_generation *ret_generation, bide_error *error);
void bide_cli_generation_release(struct bide_cli_generation *generation);

/* Logs in what they differ: options, handlers, plugins' builds. */
void bide_cli_generation_log_changes(
    const struct bide_cli_generation *before, const struct bide_cli_generation *after);

/* ---- left_behind.c ---- */

/* Warns of messages in files of this host that a relay of the configuration before carried, and none of the
 * one after does, or not to where it did. It may take seconds where such a file is locked. */
void bide_cli_warn_of_left_messages(const struct bide_config *before, const struct bide_config *after);

/* ---- placeholder.c ---- */

/* The worker process of a host that only sends: it has no handlers and takes
 * nothing from the broker. It is there so that the supervisor keeps the console, reloads and reports as ever.
 */

/* No handlers, and a console by which others send, or schedules. */
bool bide_cli_only_sends(const struct bide_config *config);

/* Until SIGTERM, SIGINT or SIGUSR2. In a process with one thread. */
void bide_cli_placeholder_run(const struct bide_supervised *supervised);

#endif
