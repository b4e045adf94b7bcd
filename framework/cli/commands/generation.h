/* cli/commands/generation.h: what the processes of one `bide worker` run with between two reloads.
 *
 * The configuration is read once, by the supervisor, so that a process that is started again after a crash
 * runs with what was accepted, whatever has become of the file since. Plugins are read from their files by
 * each process; of each file it is remembered which build was there. Thread-safety: one thread. */
#ifndef BIDE_CLI_COMMANDS_GENERATION_H
#define BIDE_CLI_COMMANDS_GENERATION_H

#include <sys/stat.h>

#include "config/config.h"

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

#endif
