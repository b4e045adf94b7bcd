/* cli/commands/check.h: what `bide check` looks at, beside the broker. One thread. */
#ifndef BIDE_CLI_COMMANDS_CHECK_H
#define BIDE_CLI_COMMANDS_CHECK_H

#include "broker/broker.h"
#include "config/config.h"

/* What was found so far. */
struct bide_cli_report {
    bool json;
    bool colour;
    size_t errors;
    bide_code first_error; /* decides the exit status */
};

void bide_cli_report_add(void *report, const struct bide_finding *finding); /* a bide_finding_sink */
void bide_cli_report_ok(struct bide_cli_report *report, const char *subject, const char *text);
/* A failed step is a finding, and its code the exit status if it is the first. remedy: or NULL. */
void bide_cli_report_failure(
    struct bide_cli_report *report, const char *subject, const bide_error *error, const char *remedy);

/* Loads and opens the plugin of a handler as a worker would, in a child process: its code runs. Also warns of
 * a retry policy that gives up quickly. */
void bide_cli_check_handler(struct bide_cli_report *report, const struct bide_config *config, size_t index);

/* The store, where one is named or needed. adapter: the broker's. */
void bide_cli_check_store(
    struct bide_cli_report *report, const struct bide_config *config, const struct bide_adapter *adapter);

/* Limits without a key whose handlers share a queue. */
void bide_cli_check_limits(struct bide_cli_report *report, const struct bide_config *config);
/* When each schedule fires next, and whether this configuration runs its messages. */
void bide_cli_check_schedules(struct bide_cli_report *report, const struct bide_config *config);

/* Whether each relay can read its source and reach its target. */
void bide_cli_check_relays(struct bide_cli_report *report, const struct bide_config *config);

/* Binds the console's address for a moment. */
void bide_cli_check_listen(struct bide_cli_report *report, const struct bide_config *config);

#endif
