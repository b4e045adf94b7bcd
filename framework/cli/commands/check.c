/* bide check: would a worker start? */
#include <stdio.h>
#include <unistd.h>

#include "base/units.h"
#include "broker/risk.h"
#include "cli/commands/check.h"
#include "cli/commands/worker.h"
#include "cli/core/output.h"
#include "cli/core/session.h"

/* ---- configuration ---- */

static void report_retention(struct bide_cli_report *report, const struct bide_dead_config *dead)
{
    char duration[BIDE_DURATION_TEXT], age[BIDE_DURATION_TEXT + 16] = "", number[48] = "", text[160];
    if (dead->max_age_ms > 0)
        snprintf(age, sizeof age, ", at most %s", bide_format_duration(dead->max_age_ms, duration));
    if (dead->max_count > 0)
        snprintf(number, sizeof number, ", of each queue the newest %d", dead->max_count);
    snprintf(text, sizeof text, "kept until somebody replays or drops them%s%s", age, number);
    bide_cli_report_ok(report, "dead letters", text);
}

static void check_config(struct bide_cli_report *report, const struct bide_config *config)
{
    char text[160];
    snprintf(text, sizeof text, "%zu queue%s, %zu handler%s", config->n_queues,
        config->n_queues == 1 ? "" : "s", config->n_handlers, config->n_handlers == 1 ? "" : "s");
    bide_error error;
    if (bide_config_complete(config, &error) == BIDE_OK)
        bide_cli_report_ok(report, config->path ? config->path : "built-in configuration", text);
    else
        bide_cli_report_failure(
            report, "configuration", &error, "`bide.env` beside the configuration holds NAME=value lines");
    if (bide_cli_only_sends(config))
        bide_cli_report_ok(
            report, "handlers", "none: the worker only sends, by POST /send, schedules and relays");
    else if (config->n_handlers == 0)
        bide_cli_report_add(
            report, &(struct bide_finding){BIDE_FINDING_ERROR, "handlers",
                        "there are none: a worker has nothing to run",
                        "add one to `handlers` in the configuration (docs/configuration.md)"});
    for (size_t i = 0; i < config->n_handlers; i++)
        bide_cli_check_handler(report, config, i);
    bide_cli_check_schedules(report, config);
    bide_cli_check_relays(report, config);
    bide_cli_check_listen(report, config);
    report_retention(report, &config->dead);
}

/* ---- broker ---- */

static void check_broker(struct bide_cli_report *report, struct bide_cli_session *session)
{
    struct bide_admin *admin;
    bide_error error;
    const char *risk = bide_broker_risk(&session->broker.url);
    if (risk)
        bide_cli_report_add(report, &(struct bide_finding){BIDE_FINDING_WARNING, "broker", risk, NULL});
    bide_code code = session->broker.adapter->open_admin(&session->broker.options, &admin, &error);
    if (code != BIDE_OK) {
        bide_cli_report_failure(report, "broker", &error, NULL);
        return;
    }
    bide_cli_report_ok(report, "broker", session->broker.url.redacted);
    if (admin->ops->verify(admin, bide_cli_report_add, report, &error) != BIDE_OK)
        bide_cli_report_failure(report, "broker", &error, NULL);
    bide_admin_destroy(admin);
}

static bide_code run(struct bide_cli *cli, void *values, bide_error *error)
{
    struct bide_cli_report report = {cli->json, bide_cli_colour(STDOUT_FILENO), 0, BIDE_OK};
    struct bide_cli_session session;
    struct bide_config *config;
    (void)values;
    bide_code code = bide_cli_load(cli, &config, error);
    if (code != BIDE_OK) {
        bide_cli_report_failure(&report, "configuration", error, NULL);
        return bide_fail(error, code, "a worker would not start");
    }
    check_config(&report, config);
    bide_error why;
    if (bide_cli_session_from(cli, config, &session, &why) != BIDE_OK) {
        bide_cli_report_failure(&report, "broker", &why, NULL);
    } else {
        check_broker(&report, &session);
        bide_cli_check_store(&report, session.config, session.broker.adapter);
        bide_cli_check_limits(&report, session.config);
        bide_cli_session_close(&session);
    }
    if (report.errors == 0)
        return BIDE_OK;
    return bide_fail(error, report.first_error, "a worker would not start: %zu error%s above", report.errors,
        report.errors == 1 ? "" : "s");
}

const struct bide_cli_command bide_cli_check = {
    .name = "check",
    .usage = "[options]",
    .examples = "sudo -u bide bide check   # as the service sees it",
    .summary =
        "Checks the configuration, the plugins, the broker and the store; status 0 if a worker would start.",
    .details =
        "Changes nothing in the broker but what every command declares. Opens each handler's plugin as a "
        "worker "
        "would, in a\nprocess of its own: run it as the worker's user. `not checked` is what the broker's "
        "protocol\ncannot show; the command that would is named.",
    .log_level = BIDE_LOG_WARN,
    .run = run,
};
