#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "cli/commands/check.h"
#include "dispatch/handler.h"
#include "dispatch/program/host.h"
#include "dispatch/settings.h"
#include "outcome/backoff.h"
#include "producer/unserved.h"

enum { OPEN_MS = 20 * 1000, SHORT_OUTAGE_MS = 60 * 1000 };

/* What the child says of the plugin; it fits into a pipe at once. */
struct answer {
    bide_code code;
    char text[512]; /* what went wrong, or the version */
    char remedy[96];
};

static void fail(struct answer *answer, const bide_error *error, const char *remedy)
{
    answer->code = error->code;
    snprintf(answer->text, sizeof answer->text, "%s", error->text);
    snprintf(answer->remedy, sizeof answer->remedy, "%s", remedy);
}

static void open_and_close(struct answer *answer, const struct bide_handler *handler)
{
    void *state = NULL;
    bide_error error;
    if (bide_handler_open_state(handler, &state, &error) != BIDE_OK) {
        bide_fail_within(&error, "%s:%d", handler->config->file, handler->config->line);
        fail(answer, &error, "mend what the message names; a worker would not start without it");
    } else if (handler->plugin->descriptor.close) {
        handler->plugin->descriptor.close(state);
    }
}

static bool refuses_batches(struct answer *answer, const struct bide_handler_config *row, bool takes_batches)
{
    bide_error error;
    if (bide_handler_check_batch(row, takes_batches, &error) == BIDE_OK)
        return false;
    fail(answer, &error, "a worker would not start with it");
    return true;
}

/* In the child: the program is started once, and must know the type. */
static void look_at_program(
    struct answer *answer, const struct bide_config *config, const struct bide_handler_config *row)
{
    struct bide_programs *programs;
    bide_error error;
    struct bide_config one = *config;
    for (size_t i = 0; i < config->n_programs; i++)
        if (strcmp(config->programs[i].name, row->program) == 0) {
            one.programs = &config->programs[i];
            one.n_programs = 1;
        }
    bide_code code = bide_programs_start(&one, bide_clock_system(), &programs, &error);
    if (code == BIDE_OK && !bide_program_announces(bide_programs_find(programs, row->program), row->type))
        code = bide_fail(
            &error, BIDE_E_CONFIG, "program '%s' has no handler for the type '%s'", row->program, row->type);
    if (code == BIDE_OK &&
        refuses_batches(
            answer, row, bide_program_takes_batches(bide_programs_find(programs, row->program), row->type)))
        return;
    if (code != BIDE_OK) {
        bide_fail_within(&error, "%s:%d", row->file, row->line);
        fail(answer, &error,
            "start it by hand to see what it says: it wants descriptor 3 (docs/program-protocol.md)");
        return;
    }
    snprintf(answer->text, sizeof answer->text, "program %s, queue %s", row->program, row->queue);
    bide_programs_stop(programs);
    bide_programs_destroy(programs);
}

/* In the child. */
static void look_at_plugin(
    struct answer *answer, const struct bide_config *config, const struct bide_handler_config *row)
{
    struct bide_handler handler = {.config = row};
    bide_error error;
    if (bide_plugin_load(row->plugin_path, config->allow_unsafe_plugins, &handler.plugin, &error) !=
        BIDE_OK) {
        bide_fail_within(&error, "%s:%d", row->file, row->line);
        fail(answer, &error, "`bide handlers` lists the plugins found in plugin_dir");
        return;
    }
    const bide_plugin_descriptor *descriptor = &handler.plugin->descriptor;
    if (refuses_batches(answer, row, descriptor->handle_batch))
        return;
    snprintf(answer->text, sizeof answer->text, "plugin %s %s, queue %s", handler.plugin->name,
        descriptor->version, row->queue);
    if (bide_settings_create(row, descriptor->settings, row->file, config->dir, &handler.settings, &error) !=
        BIDE_OK)
        fail(answer, &error, "`bide handlers` lists the settings of each plugin");
    else
        open_and_close(answer, &handler);
}

/* The whole answer, or false: the child ended without it, or time is up. */
static bool read_answer(int fd, struct answer *ret_answer)
{
    int64_t end_us = bide_mono_us(bide_clock_system()) + OPEN_MS * INT64_C(1000);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    for (;;) {
        int64_t left_ms = (end_us - bide_mono_us(bide_clock_system())) / 1000;
        int ready = poll(&wait, 1, left_ms > 0 ? (int)left_ms : 0);
        if (ready < 0 && errno == EINTR)
            continue;
        return ready > 0 && read(fd, ret_answer, sizeof *ret_answer) == (ssize_t)sizeof *ret_answer;
    }
}

