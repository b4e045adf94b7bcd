/* The relays of `bide check`: can each of them read its source, and is its target as a sender needs it? */
#include <stdio.h>

#include "cli/commands/check.h"
#include "producer/spool.h"
#include "relay/process.h"
#include "relay/source.h"

enum { TIMEOUT_MS = 5 * 1000 };

static void check_source(struct bide_cli_report *report, const struct bide_config *config,
    const struct bide_relay_config *relay, const char *subject)
{
    struct bide_source_depth depth = {0};
    char text[160];
    bide_error error;
    if (bide_relay_look(config, relay, &depth, &error) != BIDE_OK) {
        bide_cli_report_failure(report, subject, &error, NULL);
        return;
    }
    snprintf(text, sizeof text, "its source can be read: %lld wait", (long long)depth.waiting);
    bide_cli_report_ok(report, subject, text);
    snprintf(text, sizeof text, "%lld message%s refused by the target and stayed in the source",
        (long long)depth.refused, depth.refused == 1 ? " was" : "s were");
    if (depth.refused > 0 && bide_source_is_outbox(relay->from))
        bide_cli_report_add(
            report, &(struct bide_finding){BIDE_FINDING_WARNING, subject, text,
                        "SELECT id, refused FROM bide_outbox WHERE refused IS NOT NULL says why "
                        "(docs/outbox.md)"});
}

/* The target that is the configuration's own broker is looked at elsewhere. */
static void check_target(struct bide_cli_report *report, const struct bide_config *config,
    const struct bide_relay_config *relay, const char *subject)
{
    struct bide_relay_end end;
    struct bide_broker_stats stats = {0};
    struct bide_admin *admin = NULL;
    bide_error error;
    bide_code code = bide_relay_end_open(config, relay->to, &end, &error);
    if (code != BIDE_OK) {
        bide_cli_report_failure(report, subject, &error, NULL);
        return;
    }
    end.broker.options.timeout_ms = TIMEOUT_MS;
    code = end.broker.adapter->open_admin(&end.broker.options, &admin, &error);
    if (code == BIDE_OK)
        code = admin->ops->stats(admin, &stats, &error);
    if (code == BIDE_OK || code == BIDE_E_NOT_FOUND)
        bide_cli_report_ok(report, subject, "its target answers");
    else
        bide_cli_report_failure(report, subject, &error, NULL);
    bide_broker_stats_clear(&stats);
    bide_admin_destroy(admin);
    bide_relay_end_close(&end);
}

/* A producer warns of a spool that nobody empties, and operators may look before it does. */
static void check_spool(struct bide_cli_report *report, const struct bide_config *config)
{
    struct bide_spool_state spool = {0};
    char text[160];
    bide_error error;
    if (bide_spool_look(config, &spool, &error) != BIDE_OK) {
        bide_cli_report_failure(report, "spool", &error, NULL);
        return;
    }
    snprintf(text, sizeof text, "%lld wait, %lld of %lld bytes in use", (long long)spool.waiting,
        (long long)spool.bytes, (long long)config->spool.max_bytes);
    bide_cli_report_ok(report, "spool", text);
    if (!spool.is_carried)
        bide_cli_report_add(
            report, &(struct bide_finding){BIDE_FINDING_WARNING, "spool", "nothing carries from it just now",
                        "run `bide worker` with this configuration on this host, or `bide relay` with it"});
    snprintf(text, sizeof text, "the broker refused %lld for good: they are dead letters of the spool",
        (long long)spool.refused);
    if (spool.refused > 0)
        bide_cli_report_add(report, &(struct bide_finding){BIDE_FINDING_WARNING, "spool", text,
                                        "bide dead list --broker URL-OF-THE-SPOOL says why (docs/spool.md)"});
}

void bide_cli_check_relays(struct bide_cli_report *report, const struct bide_config *config)
{
    for (size_t i = 0; i < config->n_relays; i++) {
        char subject[BIDE_NAME_MAX + 16];
        snprintf(subject, sizeof subject, "relay %s", config->relays[i].name);
        check_source(report, config, &config->relays[i], subject);
        check_target(report, config, &config->relays[i], subject);
    }
    if (config->spool.url)
        check_spool(report, config);
}
