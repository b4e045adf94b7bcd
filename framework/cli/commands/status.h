/* cli/commands/status.h: what `bide status` and `bide list delayed` share. */
#ifndef BIDE_CLI_COMMANDS_STATUS_H
#define BIDE_CLI_COMMANDS_STATUS_H

#include "broker/broker.h"

/* Prints the rungs of RabbitMQ's ladder that hold messages, as a table. */
void bide_cli_print_rungs(const struct bide_broker_stats *stats);

#endif
