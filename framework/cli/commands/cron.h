/* cli/commands/cron.h: what the commands `bide cron …` share. One thread. */
#ifndef BIDE_CLI_COMMANDS_CRON_H
#define BIDE_CLI_COMMANDS_CRON_H

#include "cli/core/session.h"
#include "schedules/manage.h"
#include "store/configured.h"

/* A configuration and its store. */
struct bide_cli_cron {
    struct bide_config *config;
    struct bide_configured_store configured;
    struct bide_store *store;
    int64_t now_ms;
};

/* BIDE_E_CONFIG: there is no store. */
bide_code bide_cli_cron_open(struct bide_cli *cli, struct bide_cli_cron *ret_cron, bide_error *error);
void bide_cli_cron_close(struct bide_cli_cron *cron); /* also a zeroed one */

#endif
