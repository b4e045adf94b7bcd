#include "cli/core/option.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/suggest.h"
#include "base/units.h"

enum { NAMES_MAX = 48, NAME_SIZE = 40 };

/* ---- values ---- */

/* Where one value goes: its row, the struct, what was written. */
struct given {
    const struct bide_cli_option *option;
    void *to;
    const char *text;
    bide_error *error;
};

static bide_code set_flag(const struct given *given)
{
    *(bool *)given->to = true;
    return BIDE_OK;
}

static bide_code set_text(const struct given *given)
{
    *(const char **)given->to = given->text;
    return BIDE_OK;
}

static bide_code add_to_list(const struct given *given)
{
    struct bide_cli_list *list = given->to;
    const char **items = bide_realloc(list->items, (list->n + 1) * sizeof *items);
    if (!items)
        return bide_fail(given->error, BIDE_E_NOMEM, "out of memory");
    list->items = items;
    items[list->n++] = given->text;
    return BIDE_OK;
}

static bide_code set_int(const struct given *given)
{
    return bide_parse_int(given->text, given->option->min, given->option->max, given->to, given->error);
}

static bide_code set_duration(const struct given *given)
{
    return bide_parse_duration(given->text, given->to, given->error);
}

static bide_code set_instant(const struct given *given)
{
    return bide_parse_instant(given->text, given->to, given->error);
}

static bide_code set_choice(const struct given *given)
{
    char hint[BIDE_SUGGEST_TEXT], known[BIDE_SUGGEST_TEXT];
    const char *const *choices = given->option->choices;
    size_t used = 0;
    for (size_t i = 0; choices[i]; i++) {
        if (strcmp(choices[i], given->text) == 0) {
            *(int *)given->to = (int)i;
            return BIDE_OK;
        }
        if (used < sizeof known)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", choices[i]);
    }
    return bide_fail(given->error, BIDE_E_USAGE, "'%s' is none of %s%s", given->text, known,
        bide_suggest(given->text, choices, hint));
}

static bide_code (*const kinds[])(const struct given *) = {
    [BIDE_CLI_FLAG] = set_flag,
    [BIDE_CLI_TEXT] = set_text,
    [BIDE_CLI_LIST] = add_to_list,
    [BIDE_CLI_INT] = set_int,
    [BIDE_CLI_DURATION] = set_duration,
    [BIDE_CLI_INSTANT] = set_instant,
    [BIDE_CLI_CHOICE] = set_choice,
};

static void unset(const struct bide_cli_option *option, void *to)
{
    if (option->kind == BIDE_CLI_CHOICE)
        *(int *)to = -1;
    else if (option->kind == BIDE_CLI_INT || option->kind == BIDE_CLI_DURATION ||
             option->kind == BIDE_CLI_INSTANT)
        *(int64_t *)to = BIDE_CLI_UNSET;
}

bide_code bide_cli_values_init(const struct bide_cli_values *values, bide_error *error)
{
    for (const struct bide_cli_option *option = values->options; option && option->name; option++) {
        struct given given = {option, (char *)values->base + option->offset, option->fallback, error};
        unset(option, given.to);
        bide_code code = option->fallback ? kinds[option->kind](&given) : BIDE_OK;
        if (code != BIDE_OK)
            return code;
    }
    return BIDE_OK;
}

void bide_cli_values_release(const struct bide_cli_values *values)
{
    for (const struct bide_cli_option *option = values->options; option && option->name; option++)
        if (option->kind == BIDE_CLI_LIST)
            bide_free(((struct bide_cli_list *)(void *)((char *)values->base + option->offset))->items);
}

/* ---- parsing ---- */

/* One argument of argv, taken apart. */
struct word {
    const char *name; /* behind the dashes */
    size_t name_size;
    const char *value; /* behind '=' or the letter; NULL: the next of argv, if any */
    bool is_letter;
};

static struct word take_apart(const char *argument)
{
    struct word word = {.is_letter = argument[1] != '-'};
    word.name = argument + (word.is_letter ? 1 : 2);
    word.name_size = word.is_letter ? 1 : strcspn(word.name, "=");
    if (word.is_letter && word.name[1])
        word.value = word.name + 1 + (word.name[1] == '=');
    else if (!word.is_letter && word.name[word.name_size] == '=')
        word.value = word.name + word.name_size + 1;
    return word;
}

static bool matches(const struct bide_cli_option *option, const struct word *word)
{
    if (word->is_letter)
        return option->letter == *word->name;
    return strlen(option->name) == word->name_size && memcmp(option->name, word->name, word->name_size) == 0;
}

static const struct bide_cli_option *find(
    const struct bide_cli_values *values, size_t n, const struct word *word, void **ret_base)
{
    for (size_t i = 0; i < n; i++)
        for (const struct bide_cli_option *option = values[i].options; option && option->name; option++)
            if (matches(option, word)) {
                *ret_base = values[i].base;
                return option;
            }
    return NULL;
}

