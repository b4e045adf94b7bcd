/* cli/commands/status.h: what `bide status` and `bide list delayed` share. */
#ifndef BIDE_CLI_COMMANDS_STATUS_H
#define BIDE_CLI_COMMANDS_STATUS_H

#include "base/buffer.h"
#include "broker/broker.h"
#include "config/config.h"

/* Prints the rungs of RabbitMQ's ladder that hold messages, as a table. */
void bide_cli_print_rungs(const struct bide_broker_stats *stats);

/* What lies in the sources of the relays: a table, where there are relays; "relays":[…]. */
void bide_cli_print_relays(const struct bide_config *config);
void bide_cli_relays_json(const struct bide_config *config, struct bide_buffer *to);

#endif
