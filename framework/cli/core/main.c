#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "bide/handler.h"
#include "broker/broker.h"
#include "cli/core/command.h"
#include "cli/core/output.h"

static void show(struct bide_buffer *text)
{
    fwrite(text->bytes, 1, text->size, stdout);
    bide_buffer_release(text);
}

static void show_version(void)
{
    struct bide_buffer text;
    bide_buffer_init(&text);
    bide_buffer_format(
        &text, "bide %s (plugin ABI %d.%d; brokers:", BIDE_VERSION, BIDE_ABI_MAJOR, BIDE_ABI_MINOR);
    for (const struct bide_adapter *const *adapter = bide_adapters(); *adapter; adapter++)
        bide_buffer_format(&text, " %s", (*adapter)->name);
    bide_buffer_text(&text, ")\n");
    show(&text);
}

static void show_help(const struct bide_cli_command *command)
{
    struct bide_buffer text;
    bide_buffer_init(&text);
    if (command)
        bide_cli_help_command(&text, command);
    else
        bide_cli_help_all(&text);
    show(&text);
}

/* `bide dead --help`; false: that is not what was asked for. */
static bool show_group(char *const *argv)
{
    struct bide_buffer text;
    if (!argv[1] || (strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0))
        return false;
    bide_buffer_init(&text);
    bool shown = bide_cli_help_group(&text, argv[0]);
    if (shown)
        show(&text);
    return shown;
}

/* `bide help`, `bide help dead`, `bide help dead list`. */
static bide_code help_for(char *const *argv, bide_error *error)
{
    const struct bide_cli_command *command = NULL;
    size_t words;
    struct bide_buffer text;
    bide_buffer_init(&text);
    bide_code code = argv[0] && !(!argv[1] && bide_cli_help_group(&text, argv[0]))
                         ? bide_cli_find(argv, &command, &words, error)
                         : BIDE_OK;
    if (text.size)
        show(&text);
    else if (code == BIDE_OK)
        show_help(command);
    return code;
}

static bide_code check_arguments(const struct bide_cli *cli, bide_error *error)
{
    const struct bide_cli_command *command = cli->command;
    size_t n = cli->arguments.n;
    if (n > command->max_arguments)
        return bide_fail(error, BIDE_E_USAGE, "'%s' is one argument too many",
            cli->arguments.items[command->max_arguments]);
    if (n < command->min_arguments)
        return bide_fail(error, BIDE_E_USAGE, "something is missing: bide %s %.*s", command->name,
            (int)strcspn(command->usage, "\n"), command->usage);
    return BIDE_OK;
}

static bide_code run_command(struct bide_cli *cli, void *values, bide_error *error)
{
    if (cli->help || cli->version) {
        if (cli->help)
            show_help(cli->command);
        else
            show_version();
        return BIDE_OK;
    }
    bide_code code = check_arguments(cli, error);
    if (code != BIDE_OK)
        return code;
    bide_log_set_level(cli->log_level >= 0 ? (bide_log_level)cli->log_level : cli->command->log_level);
    return cli->command->run(cli, values, error);
}

/* Reads the rest of the command line into the command's own struct, and runs it. */
static bide_code parse_and_run(struct bide_cli *cli, char *const *argv, bide_error *error)
{
    void *own = bide_calloc(1, cli->command->values_size + 1);
    struct bide_cli_values values[] = {{bide_cli_global_options(), cli}, {cli->command->options, own}};
    size_t used;
    if (!own)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = bide_cli_values_init(&values[1], error);
    if (code == BIDE_OK)
        code = bide_cli_parse(values, 2, argv, false, &cli->arguments, &used, error);
    if (code == BIDE_OK)
        code = run_command(cli, own, error);
    bide_cli_values_release(&values[1]);
    bide_free(own);
    return code;
}

static bide_code run(struct bide_cli *cli, char *const *argv, bide_error *error)
{
    const struct bide_cli_values globals = {bide_cli_global_options(), cli};
    size_t used = 0, words = 0;
    bide_code code = bide_cli_values_init(&globals, error);
    if (code == BIDE_OK)
        code = bide_cli_parse(&globals, 1, argv, true, &cli->arguments, &used, error);
    if (code != BIDE_OK)
        return code;
    if (cli->version || cli->help) {
        if (cli->version)
            show_version();
        else
            show_help(NULL);
        return BIDE_OK;
    }
    if (!argv[used])
        return bide_fail(error, BIDE_E_USAGE, "no command given");
    if (strcmp(argv[used], "help") == 0)
        return help_for(argv + used + 1, error);
    if (show_group(argv + used))
        return BIDE_OK;
    code = bide_cli_find(argv + used, &cli->command, &words, error);
    return code == BIDE_OK ? parse_and_run(cli, argv + used + words, error) : code;
}

void bide_cli_print_error(const struct bide_cli *cli, const bide_error *error)
{
    const char *space = cli->command ? " " : "", *name = cli->command ? cli->command->name : "";
    fprintf(stderr, "bide%s%s: %s\n", space, name, error->text);
    if (error->code == BIDE_E_USAGE)
        fprintf(stderr, "`bide%s%s --help` shows what there is.\n", space, name);
}

int bide_cli_main(int argc, char *const *argv)
{
    struct bide_cli cli = {0};
    bide_error error = {0};
    bide_cli_output_open();
    bide_buffer_init(&cli.broker_url);
    cli.arguments.items = bide_calloc((size_t)argc + 1, sizeof *cli.arguments.items);
    bide_code code = cli.arguments.items ? run(&cli, argv + (argc > 0), &error)
                                         : bide_fail(&error, BIDE_E_NOMEM, "out of memory");
    bide_code printed = bide_cli_output_flush(code == BIDE_OK ? &error : NULL);
    code = code == BIDE_OK ? printed : code;
    if (code != BIDE_OK) {
        error.code = code;
        bide_cli_print_error(&cli, &error);
    }
    bide_free(cli.arguments.items);
    bide_buffer_release(&cli.broker_url);
    return code == BIDE_OK ? cli.status : bide_code_exit(code);
}
