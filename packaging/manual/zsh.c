#include "manual.h"

/* '--name[help]:VALUE:action' */
static void add_option(struct bide_buffer *to, const struct bide_cli_option *option, char letter)
{
    bide_buffer_text(to, "            ");
    if (letter)
        bide_buffer_format(to, "-%c", letter);
    else
        bide_buffer_format(to, "--%s%s", option->name, option->value ? "=" : "");
    bide_buffer_text(to, "'['");
    manual_quoted(to, option->help, MANUAL_ZSH_SPEC);
    bide_buffer_text(to, "']");
    if (option->value)
        bide_buffer_format(to, ":%s:", option->value);
    if (option->choices)
        bide_buffer_char(to, '(');
    for (size_t i = 0; option->choices && option->choices[i]; i++)
        bide_buffer_format(to, "%s%s", i ? " " : "", option->choices[i]);
    if (option->choices)
        bide_buffer_char(to, ')');
    else if (manual_takes_file(option))
        bide_buffer_text(to, "_files");
    else if (manual_takes_folder(option))
        bide_buffer_text(to, "_files -/");
    bide_buffer_text(to, "'\n");
}

static void add_options(struct bide_buffer *to, const struct bide_cli_option *options)
{
    for (; options && options->name; options++) {
        add_option(to, options, '\0');
        if (options->letter)
            add_option(to, options, options->letter);
    }
}

static void add_command_words(struct bide_buffer *to)
{
    const struct bide_cli_command *const *commands = bide_cli_commands();
    for (size_t i = 0; commands[i]; i++) {
        if (manual_is_repeated(i))
            continue;
        bide_buffer_format(to, "        %.*s:", manual_first_word(commands[i]), commands[i]->name);
        manual_quoted(to, commands[i]->summary, MANUAL_ZSH);
        bide_buffer_char(to, '\n');
    }
}

static void add_second_words(struct bide_buffer *to)
{
    const struct bide_cli_command *const *commands = bide_cli_commands();
    for (size_t i = 0; commands[i]; i++) {
        const char *second = manual_second_word(commands[i]);
        if (!second)
            continue;
        bide_buffer_format(
            to, "        %.*s) seconds+=(%s:", manual_first_word(commands[i]), commands[i]->name, second);
        manual_quoted(to, commands[i]->summary, MANUAL_ZSH);
        bide_buffer_text(to, ") ;|\n");
    }
}

void manual_write_zsh(struct bide_buffer *to)
{
    const struct bide_cli_command *const *commands = bide_cli_commands();
    bide_buffer_text(to,
        "#compdef bide\n# zsh completion for bide. Generated from the tables of options.\n"
        "_bide() {\n    local command used=2\n    local -a firsts seconds options\n    firsts=(\n");
    add_command_words(to);
    bide_buffer_text(to, "    )\n    if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n"
                         "        _describe -t commands command firsts\n        return\n    fi\n"
                         "    command=$words[2]\n    case $command in\n");
    add_second_words(to);
    bide_buffer_text(to, "        *) ;;\n    esac\n"
                         "    if (( CURRENT == 3 && $#seconds )) && [[ $words[3] != -* ]]; then\n"
                         "        _describe -t commands command seconds\n        return\n    fi\n"
                         "    if (( ${seconds[(I)$words[3]:*]} )); then\n        command+=\" $words[3]\"\n   "
                         "     used=3\n    fi\n"
                         "    case $command in\n");
    for (size_t i = 0; commands[i]; i++) {
        bide_buffer_format(to, "        '%s') options=(\n", commands[i]->name);
        add_options(to, commands[i]->options);
        bide_buffer_text(to, "        ) ;;\n");
    }
    bide_buffer_text(to, "    esac\n    options+=(\n");
    add_options(to, bide_cli_global_options());
    bide_buffer_text(to,
        "    )\n    words=(bide \"${(@)words[used + 1, -1]}\")\n    (( CURRENT -= used - 1 ))\n"
        "    _arguments -S \"$options[@]\" '*:argument:_files'\n}\n_bide \"$@\"\n");
}
