/* command: runs a program for each message. The body is its standard input, the fields are in its environment
 * (BIDE_ID, BIDE_TYPE, …, BIDE_HEADER_X), and its exit code is the verdict: 0 done, one of `dead_codes` dead,
 * anything else retry. No shell is involved, so nothing in a message can become a command. */
#include <string.h>
#include <sys/wait.h>

#include "command.h"

static bide_outcome ended(const struct command *command, struct child *child, bide_context *context)
{
    const char *output = tail_text(&child->tail);
    const char *colon = output[0] ? ": " : "";
    if (child->stopped)
        return bide_retry(context, BIDE_BY_POLICY, "%s was stopped: the run was cancelled%s%s",
            command->argv[0], colon, output);
    if (child->lost)
        return bide_retry(context, BIDE_BY_POLICY,
            "%s: exit code unknown: this process ignores SIGCHLD or waits for all its children",
            command->argv[0]);
    if (WIFSIGNALED(child->status))
        return bide_retry(context, BIDE_BY_POLICY, "%s was killed by signal %d (%s)%s%s", command->argv[0],
            WTERMSIG(child->status), strsignal(WTERMSIG(child->status)), colon, output);
    int exit_code = WEXITSTATUS(child->status);
    if (exit_code == 0) {
        const bide_log_field fields[] = {BIDE_STR("output", output), {0}};
        bide_context_log(context, BIDE_LOG_DEBUG, "program succeeded", fields);
        return BIDE_DONE;
    }
    if (command->dead_codes[exit_code])
        return bide_dead(context, "%s: exit code %d%s%s", command->argv[0], exit_code, colon, output);
    return bide_retry(
        context, BIDE_BY_POLICY, "%s: exit code %d%s%s", command->argv[0], exit_code, colon, output);
}

static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    const struct command *command = state;
    struct environment environment;
    struct child child;
    bide_error error;
    if (!environment_make(&environment, command, message, context)) {
        environment_clear(&environment);
        return bide_retry(context, BIDE_BY_POLICY, "out of memory");
    }
    bide_outcome outcome;
    if (child_start(&child, command, environment.list, message, &error) == BIDE_OK) {
        child_wait(&child, command, context);
        outcome = ended(command, &child, context);
    } else {
        outcome = bide_retry(context, BIDE_BY_POLICY, "%s", error.text);
    }
    child_clear(&child);
    environment_clear(&environment);
    return outcome;
}

static bide_code open_handler(const bide_settings *settings, void **ret_state, bide_error *error)
{
    struct command *command;
    bide_code code = command_open(settings, &command, error);
    if (code == BIDE_OK)
        *ret_state = command;
    return code;
}

static void close_handler(void *state)
{
    command_close(state);
}

static const bide_setting_spec settings_table[] = {
    {"program", BIDE_SETTING_STRING, NULL, "what to run: a name to be found in PATH, or a path"},
    {"args", BIDE_SETTING_LIST, "", "its arguments, as they are: no shell, no expansion"},
    {"environment", BIDE_SETTING_LIST, "",
        "variables of the worker's that it gets, too (\"API_URL\", \"API_*\"); PATH HOME LANG LC_* TZ it "
        "has"},
    {"directory", BIDE_SETTING_STRING, ".", "where it runs"},
    {"dead_codes", BIDE_SETTING_STRING, "64 65 78",
        "exit codes that make a dead letter (usage, data, configuration); 0 is done, others retry"},
    {"grace", BIDE_SETTING_DURATION, "2s", "between SIGTERM and SIGKILL when the run is cancelled"},
    {"keep_output", BIDE_SETTING_SIZE, "4000", "last bytes of its output, kept as the text of a failure"},
    {0},
};

const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "command", .version = "1.0.0",
    .summary = "runs a program: body on standard input, exit code decides", .settings = settings_table,
    .open = open_handler, .handle = handle, .close = close_handler};