static void describe_end(struct answer *answer, const struct bide_handler_config *row, int status)
{
    answer->code = BIDE_E_CONFIG;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        snprintf(answer->text, sizeof answer->text, "%s:%d: plugin '%s' was not open after %d s", row->file,
            row->line, row->plugin, OPEN_MS / 1000);
    else if (WIFSIGNALED(status))
        snprintf(answer->text, sizeof answer->text,
            "%s:%d: plugin '%s' crashed while it was opened (signal %d: %s)", row->file, row->line,
            row->plugin, WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(answer->text, sizeof answer->text, "%s:%d: plugin '%s' ended the process with status %d",
            row->file, row->line, row->plugin, WEXITSTATUS(status));
    snprintf(answer->remedy, sizeof answer->remedy, "a worker would not start with it: ask who wrote it");
}

static void ask_child(
    struct answer *answer, const struct bide_config *config, const struct bide_handler_config *row)
{
    int ends[2] = {-1, -1}, status = 0;
    fflush(stdout);
    pid_t child = pipe(ends) == 0 ? fork() : -1;
    if (child == 0) {
        close(ends[0]);
        if (row->program)
            look_at_program(answer, config, row);
        else
            look_at_plugin(answer, config, row);
        ssize_t written = write(ends[1], answer, sizeof *answer);
        _exit(written == (ssize_t)sizeof *answer ? 0 : 1);
    }
    if (child < 0) {
        answer->code = BIDE_E_INTERNAL;
        snprintf(answer->text, sizeof answer->text, "cannot start a process: %s", strerror(errno));
    } else {
        close(ends[1]);
        ends[1] = -1;
        bool answered = read_answer(ends[0], answer);
        kill(child, SIGKILL); /* whatever its threads do; the answer is here, or it hangs, or it has ended */
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            continue;
        if (!answered)
            describe_end(answer, row, status);
    }
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
}

/* A policy that gives up within a minute turns each restart of what the handler calls into dead letters. */
static void check_patience(
    struct bide_cli_report *report, const char *subject, const struct bide_handler_config *handler)
{
    char text[120], total[BIDE_DURATION_TEXT];
    int64_t total_ms = bide_backoff_total_ms(&handler->retry);
    if (total_ms >= SHORT_OUTAGE_MS || handler->retry.attempts == 1)
        return;
    snprintf(text, sizeof text, "its retries give up after %s: an outage of a minute makes dead letters",
        bide_format_duration(total_ms, total));
    bide_cli_report_add(
        report, &(struct bide_finding){BIDE_FINDING_WARNING, subject, text,
                    "raise retry.attempts, retry.base or retry.cap (the defaults go on for 13 hours)"});
}

/* With a fixed prefetch that is smaller, a batch never fills. */
static void check_batch(struct bide_cli_report *report, const char *subject, const struct bide_config *config,
    const struct bide_handler_config *handler)
{
    char text[120];
    if (handler->batch <= 1 || config->worker.prefetch == 0 || config->worker.prefetch >= handler->batch)
        return;
    snprintf(text, sizeof text, "batch is %d, and a worker holds only %d messages of a queue", handler->batch,
        config->worker.prefetch);
    bide_cli_report_add(report, &(struct bide_finding){BIDE_FINDING_WARNING, subject, text,
                                    "raise worker.prefetch, or remove it: it is then as large as is needed"});
}

static void check_on_dead(struct bide_cli_report *report, const char *subject,
    const struct bide_config *config, const struct bide_handler_config *handler)
{
    char text[BIDE_UNSERVED_TEXT];
    if (handler->on_dead && bide_is_unserved(config, handler->on_dead, "", text))
        bide_cli_report_add(report, &(struct bide_finding){BIDE_FINDING_WARNING, subject, text,
                                        "add a handler for its on_dead, or let another worker have it"});
}

void bide_cli_check_handler(struct bide_cli_report *report, const struct bide_config *config, size_t index)
{
    const struct bide_handler_config *handler = &config->handlers[index];
    struct answer answer = {.code = BIDE_OK};
    char subject[BIDE_NAME_MAX + 16];
    snprintf(subject, sizeof subject, "handler %s", handler->type);
    ask_child(&answer, config, handler);
    if (answer.code == BIDE_OK) {
        bide_cli_report_ok(report, subject, answer.text);
    } else {
        bide_error error;
        bide_fail(&error, answer.code, "%s", answer.text);
        bide_cli_report_failure(report, subject, &error, *answer.remedy ? answer.remedy : NULL);
    }
    check_patience(report, subject, handler);
    check_batch(report, subject, config, handler);
    check_on_dead(report, subject, config, handler);
}
