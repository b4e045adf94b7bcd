/* The option mechanism of the command line, and the table of commands. */
#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/core/command.h"

struct values {
    bool flag;
    const char *text;
    struct bide_cli_list list;
    int64_t number, fallback, delay_ms, at_ms;
    int choice;
};

struct globals {
    const char *config;
    bool json;
};

static const char *const choices[] = {"red", "green", NULL};

#define AT(member) .offset = offsetof(struct values, member)

static const struct bide_cli_option own_options[] = {
    {"flag", BIDE_CLI_FLAG, AT(flag), .letter = 'f', .help = "A flag."},
    {"text", BIDE_CLI_TEXT, AT(text), .value = "TEXT", .help = "A text."},
    {"list", BIDE_CLI_LIST, AT(list), .value = "ITEM", .help = "Items."},
    {"number", BIDE_CLI_INT, AT(number), .value = "N", .min = 1, .max = 10, .help = "A number."},
    {"fallback", BIDE_CLI_INT, AT(fallback), .value = "N", .fallback = "7", .min = 1, .max = 10,
        .help = "One more."},
    {"delay", BIDE_CLI_DURATION, AT(delay_ms), .value = "DURATION", .help = "So long."},
    {"at", BIDE_CLI_INSTANT, AT(at_ms), .value = "TIME", .help = "Then."},
    {"choice", BIDE_CLI_CHOICE, AT(choice), .value = "COLOUR", .choices = choices, .help = "A colour"},
    {0},
};

static const struct bide_cli_option global_options[] = {
    {"config", BIDE_CLI_TEXT, .offset = offsetof(struct globals, config), .letter = 'c', .value = "FILE",
        .help = "A file."},
    {"json", BIDE_CLI_FLAG, .offset = offsetof(struct globals, json), .help = "JSON."},
    {0},
};

/* What one command line gave. */
struct parsed {
    struct globals globals;
    struct values own;
    const char *items[16];
    struct bide_cli_list arguments;
    size_t used;
    bide_error error;
    struct bide_cli_values tables[2];
};

static bide_code parse(struct parsed *parsed, bool until_argument, char *const *argv)
{
    *parsed = (struct parsed){.used = 99};
    parsed->arguments.items = parsed->items;
    parsed->tables[0] = (struct bide_cli_values){global_options, &parsed->globals};
    parsed->tables[1] = (struct bide_cli_values){own_options, &parsed->own};
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(bide_cli_values_init(&parsed->tables[i], NULL), BIDE_OK);
    return bide_cli_parse(
        parsed->tables, 2, argv, until_argument, &parsed->arguments, &parsed->used, &parsed->error);
}

static void done(struct parsed *parsed)
{
    bide_cli_values_release(&parsed->tables[1]);
}

#define ARGV(...)                                                                                            \
    (char *[])                                                                                               \
    {                                                                                                        \
        __VA_ARGS__ __VA_OPT__(, ) NULL                                                                      \
    }

static void test_nothing_given(void **state)
{
    struct parsed parsed;
    (void)state;
    assert_int_equal(parse(&parsed, false, ARGV()), BIDE_OK);
    assert_false(parsed.own.flag);
    assert_null(parsed.own.text);
    assert_true(parsed.own.number == BIDE_CLI_UNSET);
    assert_true(parsed.own.delay_ms == BIDE_CLI_UNSET);
    assert_true(parsed.own.at_ms == BIDE_CLI_UNSET);
    assert_int_equal(parsed.own.fallback, 7);
    assert_int_equal(parsed.own.choice, -1);
    assert_int_equal(parsed.own.list.n, 0);
    assert_int_equal(parsed.used, 0);
}

