#include "cli/core/command.h"

#include <stdio.h>
#include <string.h>

#include "base/suggest.h"

static const struct bide_cli_command *const commands[] = {
    &bide_cli_worker,
    &bide_cli_dev,
    &bide_cli_send,
    &bide_cli_status,
    &bide_cli_show,
    &bide_cli_list,
    &bide_cli_cancel,
    &bide_cli_reschedule,
    &bide_cli_dead_list,
    &bide_cli_dead_show,
    &bide_cli_dead_retry,
    &bide_cli_dead_drop,
    &bide_cli_cron_list,
    &bide_cli_cron_next,
    &bide_cli_cron_add,
    &bide_cli_cron_remove,
    &bide_cli_cron_pause,
    &bide_cli_cron_resume,
    &bide_cli_cron_run,
    &bide_cli_stream_send,
    &bide_cli_stream_list,
    &bide_cli_stream_show,
    &bide_cli_stream_cancel,
    &bide_cli_check,
    &bide_cli_explain,
    &bide_cli_handlers,
    &bide_cli_handlers_new,
    &bide_cli_limits,
    &bide_cli_limits_set,
    &bide_cli_limits_reset,
    &bide_cli_move,
    &bide_cli_relay,
    &bide_cli_schema,
    &bide_cli_pause,
    &bide_cli_resume,
    &bide_cli_tail,
    &bide_cli_top,
    &bide_cli_topic_list,
    &bide_cli_topic_join,
    &bide_cli_topic_leave,
    &bide_cli_transaction_prepare,
    &bide_cli_transaction_list,
    &bide_cli_transaction_show,
    &bide_cli_transaction_commit,
    &bide_cli_transaction_abort,
    &bide_cli_bench_throughput,
    &bide_cli_bench_delay,
    NULL,
};

enum { N_COMMANDS = sizeof commands / sizeof commands[0] - 1, NAME_SIZE = 48 };

static const char *const log_levels[] = {"debug", "info", "warn", "error", "off", NULL};

#define AT(member) .offset = offsetof(struct bide_cli, member)

static const struct bide_cli_option global_options[] = {
    {"config", BIDE_CLI_TEXT, AT(config_path), .letter = 'c', .value = "FILE",
        .help =
            "Configuration (default: ./bide.conf, then that of a `bide dev` that runs in this folder, then "
            "/etc/bide/bide.conf)."},
    {"broker", BIDE_CLI_TEXT, AT(broker), .value = "URL",
        .help =
            "Wins over the environment variable BIDE_BROKER, which wins over the configuration; a relative "
            "file in it starts at the working directory."},
    {"json", BIDE_CLI_FLAG, AT(json),
        .help = "Results as JSON: one document, or one line an item for lists."},
    {"log-level", BIDE_CLI_CHOICE, AT(log_level), .value = "LEVEL", .choices = log_levels,
        .help = "What goes to standard error"},
    {"help", BIDE_CLI_FLAG, AT(help), .letter = 'h', .help = "Shows this."},
    {"version", BIDE_CLI_FLAG, AT(version), .help = "Shows the version."},
    {0},
};

const struct bide_cli_command *const *bide_cli_commands(void)
{
    return commands;
}

const struct bide_cli_option *bide_cli_global_options(void)
{
    return global_options;
}