static bide_code unknown(
    const struct bide_cli_values *values, size_t n, const struct word *word, bide_error *error)
{
    char names[NAMES_MAX][NAME_SIZE], given[NAME_SIZE], hint[BIDE_SUGGEST_TEXT];
    const char *known[NAMES_MAX + 1] = {0};
    size_t n_known = 0;
    if (word->is_letter)
        return bide_fail(error, BIDE_E_USAGE, "unknown option '-%c'", *word->name);
    for (size_t i = 0; i < n; i++)
        for (const struct bide_cli_option *option = values[i].options;
             option && option->name && n_known < NAMES_MAX; option++) {
            snprintf(names[n_known], NAME_SIZE, "--%s", option->name);
            known[n_known] = names[n_known];
            n_known++;
        }
    snprintf(given, sizeof given, "--%.*s", (int)word->name_size, word->name);
    return bide_fail(error, BIDE_E_USAGE, "unknown option '%s'%s", given, bide_suggest(given, known, hint));
}

/* Reads the option at argv[*at], and its value. */
static bide_code read_option(
    const struct bide_cli_values *values, size_t n, char *const *argv, size_t *at, bide_error *error)
{
    struct word word = take_apart(argv[(*at)++]);
    void *base = NULL;
    const struct bide_cli_option *option = find(values, n, &word, &base);
    if (!option)
        return unknown(values, n, &word, error);
    if (option->kind == BIDE_CLI_FLAG && word.value)
        return bide_fail(error, BIDE_E_USAGE, "--%s takes no value", option->name);
    if (option->kind != BIDE_CLI_FLAG && !word.value && !(word.value = argv[*at]))
        return bide_fail(
            error, BIDE_E_USAGE, "--%s needs a value: --%s %s", option->name, option->name, option->value);
    if (option->kind != BIDE_CLI_FLAG && word.value == argv[*at])
        ++*at;
    struct given given = {option, (char *)base + option->offset, word.value, error};
    bide_code code = kinds[option->kind](&given);
    if (code == BIDE_E_USAGE)
        bide_fail_within(error, "--%s", option->name);
    return code;
}

bide_code bide_cli_parse(const struct bide_cli_values *values, size_t n, char *const *argv,
    bool until_argument, struct bide_cli_list *ret_arguments, size_t *ret_used, bide_error *error)
{
    size_t at = 0;
    bool options_ended = false;
    while (argv[at]) {
        const char *argument = argv[at];
        if (!options_ended && argument[0] == '-' && argument[1]) {
            options_ended = strcmp(argument, "--") == 0;
            at += options_ended;
            bide_code code = options_ended ? BIDE_OK : read_option(values, n, argv, &at, error);
            if (code != BIDE_OK)
                return code;
            continue;
        }
        if (until_argument)
            break;
        ret_arguments->items[ret_arguments->n++] = argument;
        at++;
    }
    *ret_used = at;
    return BIDE_OK;
}

/* ---- help ---- */

enum { HELP_COLUMN = 28, HELP_WIDTH = 100 };

static void wrap(struct bide_buffer *to, const char *text)
{
    while (*text) {
        size_t size = strlen(text), most = HELP_WIDTH - HELP_COLUMN;
        if (size > most)
            for (size = most; size > 1 && text[size] != ' ';)
                size--;
        bide_buffer_add(to, text, size);
        text += size + (text[size] == ' ');
        if (*text)
            bide_buffer_format(to, "\n%*s", HELP_COLUMN, "");
    }
}

static void add_row(struct bide_buffer *to, const struct bide_cli_option *option)
{
    struct bide_buffer help;
    char left[64];
    bide_buffer_init(&help);
    bide_buffer_text(&help, option->help);
    if (option->fallback)
        bide_buffer_format(&help, " (default: %s)", option->fallback);
    for (size_t i = 0; option->choices && option->choices[i]; i++)
        bide_buffer_format(&help, "%s%s", i ? ", " : ": ", option->choices[i]);
    int used = option->letter ? snprintf(left, sizeof left, "  -%c, --%s", option->letter, option->name)
                              : snprintf(left, sizeof left, "  --%s", option->name);
    snprintf(left + used, sizeof left - (size_t)used, "%s%s", option->value ? " " : "",
        option->value ? option->value : "");
    bide_buffer_format(to, "%-*s", HELP_COLUMN, left);
    if (strlen(left) >= HELP_COLUMN)
        bide_buffer_format(to, "\n%*s", HELP_COLUMN, "");
    wrap(to, help.bytes);
    bide_buffer_char(to, '\n');
    bide_buffer_release(&help);
}

void bide_cli_options_help(struct bide_buffer *to, const struct bide_cli_option *options)
{
    for (; options && options->name; options++)
        add_row(to, options);
}
