/* cli/core/session.h: the configuration and the broker of a command. Thread-safety: one thread at a time. */
#ifndef BIDE_CLI_CORE_SESSION_H
#define BIDE_CLI_CORE_SESSION_H

#include "broker/configured.h"
#include "cli/core/command.h"
#include "config/config.h"

/* A configuration with the broker that is meant, and what adapters want to know of both. */
struct bide_cli_session {
    struct bide_config *config; /* path is NULL without a file */
    struct bide_configured_broker broker;
};

/* The broker that --broker or BIDE_BROKER name (a relative file in it made absolute), or NULL. */
bide_code bide_cli_broker_override(struct bide_cli *cli, const char **ret_url, bide_error *error);

/* The file that is meant: -c, ./bide.conf, that of a `bide dev` that runs in this folder, or
 * /etc/bide/bide.conf; NULL where there is none of them. */
const char *bide_cli_config_path(struct bide_cli *cli);

/* From now on the configuration has no spool. */
void bide_cli_drop_spool(struct bide_config *config);

/* Loads the configuration (built-in defaults where there is no file, but a broker is named), with the broker
 * overridden where asked for. It has no spool where --broker names another broker: the spool is for the one
 * that all others of this host send to. */
bide_code bide_cli_load(struct bide_cli *cli, struct bide_config **ret_config, bide_error *error);

bide_code bide_cli_session_open(
    struct bide_cli *cli, struct bide_cli_session *ret_session, bide_error *error);
/* The same from a configuration, which it takes over, also on failure. */
bide_code bide_cli_session_from(struct bide_cli *cli, struct bide_config *config,
    struct bide_cli_session *ret_session, bide_error *error);
void bide_cli_session_close(struct bide_cli_session *session);

/* Opens the session, then its broker's admin. */
bide_code bide_cli_admin_open(struct bide_cli *cli, struct bide_cli_session *ret_session,
    struct bide_admin **ret_admin, bide_error *error);

#endif
