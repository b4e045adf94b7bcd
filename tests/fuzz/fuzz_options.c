/* A command line, a word a line: found and read without a fault, or refused as wrong usage with one line. */
#include "fuzz/fuzz.h"

#include "cli/core/command.h"
#include "fuzz/unseen.h"

enum { WORDS_MAX = 60 };

static void check_refusal(bide_code code, const bide_error *error)
{
    HOLDS(code == BIDE_E_USAGE || code == BIDE_E_DATA);
    HOLDS(*error->text && !has_unseen(error->text, strlen(error->text), false));
}

static void check_read(const struct bide_cli_command *command, char *const *argv, size_t n)
{
    struct bide_cli cli = {.command = command};
    void *values = calloc(1, command->values_size + 1);
    struct bide_cli_list arguments = {.items = calloc(n + 1, sizeof *arguments.items)};
    const struct bide_cli_values tables[] = {{bide_cli_global_options(), &cli}, {command->options, values}};
    size_t n_tables = command->options ? 2 : 1, used = 0;
    bide_error error = {0};
    for (size_t i = 0; i < n_tables; i++)
        HOLDS(bide_cli_values_init(&tables[i], NULL) == BIDE_OK);
    bide_code code = bide_cli_parse(tables, n_tables, argv, false, &arguments, &used, &error);
    if (code == BIDE_OK)
        HOLDS(used == n && arguments.n <= n);
    else
        check_refusal(code, &error);
    for (size_t i = 0; i < n_tables; i++)
        bide_cli_values_release(&tables[i]);
    free(arguments.items);
    free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = text_of_input(bytes, size), *argv[WORDS_MAX + 1] = {NULL}, *rest = text;
    size_t n = 0, words;
    for (char *word; n < WORDS_MAX && (word = strsep(&rest, "\n"));)
        argv[n++] = word;
    const struct bide_cli_command *command;
    bide_error error = {0};
    bide_code code = bide_cli_find(argv, &command, &words, &error);
    if (code == BIDE_OK) {
        HOLDS(words <= n);
        check_read(command, argv + words, n - words);
    } else {
        check_refusal(code, &error);
    }
    free(text);
    return 0;
}
