#include "cli/core/session.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

static bide_code nomem(bide_error *error)
{
    return bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

/* ---- which file, which broker ---- */

const char *bide_cli_config_path(struct bide_cli *cli)
{
    if (cli->config_path)
        return cli->config_path;
    if (access("./bide.conf", F_OK) == 0)
        return "./bide.conf";
    const char *system = access("/etc/bide/bide.conf", F_OK) == 0 ? "/etc/bide/bide.conf" : NULL;
    if (!bide_home_find(cli->dev_config))
        return system;
    if (system)
        fprintf(stderr, "bide: the `bide dev` of this folder is used, not %s\n", system);
    return cli->dev_config;
}

/* "sqlite:bide.db" -> "sqlite:/where/we/are/bide.db": said on the command line, it means the file that the
 * shell would take, not one beside the configuration. */
static bide_code make_absolute(struct bide_cli *cli, const char *url, bide_error *error)
{
    char folder[PATH_MAX];
    const char *path = strchr(url, ':') + 1;
    if (!getcwd(folder, sizeof folder))
        return bide_fail(error, BIDE_E_CONFIG, "cannot find the working directory");
    bide_buffer_add(&cli->broker_url, url, (size_t)(path - url));
    for (const char *at = folder; *at; at++)
        if (isalnum((unsigned char)*at) || strchr("/-._~", *at))
            bide_buffer_char(&cli->broker_url, *at);
        else
            bide_buffer_format(&cli->broker_url, "%%%02X", (unsigned char)*at);
    bide_buffer_format(&cli->broker_url, "/%s", path);
    return cli->broker_url.failed ? nomem(error) : BIDE_OK;
}

bide_code bide_cli_broker_override(struct bide_cli *cli, const char **ret_url, bide_error *error)
{
    const char *url = cli->broker ? cli->broker : getenv("BIDE_BROKER");
    const char *colon = url ? strchr(url, ':') : NULL;
    if (!url || !*url) {
        *ret_url = NULL;
        return BIDE_OK;
    }
    bide_code code = BIDE_OK;
    if (colon && colon[1] && colon[1] != '/' && cli->broker_url.size == 0)
        code = make_absolute(cli, url, error);
    *ret_url = cli->broker_url.size ? cli->broker_url.bytes : url;
    return code;
}

/* A wrong URL is refused later on, by who opens it. */
static bide_code refuse_one_process(const char *broker, bide_error *error)
{
    const struct bide_adapter *adapter = NULL;
    struct bide_url url = {0};
    bide_code code = BIDE_OK;
    bool known =
        bide_url_parse(broker, &url, NULL) == BIDE_OK && bide_adapter_find(&url, &adapter, NULL) == BIDE_OK;
    if (known && adapter->one_process)
        code = bide_fail(error, BIDE_E_CONFIG,
            "%s is for programs that send and receive by themselves: what a command sends there would be "
            "gone as "
            "it ends",
            url.redacted);
    bide_url_clear(&url);
    return code;
}

void bide_cli_drop_spool(struct bide_config *config)
{
    if (!config->spool.url)
        return;
    struct bide_relay_config *relay = &config->relays[--config->n_relays];
    bide_free(relay->name);
    bide_free(relay->from);
    bide_free(relay->to);
    bide_free(config->spool.url);
    config->spool.url = NULL;
}

static bide_code load(struct bide_cli *cli, struct bide_config **ret_config, bide_error *error)
{
    const char *path = bide_cli_config_path(cli), *broker;
    struct bide_config *config;
    bide_code code = bide_cli_broker_override(cli, &broker, error);
    if (code != BIDE_OK)
        return code;
    if (!path && !broker)
        return bide_fail(error, BIDE_E_CONFIG,
            "no configuration: there is neither ./bide.conf nor /etc/bide/bide.conf; give a file with -c "
            "FILE, or a broker with --broker URL");
    code = path ? bide_config_load(path, &config, error) : bide_config_default(&config, error);
    if (code != BIDE_OK || !broker) {
        if (code == BIDE_OK)
            *ret_config = config;
        return code;
    }
    code = bide_broker_override(config, broker, error);
    if (code != BIDE_OK) {
        bide_config_destroy(config);
        return code;
    }
    if (cli->broker) /* what lies in the spool is carried to the broker of all others */
        bide_cli_drop_spool(config);
    *ret_config = config;
    return BIDE_OK;
}

bide_code bide_cli_load(struct bide_cli *cli, struct bide_config **ret_config, bide_error *error)
{
    struct bide_config *config = NULL;
    bide_code code = load(cli, &config, error);
    if (code != BIDE_OK)
        return code;
    code = config->broker ? refuse_one_process(config->broker, error) : BIDE_OK;
    if (code == BIDE_OK)
        *ret_config = config;
    else
        bide_config_destroy(config);
    return code;
}

/* ---- the session ---- */

bide_code bide_cli_session_from(
    struct bide_cli *cli, struct bide_config *config, struct bide_cli_session *ret_session, bide_error *error)
{
    *ret_session = (struct bide_cli_session){.config = config};
    bide_code code = bide_broker_configure(config, cli->command->name, &ret_session->broker, error);
    if (code != BIDE_OK)
        bide_cli_session_close(ret_session);
    return code;
}

bide_code bide_cli_session_open(struct bide_cli *cli, struct bide_cli_session *ret_session, bide_error *error)
{
    struct bide_config *config;
    bide_code code = bide_cli_load(cli, &config, error);
    return code == BIDE_OK ? bide_cli_session_from(cli, config, ret_session, error) : code;
}

void bide_cli_session_close(struct bide_cli_session *session)
{
    bide_configured_broker_clear(&session->broker);
    bide_config_destroy(session->config);
    *session = (struct bide_cli_session){0};
}

bide_code bide_cli_admin_open(struct bide_cli *cli, struct bide_cli_session *ret_session,
    struct bide_admin **ret_admin, bide_error *error)
{
    bide_code code = bide_cli_session_open(cli, ret_session, error);
    if (code != BIDE_OK)
        return code;
    code = ret_session->broker.adapter->open_admin(&ret_session->broker.options, ret_admin, error);
    if (code != BIDE_OK)
        bide_cli_session_close(ret_session);
    return code;
}