static const struct bide_cli_command *named(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* The second word of a command whose first is `word`, or NULL. */
static const char *second_word(const struct bide_cli_command *command, const char *word)
{
    size_t size = strlen(word);
    return strncmp(command->name, word, size) == 0 && command->name[size] == ' ' ? command->name + size + 1
                                                                                 : NULL;
}

/* "dead" alone: says which words may follow. */
static bide_code incomplete(const char *word, const char *second, bide_error *error)
{
    const char *known[N_COMMANDS + 1] = {0};
    char all[BIDE_SUGGEST_TEXT] = "", hint[BIDE_SUGGEST_TEXT];
    size_t n = 0, used = 0;
    for (size_t i = 0; i < N_COMMANDS; i++)
        if ((known[n] = second_word(commands[i], word))) {
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", n ? ", " : "", known[n]);
            n++;
        }
    if (n == 0)
        return BIDE_OK;
    if (second)
        return bide_fail(error, BIDE_E_USAGE, "unknown command '%s %s'%s: there are %s", word, second,
            bide_suggest(second, known, hint), all);
    return bide_fail(error, BIDE_E_USAGE, "'%s' needs one more word: %s", word, all);
}

/* The nearest first word. */
static bide_code unknown(const char *word, bide_error *error)
{
    char firsts[N_COMMANDS][NAME_SIZE], hint[BIDE_SUGGEST_TEXT];
    const char *known[N_COMMANDS + 1] = {0};
    for (size_t i = 0; i < N_COMMANDS; i++) {
        snprintf(firsts[i], NAME_SIZE, "%.*s", (int)strcspn(commands[i]->name, " "), commands[i]->name);
        known[i] = firsts[i];
    }
    return bide_fail(error, BIDE_E_USAGE, "unknown command '%.60s'%s", word, bide_suggest(word, known, hint));
}

bide_code bide_cli_find(
    char *const *argv, const struct bide_cli_command **ret_command, size_t *ret_words, bide_error *error)
{
    char both[NAME_SIZE];
    const char *second = argv[1] && *argv[1] != '-' ? argv[1] : NULL;
    snprintf(both, sizeof both, "%s %s", argv[0], second ? second : "");
    *ret_words = 2;
    if ((*ret_command = named(both)))
        return BIDE_OK;
    *ret_words = 1;
    if ((*ret_command = named(argv[0])))
        return BIDE_OK;
    bide_code code = incomplete(argv[0], second, error);
    return code == BIDE_OK ? unknown(argv[0], error) : code;
}

/* ---- help ---- */

void bide_cli_help_all(struct bide_buffer *to)
{
    bide_buffer_text(
        to, "bide runs messages later, or again.\n\nUsage: bide COMMAND [options]\n\nCommands:\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        bide_buffer_format(to, "  %-19s  %s\n", commands[i]->name, commands[i]->summary);
    bide_buffer_text(to, "\nOptions of every command:\n");
    bide_cli_options_help(to, global_options);
    bide_buffer_text(to,
        "\n`bide COMMAND --help` shows the options of one.\n"
        "Exit status: 0 done, 64 usage, 65 bad input data or unknown id, 69 broker, 70 internal "
        "error,\n78 configuration.\n");
}

bool bide_cli_help_group(struct bide_buffer *to, const char *word)
{
    size_t n = 0;
    if (named(word))
        return false;
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (second_word(commands[i], word)) {
            if (n++ == 0)
                bide_buffer_format(to, "Usage: bide %s COMMAND [options]\n\nCommands:\n", word);
            bide_buffer_format(to, "  %-19s  %s\n", commands[i]->name, commands[i]->summary);
        }
    if (n)
        bide_buffer_format(to, "\n`bide %s COMMAND --help` shows the options of one.\n", word);
    return n > 0;
}

void bide_cli_help_command(struct bide_buffer *to, const struct bide_cli_command *command)
{
    const char *usage = command->usage;
    for (bool first = true; *usage || first; first = false) {
        size_t size = strcspn(usage, "\n");
        bide_buffer_format(
            to, "%s bide %s %.*s\n", first ? "Usage:" : "      ", command->name, (int)size, usage);
        usage += size + (usage[size] == '\n');
    }
    bide_buffer_format(to, "\n%s\n", command->summary);
    if (command->details)
        bide_buffer_format(to, "\n%s\n", command->details);
    bide_buffer_text(to, "\nExamples:\n");
    for (const char *line = command->examples; *line;) {
        size_t size = strcspn(line, "\n");
        bide_buffer_format(to, "  %.*s\n", (int)size, line);
        line += size + (line[size] == '\n');
    }
    if (command->options && command->options->name) {
        bide_buffer_text(to, "\nOptions:\n");
        bide_cli_options_help(to, command->options);
    }
    bide_buffer_text(to, "\nOptions of every command:\n");
    bide_cli_options_help(to, global_options);
}
