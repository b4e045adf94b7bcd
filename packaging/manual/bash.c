#include <string.h>

#include "manual.h"

static void add_names(struct bide_buffer *to, const struct bide_cli_option *options)
{
    for (; options && options->name; options++) {
        bide_buffer_format(to, "--%s ", options->name);
        if (options->letter)
            bide_buffer_format(to, "-%c ", options->letter);
    }
}

/* A branch of `case` that completes an option's value; `where`: the command, "*" for all. */
static void add_values(struct bide_buffer *to, const char *where, const struct bide_cli_option *options)
{
    for (; options && options->name; options++) {
        if (!options->value)
            continue;
        bide_buffer_format(to, "        \"%s --%s\"", where, options->name);
        if (options->letter)
            bide_buffer_format(to, " | \"%s -%c\"", where, options->letter);
        bide_buffer_text(to, ") ");
        for (size_t i = 0; options->choices && options->choices[i]; i++)
            bide_buffer_format(to, i ? " %s" : "words='%s", options->choices[i]);
        if (options->choices)
            bide_buffer_text(to, "'");
        else if (manual_takes_file(options))
            bide_buffer_text(to, "kind=-f");
        else if (manual_takes_folder(options))
            bide_buffer_text(to, "kind=-d");
        else
            bide_buffer_text(to, "kind=none");
        bide_buffer_text(to, " ;;\n");
    }
}

/* The first words, or with `first` the second words behind it. */
static void add_words(struct bide_buffer *to, const struct bide_cli_command *first)
{
    const struct bide_cli_command *const *commands = bide_cli_commands();
    for (size_t i = 0; commands[i]; i++) {
        int size = manual_first_word(commands[i]);
        const char *second = manual_second_word(commands[i]);
        if (!first && !manual_is_repeated(i))
            bide_buffer_format(to, "%.*s ", size, commands[i]->name);
        if (first && second && size == manual_first_word(first) &&
            memcmp(commands[i]->name, first->name, (size_t)size) == 0)
            bide_buffer_format(to, "%s ", second);
    }
}

static const char head[] = "# bash completion for bide. Generated from the tables of options.\n"
                           "# shellcheck shell=bash disable=SC2207 # words without blanks\n"
                           "_bide() {\n"
                           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} "
                           "first='' second='' command i\n"
                           "    local words='' kind='' all='";

static const char find_command[] =
    "    # --name=value comes as three words.\n"
    "    if [[ $word == = ]]; then word='' before=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    elif [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        [[ ${COMP_WORDS[i]} == [-=]* || ${COMP_WORDS[i - 1]} == = ]] && continue\n"
    "        if [[ -z $first ]]; then\n"
    "            # What stands before the command are options of every command, and their values.\n"
    "            [[ $globals_with_value == *\" ${COMP_WORDS[i - 1]} \"* ]] || first=${COMP_WORDS[i]}\n"
    "        else\n"
    "            second=${COMP_WORDS[i]} && break\n"
    "        fi\n"
    "    done\n"
    "    command=$first\n";

static const char tail[] =
    "    [[ -n $kind || -n $words ]] || words+=' '$all\n"
    "    case $kind in\n"
    "        none) COMPREPLY=() ;;\n"
    "        -*) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen $kind -- \"$word\")) ;;\n"
    "        *) COMPREPLY=($(compgen -W \"$words\" -- \"$word\")) ;;\n"
    "    esac\n"
    "}\n"
    "complete -F _bide bide\n";

static void add_second_words(struct bide_buffer *to)
{
    const struct bide_cli_command *const *commands = bide_cli_commands();
    bide_buffer_text(to, "    case $first in\n        '') words='");
    add_words(to, NULL);
    bide_buffer_text(to, "' ;;\n");
    for (size_t i = 0; commands[i]; i++) {
        if (manual_is_repeated(i))
            continue;
        size_t before = to->size;
        int size = manual_first_word(commands[i]);
        bide_buffer_format(to, "        %.*s) seconds=' ", size, commands[i]->name);
        size_t names = to->size;
        add_words(to, commands[i]);
        if (to->size == names) {
            to->size = before;
            continue;
        }
        bide_buffer_text(to, "' ;;\n");
    }
    bide_buffer_text(to,
        "    esac\n"
        "    if [[ -n $second && $seconds == *\" $second \"* ]]; then command+=\" $second\"\n"
        "    elif [[ -z $second ]]; then words+=$seconds; fi\n");
}

void manual_write_bash(struct bide_buffer *to)
{
    const struct bide_cli_command *const *commands = bide_cli_commands();
    bide_buffer_text(to, head);
    add_names(to, bide_cli_global_options());
    bide_buffer_text(to, "' seconds='' options='' globals_with_value=' ");
    for (const struct bide_cli_option *option = bide_cli_global_options(); option->name; option++) {
        if (option->value)
            bide_buffer_format(to, "--%s ", option->name);
        if (option->value && option->letter)
            bide_buffer_format(to, "-%c ", option->letter);
    }
    bide_buffer_text(to, "'\n");
    bide_buffer_text(to, find_command);
    add_second_words(to);
    bide_buffer_text(to, "    case $command in\n");
    for (size_t i = 0; commands[i]; i++) {
        bide_buffer_format(to, "        '%s') options='", commands[i]->name);
        add_names(to, commands[i]->options);
        bide_buffer_text(to, "' ;;\n");
    }
    bide_buffer_text(to, "    esac\n    if [[ $word == -* || -z $words ]]; then words=\"$options $all\"; fi\n"
                         "    case \"$command $before\" in\n");
    for (size_t i = 0; commands[i]; i++)
        add_values(to, commands[i]->name, commands[i]->options);
    bide_buffer_text(to, "    esac\n    case \"* $before\" in\n");
    add_values(to, "*", bide_cli_global_options());
    bide_buffer_text(to, "    esac\n");
    bide_buffer_text(to, tail);
}
