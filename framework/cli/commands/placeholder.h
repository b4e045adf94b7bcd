/* cli/commands/placeholder.h: the worker process of a host that only sends: it has no handlers and takes
 * nothing from the broker. It is there so that the supervisor keeps the console, reloads and reports as ever.
 */
#ifndef BIDE_CLI_COMMANDS_PLACEHOLDER_H
#define BIDE_CLI_COMMANDS_PLACEHOLDER_H

#include "config/config.h"
#include "supervisor/supervisor.h"

/* No handlers, and a console by which others send. */
bool bide_cli_only_sends(const struct bide_config *config);

/* Until SIGTERM, SIGINT or SIGUSR2. In a process with one thread. */
void bide_cli_placeholder_run(const struct bide_supervised *supervised);

#endif