static void test_every_kind(void **state)
{
    struct parsed parsed;
    (void)state;
    assert_int_equal(parse(&parsed, false,
                         ARGV("--flag", "--text=a=b", "first", "--list", "x", "--list=y", "--number", "10",
                             "--fallback=1", "--delay", "1.5s", "--at=1970-01-01T00:00:01Z", "--choice",
                             "green", "-c", "file", "second", "--json")),
        BIDE_OK);
    assert_true(parsed.own.flag);
    assert_string_equal(parsed.own.text, "a=b");
    assert_int_equal(parsed.own.list.n, 2);
    assert_string_equal(parsed.own.list.items[1], "y");
    assert_int_equal(parsed.own.number, 10);
    assert_int_equal(parsed.own.fallback, 1);
    assert_int_equal(parsed.own.delay_ms, 1500);
    assert_int_equal(parsed.own.at_ms, 1000);
    assert_int_equal(parsed.own.choice, 1);
    assert_string_equal(parsed.globals.config, "file");
    assert_true(parsed.globals.json);
    assert_int_equal(parsed.arguments.n, 2);
    assert_string_equal(parsed.arguments.items[1], "second");
    done(&parsed);
}

static void test_arguments_that_look_like_options(void **state)
{
    struct parsed parsed;
    (void)state;
    assert_int_equal(
        parse(&parsed, false, ARGV("-cfile", "-", "--text", "--flag", "--", "--number", "-x")), BIDE_OK);
    assert_string_equal(parsed.globals.config, "file");
    assert_string_equal(parsed.own.text, "--flag");
    assert_false(parsed.own.flag);
    assert_int_equal(parsed.arguments.n, 3);
    assert_string_equal(parsed.arguments.items[0], "-");
    assert_string_equal(parsed.arguments.items[1], "--number");
}

static void test_stops_at_argument(void **state)
{
    struct parsed parsed;
    (void)state;
    assert_int_equal(parse(&parsed, true, ARGV("-c", "file", "send", "--no-such")), BIDE_OK);
    assert_int_equal(parsed.used, 2);
    assert_int_equal(parsed.arguments.n, 0);
}

