/* What `bide check` prints. */
#include <string.h>

#include "base/visible.h"
#include "cli/commands/check.h"
#include "cli/core/output.h"

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
    bide_cli_object_begin(&line);
    bide_json_text(&line, "severity", severities[finding->severity].key);
    bide_json_text(&line, "subject", finding->subject);
    bide_json_text(&line, "text", finding->text);
    bide_json_text(&line, "remedy", finding->remedy);
    bide_cli_object_end(&line);
}

static void print_text(const struct bide_cli_report *report, const struct bide_finding *finding)
{
    struct bide_buffer line;
    bide_buffer_init(&line);
    bide_buffer_format(&line, "%s%-11s%s  %s: ", report->colour ? severities[finding->severity].colour : "",
        severities[finding->severity].label, report->colour ? "\033[0m" : "", finding->subject);
    bide_visible_add(&line, finding->text, strlen(finding->text), false);
    if (finding->remedy)
        bide_buffer_format(&line, "\n             -> %s", finding->remedy);
    bide_cli_print_line(&line);
    bide_buffer_release(&line);
}

void bide_cli_report_add(void *user, const struct bide_finding *finding)
{
    struct bide_cli_report *report = user;
    if (finding->severity == BIDE_FINDING_ERROR && report->errors++ == 0 && report->first_error == BIDE_OK)
        report->first_error = BIDE_E_CONFIG;
    if (report->json)
        print_json(finding);
    else
        print_text(report, finding);
}

void bide_cli_report_ok(struct bide_cli_report *report, const char *subject, const char *text)
{
    bide_cli_report_add(report, &(struct bide_finding){BIDE_FINDING_OK, subject, text, NULL});
}

void bide_cli_report_failure(
    struct bide_cli_report *report, const char *subject, const bide_error *error, const char *remedy)
{
    if (report->errors == 0)
        report->first_error = error->code;
    bide_cli_report_add(report, &(struct bide_finding){BIDE_FINDING_ERROR, subject, error->text, remedy});
}
