#include <stdio.h>
#include "manual.h"

static void add_option(struct bide_buffer *to, const char *condition, const struct bide_cli_option *option)
{
    bide_buffer_format(to, "complete -c bide%s -l %s", condition, option->name);
    if (option->letter)
        bide_buffer_format(to, " -s %c", option->letter);
    if (option->choices) {
        bide_buffer_text(to, " -xa '");
        for (size_t i = 0; option->choices[i]; i++)
            bide_buffer_format(to, "%s%s", i ? " " : "", option->choices[i]);
        bide_buffer_char(to, '\'');
    } else if (manual_takes_file(option) || manual_takes_folder(option)) {
        bide_buffer_text(to, " -rF");
    } else if (option->value) {
        bide_buffer_text(to, " -x");
    }
    bide_buffer_text(to, " -d ");
    manual_quoted(to, option->help, MANUAL_FISH);
    bide_buffer_char(to, '\n');
}

static void add_command(struct bide_buffer *to, const struct bide_cli_command *command, bool repeated)
{
    char seen[192];
    int size = manual_first_word(command);
    const char *second = manual_second_word(command);
    if (!repeated) {
        bide_buffer_format(to, "complete -c bide -n __fish_use_subcommand -fa %.*s -d ", size, command->name);
        manual_quoted(to, command->summary, MANUAL_FISH);
        bide_buffer_char(to, '\n');
    }
    if (second) {
        bide_buffer_format(to, "complete -c bide -n '__fish_seen_subcommand_from %.*s' -fa %s -d ", size,
            command->name, second);
        manual_quoted(to, command->summary, MANUAL_FISH);
        bide_buffer_char(to, '\n');
    }
    snprintf(seen, sizeof seen, " -n '__fish_seen_subcommand_from %.*s%s%s'", size, command->name,
        second ? "; and __fish_seen_subcommand_from " : "", second ? second : "");
    for (const struct bide_cli_option *option = command->options; option && option->name; option++)
        add_option(to, seen, option);
}

void manual_write_fish(struct bide_buffer *to)
{
    const struct bide_cli_command *const *commands = bide_cli_commands();
    bide_buffer_text(to, "# fish completion for bide. Generated from the tables of options.\n");
    for (size_t i = 0; commands[i]; i++)
        add_command(to, commands[i], manual_is_repeated(i));
    for (const struct bide_cli_option *option = bide_cli_global_options(); option->name; option++)
        add_option(to, "", option);
}
