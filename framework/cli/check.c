/* bide check: would a worker start? */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/units.h"
#include "cli/output.h"
#include "cli/session.h"
#include "dispatch/loader.h"
#include "dispatch/settings.h"
#include "outcome/backoff.h"

enum { SHORT_OUTAGE_MS = 60 * 1000 };

/* What was found so far. */
struct report {
    bool json;
    bool colour;
    size_t errors;
    bide_code first_error; /* decides the exit status */
};

static const struct {
    const char *key, *label, *colour;
} severities[] = {
    [BIDE_FINDING_OK] = {"ok", "ok", "\033[32m"},
    [BIDE_FINDING_WARNING] = {"warning", "warning", "\033[33m"},
    [BIDE_FINDING_ERROR] = {"error", "ERROR", "\033[31m"},
    [BIDE_FINDING_NOT_CHECKED] = {"not_checked", "not checked", "\033[36m"},
};

static void print_json(const struct bide_finding *finding)
{
    struct bide_buffer line;
    bide_buffer_init(&line);
    bide_buffer_char(&line, '{');
    bide_json_text(&line, "severity", severities[finding->severity].key);
    bide_json_text(&line, "subject", finding->subject);
    bide_json_text(&line, "text", finding->text);
    bide_json_text(&line, "remedy", finding->remedy);
    bide_buffer_char(&line, '}');
    bide_cli_print_line(&line);
    bide_buffer_release(&line);
}

static void print_text(const struct report *report, const struct bide_finding *finding)
{
    struct bide_buffer line;
    bide_buffer_init(&line);
    bide_buffer_format(&line, "%s%-11s%s  %s: ", report->colour ? severities[finding->severity].colour : "",
        severities[finding->severity].label, report->colour ? "\033[0m" : "", finding->subject);
    bide_cli_add_clean(&line, finding->text, strlen(finding->text), false);
    if (finding->remedy)
        bide_buffer_format(&line, "\n             -> %s", finding->remedy);
    bide_cli_print_line(&line);
    bide_buffer_release(&line);
}

static void add(struct report *report, const struct bide_finding *finding)
{
    if (finding->severity == BIDE_FINDING_ERROR && report->errors++ == 0 && report->first_error == BIDE_OK)
        report->first_error = BIDE_E_CONFIG;
    if (report->json)
        print_json(finding);
    else
        print_text(report, finding);
}

static void sink(void *user, const struct bide_finding *finding)
{
    add(user, finding);
}

static void add_ok(struct report *report, const char *subject, const char *text)
{
    add(report, &(struct bide_finding){BIDE_FINDING_OK, subject, text, NULL});
}

/* A failed step is a finding, and its code the exit status if it is the first. */
static void add_failure(
    struct report *report, const char *subject, const bide_error *error, const char *remedy)
{
    if (report->errors == 0)
        report->first_error = error->code;
    add(report, &(struct bide_finding){BIDE_FINDING_ERROR, subject, error->text, remedy});
}

/* ---- configuration and plugins ---- */

static void check_handler(struct report *report, const struct bide_config *config, size_t i)
{
    const struct bide_handler_config *handler = &config->handlers[i];
    struct bide_plugin *plugin;
    bide_settings *settings;
    bide_error error;
    char subject[BIDE_NAME_MAX + 16], text[160];
    snprintf(subject, sizeof subject, "handler %s", handler->type);
    if (bide_plugin_load(
            config->plugin_dir, handler->plugin, config->allow_unsafe_plugins, &plugin, &error) != BIDE_OK) {
        bide_fail_within(&error, "%s:%d", handler->file, handler->line);
        add_failure(report, subject, &error, "`bide handlers` lists the plugins found in plugin_dir");
        return;
    }
    if (bide_settings_create(
            handler, plugin->descriptor.settings, handler->file, config->dir, &settings, &error) != BIDE_OK) {
        add_failure(report, subject, &error, "`bide handlers` lists the settings of each plugin");
    } else {
        snprintf(text, sizeof text, "plugin %s %s, queue %s", plugin->name, plugin->descriptor.version,
            handler->queue);
        add_ok(report, subject, text);
        bide_settings_destroy(settings);
    }
    bide_plugin_unload(plugin);
}

/* A policy that gives up within a minute turns each restart of what the handler calls into dead letters. */
static void check_patience(struct report *report, const struct bide_handler_config *handler)
{
    char subject[BIDE_NAME_MAX + 16], text[120], total[BIDE_DURATION_TEXT];
    int64_t total_ms = bide_backoff_total_ms(&handler->retry);
    if (total_ms >= SHORT_OUTAGE_MS || handler->retry.attempts == 1)
        return;
    snprintf(subject, sizeof subject, "handler %s", handler->type);
    snprintf(text, sizeof text, "its retries give up after %s: an outage of a minute makes dead letters",
        bide_format_duration(total_ms, total));
    add(report, &(struct bide_finding){BIDE_FINDING_WARNING, subject, text,
                    "raise retry.attempts, retry.base or retry.cap (the defaults go on for 13 hours)"});
}

static void check_config(struct report *report, const struct bide_config *config)
{
    char text[160];
    snprintf(text, sizeof text, "%zu queue%s, %zu handler%s", config->n_queues,
        config->n_queues == 1 ? "" : "s", config->n_handlers, config->n_handlers == 1 ? "" : "s");
    bide_error error;
    if (bide_config_complete(config, &error) == BIDE_OK)
        add_ok(report, config->path ? config->path : "built-in configuration", text);
    else
        add_failure(
            report, "configuration", &error, "`bide.env` beside the configuration holds NAME=value lines");
    if (config->n_handlers == 0)
        add(report, &(struct bide_finding){BIDE_FINDING_ERROR, "handlers",
                        "there are none: a worker has nothing to run",
                        "add one to `handlers` in the configuration (docs/configuration.md)"});
    for (size_t i = 0; i < config->n_handlers; i++) {
        check_handler(report, config, i);
        check_patience(report, &config->handlers[i]);
    }
}

/* ---- broker ---- */

static void check_broker(struct report *report, struct bide_cli_session *session)
{
    struct bide_admin *admin;
    bide_error error;
    bide_code code = session->adapter->open_admin(&session->options, &admin, &error);
    if (code != BIDE_OK) {
        add_failure(report, "broker", &error, NULL);
        return;
    }
    add_ok(report, "broker", session->url.redacted);
    if (admin->ops->verify(admin, sink, report, &error) != BIDE_OK)
        add_failure(report, "broker", &error, NULL);
    bide_admin_destroy(admin);
}

static bide_code run(struct bide_cli *cli, void *values, bide_error *error)
{
    struct report report = {cli->json, bide_cli_colour(STDOUT_FILENO), 0, BIDE_OK};
    struct bide_cli_session session;
    struct bide_config *config;
    (void)values;
    bide_code code = bide_cli_load(cli, &config, error);
    if (code != BIDE_OK) {
        add_failure(&report, "configuration", error, NULL);
        return bide_fail(error, code, "a worker would not start");
    }
    check_config(&report, config);
    bide_error why;
    if (bide_cli_session_from(cli, config, &session, &why) != BIDE_OK) {
        add_failure(&report, "broker", &why, NULL);
    } else {
        check_broker(&report, &session);
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
    .summary = "Checks the configuration, the plugins and the broker; status 0 if a worker would start.",
    .details =
        "Changes nothing in the broker but what every command declares. `not checked` is what the broker's "
        "protocol\ncannot show; the command that would is named.",
    .log_level = BIDE_LOG_WARN,
    .run = run,
};
