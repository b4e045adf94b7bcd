/* cli/commands/topic.h: which subscriptions `bide topic join` has made, for a broker that cannot list them
 * (RabbitMQ). They are facts of the configuration's store, if it has one: scope "topics", the name as key.
 * Main thread. */
#ifndef BIDE_CLI_COMMANDS_TOPIC_H
#define BIDE_CLI_COMMANDS_TOPIC_H

#include "cli/commands/move.h"
#include "cli/core/session.h"
#include "store/configured.h"

struct bide_cli_topic_record {
    struct bide_configured_store configured;
    struct bide_store *store; /* NULL: there is none, and nothing is recorded */
};

/* Opens the record of a configuration, which it borrows, and adds the names in it. */
bide_code bide_cli_topic_record_read(struct bide_cli_topic_record *record, const struct bide_config *config,
    struct bide_cli_names *names, bide_error *error);
bide_code bide_cli_topic_record_set(
    struct bide_cli_topic_record *record, const char *subscription, bool joined, bide_error *error);
void bide_cli_topic_record_close(struct bide_cli_topic_record *record); /* also a zeroed one */

#endif
