/* What the completions of all shells need to know. */
#include <string.h>

#include "manual.h"

int manual_first_word(const struct bide_cli_command *command)
{
    return (int)strcspn(command->name, " ");
}

const char *manual_second_word(const struct bide_cli_command *command)
{
    const char *blank = strchr(command->name, ' ');
    return blank ? blank + 1 : NULL;
}

bool manual_is_repeated(size_t row)
{
    const struct bide_cli_command *const *commands = bide_cli_commands();
    int size = manual_first_word(commands[row]);
    for (size_t i = 0; i < row; i++)
        if (manual_first_word(commands[i]) == size &&
            memcmp(commands[i]->name, commands[row]->name, (size_t)size) == 0)
            return true;
    return false;
}

bool manual_takes_file(const struct bide_cli_option *option)
{
    return option->value && strcmp(option->value, "FILE") == 0;
}

bool manual_takes_folder(const struct bide_cli_option *option)
{
    return option->value && strcmp(option->value, "DIR") == 0;
}

void manual_quoted(struct bide_buffer *to, const char *text, enum manual_shell shell)
{
    const char *escaped = shell == MANUAL_ZSH_SPEC ? "[]:\\" : shell == MANUAL_ZSH ? ":\\" : "";
    bide_buffer_char(to, '\'');
    for (; *text; text++) {
        if (shell == MANUAL_FISH && (*text == '\'' || *text == '\\'))
            bide_buffer_char(to, '\\');
        else if (*text == '\'')
            bide_buffer_text(to, "'\\'");
        else if (strchr(escaped, *text))
            bide_buffer_char(to, '\\');
        bide_buffer_char(to, *text);
    }
    bide_buffer_char(to, '\'');
}