static void test_bad_usage(void **state)
{
    static const struct {
        char *argv[4];
        const char *expected;
    } rows[] = {
        {{"--numbr", "1"}, "unknown option '--numbr' (did you mean '--number'?)"},
        {{"--nothing-like-it"}, "unknown option '--nothing-like-it'"},
        {{"--num", "1"}, "unknown option '--num'"},
        {{"-x"}, "unknown option '-x'"},
        {{"--text"}, "--text needs a value: --text TEXT"},
        {{"-c"}, "--config needs a value: --config FILE"},
        {{"--flag=yes"}, "--flag takes no value"},
        {{"--number", "0"}, "--number: '0' is not a whole number from 1 to 10"},
        {{"--number", "3x"}, "--number: '3x' is not a whole number from 1 to 10"},
        {{"--delay=-1s"}, "--delay: '-1s' is not a duration: write for example 250ms, 1.5s, 10m, 1h30m or "
                          "7d, at most 3650d"},
        {{"--at", "noon"}, "--at: 'noon' is not an instant: write for example 2026-12-24T18:00:00Z or "
                           "2026-12-24T19:00:00+01:00"},
        {{"--choice", "gren"}, "--choice: 'gren' is none of red, green (did you mean 'green'?)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct parsed parsed;
        assert_int_equal(parse(&parsed, false, rows[i].argv), BIDE_E_USAGE);
        assert_string_equal(parsed.error.text, rows[i].expected);
        done(&parsed);
    }
}

static void test_help(void **state)
{
    struct bide_buffer text;
    (void)state;
    bide_buffer_init(&text);
    bide_cli_options_help(&text, own_options);
    assert_non_null(strstr(text.bytes, "  -f, --flag                A flag.\n"));
    assert_non_null(strstr(text.bytes, "  --fallback N              One more. (default: 7)\n"));
    assert_non_null(strstr(text.bytes, "  --choice COLOUR           A colour: red, green\n"));
    bide_buffer_release(&text);
}

/* ---- the commands ---- */

static void test_finding_commands(void **state)
{
    static const struct {
        char *argv[3];
        const char *name, *error;
    } rows[] = {
        {{"send", "x"}, "send", NULL},
        {{"dead", "list"}, "dead list", NULL},
        {{"handlers", "--json"}, "handlers", NULL},
        {{"handlers", "new"}, "handlers new", NULL},
        {{"dead"}, NULL, "'dead' needs one more word: list, show, retry, drop"},
        {{"dead", "lst"}, NULL,
            "unknown command 'dead lst' (did you mean 'list'?): there are list, show, retry, drop"},
        {{"sned"}, NULL, "unknown command 'sned' (did you mean 'send'?)"},
        {{"deed"}, NULL, "unknown command 'deed' (did you mean 'dead'?)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct bide_cli_command *command;
        size_t words;
        bide_error error = {0};
        bide_code code = bide_cli_find(rows[i].argv, &command, &words, &error);
        assert_int_equal(code, rows[i].error ? BIDE_E_USAGE : BIDE_OK);
        if (rows[i].error)
            assert_string_equal(error.text, rows[i].error);
        else
            assert_string_equal(command->name, rows[i].name);
    }
}

static void test_help_of_groups(void **state)
{
    struct bide_buffer text;
    (void)state;
    bide_buffer_init(&text);
    assert_false(bide_cli_help_group(&text, "send"));
    assert_false(bide_cli_help_group(&text, "handlers")); /* a command of its own: has its own help */
    assert_false(bide_cli_help_group(&text, "nothing"));
    assert_true(bide_cli_help_group(&text, "dead"));
    assert_non_null(strstr(text.bytes, "Usage: bide dead COMMAND"));
    assert_non_null(strstr(text.bytes, "  dead retry "));
    assert_null(strstr(text.bytes, "bench"));
    bide_buffer_release(&text);
    bide_buffer_init(&text);
    bide_cli_help_command(&text, &bide_cli_resume);
    assert_null(strstr(text.bytes, "\nOptions:\n\n")); /* no head without rows */
    bide_buffer_release(&text);
}

/* Every row is whole, its defaults parse, and no option is there twice. */
static void test_command_tables(void **state)
{
    (void)state;
    for (const struct bide_cli_command *const *row = bide_cli_commands(); *row; row++) {
        const struct bide_cli_command *command = *row;
        char *values = bide_calloc(1, command->values_size + 1);
        const struct bide_cli_values tables = {command->options, values};
        bide_error error = {0};
        assert_non_null(command->usage);
        assert_non_null(command->run);
        assert_true(command->min_arguments <= command->max_arguments);
        assert_ok(bide_cli_values_init(&tables, &error), &error);
        for (const struct bide_cli_option *a = command->options; a && a->name; a++) {
            assert_true(a->offset < command->values_size);
            assert_true((a->kind == BIDE_CLI_FLAG) == (a->value == NULL));
            for (const struct bide_cli_option *b = a + 1; b->name; b++)
                assert_string_not_equal(a->name, b->name);
            for (const struct bide_cli_option *b = bide_cli_global_options(); b->name; b++)
                assert_string_not_equal(a->name, b->name);
        }
        bide_free(values);
    }
}

static void test_every_command_has_help(void **state)
{
    struct bide_buffer text;
    (void)state;
    bide_buffer_init(&text);
    bide_cli_help_all(&text);
    for (const struct bide_cli_command *const *row = bide_cli_commands(); *row; row++) {
        char usage[80];
        assert_non_null(strstr(text.bytes, (*row)->summary));
        struct bide_buffer one;
        bide_buffer_init(&one);
        bide_cli_help_command(&one, *row);
        snprintf(usage, sizeof usage, "Usage: bide %s ", (*row)->name);
        assert_ptr_equal(strstr(one.bytes, usage), one.bytes);
        bide_buffer_release(&one);
    }
    bide_buffer_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_given),
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_arguments_that_look_like_options),
        cmocka_unit_test(test_stops_at_argument),
        cmocka_unit_test(test_bad_usage),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_finding_commands),
        cmocka_unit_test(test_help_of_groups),
        cmocka_unit_test(test_command_tables),
        cmocka_unit_test(test_every_command_has_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
