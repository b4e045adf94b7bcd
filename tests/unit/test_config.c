/* The configuration loader: what good files give, and what each kind of mistake is told. */
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "config/config.h"
#include "unit/config_folder.h"

/* ---- good files ---- */

static void test_defaults(void **state)
{
    struct bide_config *config;
    assert_int_equal(bide_config_default(&config, NULL), BIDE_OK);
    assert_null(config->path);
    assert_string_equal(config->dir, (char *)*state);
    assert_string_equal(config->broker, "sqlite:bide.db");
    assert_string_equal(config->name_space, "bide");
    assert_null(config->queue_type);
    assert_null(config->store);
    assert_int_equal(config->plugin_dirs[0][0], '/');
    assert_int_equal(config->worker.threads, 8);
    assert_int_equal(config->worker.processes, 1);
    assert_int_equal(config->worker.order, BIDE_ORDER_WEIGHTED);
    assert_int_equal(config->worker.drain_ms, 30000);
    assert_int_equal(config->worker.max_body, 1048576);
    assert_int_equal(config->worker.prefetch, 0);
    assert_int_equal(config->n_queues, 1);
    assert_string_equal(config->queues[0].name, "default");
    assert_int_equal(config->n_handlers, 0);
    bide_config_destroy(config);
}

static const char whole_file[] =
    "broker = \"redis://localhost\"; store = \"sqlite:facts.db\"; namespace = \"shop\"; queue_type = "
    "\"classic\"; ladder_shards = 4; plugin_dir = "
    "\"plugins\";\n"
    "worker: { threads = 3; processes = 2; order = \"strict\"; drain = \"1m\"; max_body = 4096; prefetch = "
    "7; };\n"
    "queues = ( { name = \"critical\"; weight = 6; }, { name = \"default\"; } );\n"
    "handlers = (\n"
    "  { type = \"receipt\"; plugin = \"journal\"; queue = \"critical\"; concurrency = 4; timeout = 0;\n"
    "    kill_after = \"250ms\"; isolation = \"process\"; "
    "limits: { memory = \"256MiB\"; cpu = \"10s\"; files = 64; no_new_privs = true; };\n"
    "    retry: { attempts = 9; backoff = \"fibonacci\"; base = \"2s\"; cap = \"1h\"; jitter = 0; "
    "crash_attempts = 1; };\n"
    "    settings: { path = \"x\"; n = 5000000000; on = true; ratio = 1.5;\n"
    "      args = [\"a\", \"b\"]; none = (); };\n"
    "  },\n"
    "  { type = \"mail\"; plugin = \"journal\"; retry: { backoff = [\"1s\", \"5s\", \"30s\"]; }; }\n"
    ");\n";

static void test_everything_given(void **state)
{
    struct bide_config *config = load(whole_file);
    char plugins[TEMP_DIR_PATH + 16];
    snprintf(plugins, sizeof plugins, "%s/plugins", (char *)*state);
    assert_string_equal(config->path, "a.conf");
    assert_string_equal(config->plugin_dirs[0], plugins);
    assert_null(config->plugin_dirs[1]);
    assert_string_equal(config->queue_type, "classic");
    assert_string_equal(config->store, "sqlite:facts.db");
    assert_int_equal(config->ladder_shards, 4);
    assert_int_equal(config->worker.threads, 3);
    assert_int_equal(config->worker.order, BIDE_ORDER_STRICT);
    assert_int_equal(config->worker.drain_ms, 60000);
    assert_int_equal(config->worker.max_body, 4096);
    assert_int_equal(config->n_queues, 2);
    assert_int_equal(config->queues[0].weight, 6);
    assert_int_equal(config->queues[1].weight, 1);
    const struct bide_handler_config *receipt = bide_config_handler(config, "receipt");
    assert_int_equal(receipt->timeout_ms, 0);
    assert_int_equal(receipt->kill_after_ms, 250);
    assert_int_equal(receipt->isolation, BIDE_ISOLATION_PROCESS);
    assert_int_equal(receipt->limits.memory, 256 << 20);
    assert_int_equal(receipt->limits.cpu_ms, 10000);
    assert_int_equal(receipt->limits.files, 64);
    assert_true(receipt->limits.no_new_privs);
    assert_int_equal(receipt->retry.backoff, BIDE_BACKOFF_FIBONACCI);
    assert_true(receipt->retry.jitter == 0);
    assert_int_equal(receipt->line, 5);
    assert_string_equal(receipt->file, "a.conf");
    const struct bide_handler_config *mail = bide_config_handler(config, "mail");
    assert_string_equal(mail->queue, "default");
    assert_int_equal(mail->limits.memory, 0);
    assert_false(mail->limits.no_new_privs);
    assert_int_equal(mail->retry.backoff, BIDE_BACKOFF_LIST);
    assert_int_equal(mail->retry.n_list, 3);
    assert_int_equal(mail->retry.list_ms[2], 30000);
    assert_true(mail->retry.jitter > 0.1999 && mail->retry.jitter < 0.2001);
    assert_null(bide_config_handler(config, "other"));
    bide_config_destroy(config);
}

static void test_settings(void **state)
{
    (void)state;
    struct bide_config *config = load(whole_file);
    const struct bide_setting_value *rows = config->handlers[0].settings;
    assert_int_equal(config->handlers[0].n_settings, 6);
    assert_string_equal(rows[0].name, "path");
    assert_int_equal(rows[0].kind, BIDE_VALUE_STRING);
    assert_string_equal(rows[0].text, "x");
    assert_int_equal(rows[0].line, 8);
    assert_int_equal(rows[1].kind, BIDE_VALUE_INT);
    assert_true(rows[1].integer == INT64_C(5000000000));
    assert_int_equal(rows[2].kind, BIDE_VALUE_BOOL);
    assert_int_equal(rows[2].integer, 1);
    assert_int_equal(rows[3].kind, BIDE_VALUE_FLOAT);
    assert_true(rows[3].number == 1.5);
    assert_int_equal(rows[4].kind, BIDE_VALUE_LIST);
    assert_int_equal(rows[4].n_items, 2);
    assert_string_equal(rows[4].items[1], "b");
    assert_int_equal(rows[4].line, 9);
    assert_int_equal(rows[5].n_items, 0);
    bide_config_destroy(config);
}

static void test_queues_left_out(void **state)
{
    (void)state;
    struct bide_config *config = load("handlers = ( { type = \"a\"; plugin = \"p\"; queue = \"mail\"; },"
                                      "{ type = \"b\"; plugin = \"p\"; queue = \"mail\"; } );");
    assert_int_equal(config->n_queues, 2);
    assert_string_equal(config->queues[0].name, "mail");
    assert_string_equal(config->queues[1].name, "default");
    bide_config_destroy(config);
}

static void test_includes(void **state)
{
    (void)state;
    struct bide_config *config;
    mkdir("d", 0700);
    write_file("d/worker.conf", "worker: { threads = 5; }; // no end of line");
    write_file(
        "d/all.conf", "\n@include \"worker.conf\"\nhandlers = (\n{ type = \"a\"; plugin = \"p\"; } );");
    write_file("a.conf",
        "/* @include \"no.conf\" */ broker = \"redis:@include\"; // \"\n  @include \"d/all.conf\"\n"
        "namespace = \"x\";");
    bide_error error = {0};
    if (bide_config_load("./a.conf", &config, &error) != BIDE_OK)
        fail_msg("%s", error.text);
    assert_int_equal(config->worker.threads, 5);
    assert_string_equal(config->broker, "redis:@include");
    assert_string_equal(config->handlers[0].file, "./d/all.conf");
    assert_int_equal(config->handlers[0].line, 4);
    bide_config_destroy(config);
    write_file("d/worker.conf", "\n\nworker: { threads = 0; };");
    assert_int_equal(bide_config_load("./a.conf", &config, &error), BIDE_E_CONFIG);
    assert_string_equal(error.text, "./d/worker.conf:3: threads is 0: it must lie from 1 to 256");
}

/* A plugin is a path, or a name in the first folder that has it. */
static void test_where_plugins_are(void **state)
{
    (void)state;
    char path[256];
    mkdir("one", 0700);
    mkdir("two", 0700);
    write_file("two/b.so", "");
    struct bide_config *config =
        load("plugin_dir = [\"one\", \"two\"]; handlers = ( { type = \"a\"; plugin = \"a\"; },"
             "{ type = \"b\"; plugin = \"b\"; }, { type = \"c\"; plugin = \"x/c.so\"; },"
             "{ type = \"d\"; plugin = \"/x/d.so\"; } );");
    static const char *const files[] = {"one/a.so", "two/b.so", "x/c.so"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", config->dir, files[i]);
        assert_string_equal(config->handlers[i].plugin_path, path);
    }
    assert_string_equal(config->handlers[3].plugin_path, "/x/d.so");
    bide_config_destroy(config);
}

/* ---- bad files ---- */

#define HANDLER(more) "handlers = (\n { type = \"a\"; plugin = \"p\"; " more " } );"

static const struct {
    const char *text, *expected;
} bad_files[] = {
    {"\nworker: { thread = 4; };", "a.conf:2: unknown key 'thread' (did you mean 'threads'?)"},
    {"\n\nbrokker = \"x\";", "a.conf:3: unknown key 'brokker' (did you mean 'broker'?)"},
    {"worker: { colour = 1; };", "a.conf:1: unknown key 'colour': worker takes threads, processes, order, "
                                 "drain, max_body, max_in_flight, prefetch, log_level"},
    {HANDLER("retry: { atempts = 1; };"), "a.conf:2: unknown key 'atempts' (did you mean 'attempts'?)"},
    {"broker = 5;", "a.conf:1: broker must be a string in quotes"},
    {"broker = \"\";", "a.conf:1: broker must be a string that is not empty"},
    {"broker = \"amqp://u:${BIDE_T_NONE}@h\";",
        "a.conf:1: broker: the environment variable BIDE_T_NONE is not set: export it before starting bide"},
    {"broker = \"x${\";", "a.conf:1: broker: after \"${\" stands the name of an environment variable and "
                          "\"}\" (\"$${\" stands for a "
                          "plain \"${\")"},
    {"namespace = \"a.b\";", "a.conf:1: 'a.b' is not valid as namespace: letters, digits, '-' and '_', not "
                             "beginning with a digit, at most 100 bytes"},
    {"store = \"facts.db\";",
        "a.conf:1: store: 'facts.db' is not a broker's URL: write for example sqlite:bide.db, "
        "amqp://user:password@host/vhost or redis://host:6379/0"},
    {"queue_type = \"clasic\";",
        "a.conf:1: queue_type is 'clasic' (did you mean 'classic'?): it must be \"quorum\" or \"classic\""},
    {"ladder_shards = 9;", "a.conf:1: ladder_shards is 9: it must lie from 0 to 8"},
    {"queue_type = true;", "a.conf:1: queue_type must be \"quorum\" or \"classic\""},
    {"worker = 3;", "a.conf:1: worker must be a group: worker: { … };"},
    {"worker: { threads = \"8\"; };", "a.conf:1: threads must be a whole number, without quotes"},
    {"worker: { threads = 4294967300; };", "a.conf:1: threads is 4294967300: it must lie from 1 to 256"},
    {"worker: { threads = 99999999999999999999; };", "a.conf:1: a number too large for 64 bits"},
    {"worker: { drain = 30; };",
        "a.conf:1: drain must be a duration in quotes with its unit, such as \"250ms\", \"1.5s\" or \"10m\""},
    {"worker: { drain = \"30\"; };",
        "a.conf:1: drain: '30' is not a duration: write for example 250ms, 1.5s, "
        "10m, 1h30m or 7d, at most 3650d"},
    {"worker: { drain = \"2d\"; };", "a.conf:1: drain must lie from 0s to 1d"},
    {"worker: { max_body = \"1GiB\"; };", "a.conf:1: max_body must lie from 1 to 134217728 bytes"},
    {"worker: { max_body = true; };", "a.conf:1: max_body must be a size, such as 4096 or \"1MiB\""},
    {"queues = { };", "a.conf:1: queues must be a list of groups: queues = ( { … }, { … } );"},
    {"queues = ( \"a\" );", "a.conf:1: queues must be a group: queues: { … };"},
    {"queues = (\n{ weight = 1; } );", "a.conf:2: this needs a `name`"},
    {"queues = ( { name = \"x\"; weight = 0; } );", "a.conf:1: weight is 0: it must lie from 1 to 1000000"},
    {"queues = ( { name = \"x\"; },\n { name = \"x\"; } );", "a.conf:2: queue 'x' is listed twice"},
    {"queues = ( { name = \"mail.#\"; } );",
        "a.conf:1: 'mail.#' is not valid as name: letters, digits, '-', '_' and '.', not beginning with a "
        "digit or a dot, at most 100 bytes, and not unrouted, hold.*, *.landing, *.later or *.dead (bide's "
        "own)"},
    {HANDLER("queue = \"x.dead\";"),
        "a.conf:2: 'x.dead' is not valid as queue: letters, digits, '-', '_' and '.', not beginning with a "
        "digit or a dot, at most 100 bytes, and not unrouted, hold.*, *.landing, *.later or *.dead (bide's "
        "own)"},
    {"handlers = (\n\n{ type = \"a\"; } );", "a.conf:3: this needs a `plugin` or a `program`"},
    {"handlers = ( { type = \"a\"; plugin = \"p\"; },\n{ type = \"a\"; plugin = \"q\"; } );",
        "a.conf:2: type 'a' has a handler already, at a.conf:1: one handler a type"},
    {"handlers = ( { type = \"a\"; plugin = \"p\"; program = \"t\"; } );",
        "a.conf:1: handler 'a' has a plugin and a program: give one of them"},
    {"programs = ( { name = \"tasks\"; run = \"x\"; } );\nhandlers = ( { type = \"a\"; program = \"task\"; } "
     ");",
        "a.conf:2: no program 'task' in `programs` (did you mean 'tasks'?)"},
    {"programs = ( { name = \"t\"; run = \"x\"; env = \"A\"; } );", "a.conf:1: env: 'A' is not NAME=value"},
    {"programs = ( { name = \"t\"; } );", "a.conf:1: this needs a `run`"},
    {"queues = ( { name = \"x\"; } );\n" HANDLER(""),
        "a.conf:3: handler 'a' takes queue 'default' (it names none), which is not in `queues`"},
    {"queues = ( { name = \"mail\"; } );\n" HANDLER("queue = \"mial\";"),
        "a.conf:3: handler 'a' takes queue 'mial', which is not in `queues` (did you mean 'mail'?)"},
    {"plugin_dir = [];", "a.conf:1: plugin_dir: a list holds 1 to 100 strings"},
    {"plugin_dir = [\"a\", \"\"];",
        "a.conf:1: plugin_dir must be a string that is not empty, or a list of such"},
    {"plugin_dir = 5;", "a.conf:1: plugin_dir must be a string that is not empty, or a list of such"},
    {HANDLER("isolation = \"vm\";"), "a.conf:2: isolation is 'vm': it must be \"thread\" or \"process\""},
    {HANDLER("limits: { memory = \"1GiB\"; };"),
        "a.conf:2: limits of 'a' need isolation = \"process\": a thread shares all it uses with the whole "
        "worker"},
    {HANDLER("limits: { no_new_privs = 1; };"),
        "a.conf:2: no_new_privs must be true or false, without quotes"},
    {HANDLER("limits: { memroy = 1; };"), "a.conf:2: unknown key 'memroy' (did you mean 'memory'?)"},
    {HANDLER("retry: { jitter = 1.5; };"), "a.conf:2: jitter is 1.5: it must lie from 0 to 1"},
    {HANDLER("retry: { jitter = \"x\"; };"), "a.conf:2: jitter must be a number from 0 to 1, without quotes"},
    {HANDLER("retry: { base = \"2h\"; };"), "a.conf:2: retry of 'a': base (2h) is longer than cap (1h)"},
    {HANDLER("retry: { attempts = 0; };"), "a.conf:2: attempts is 0: it must lie from 1 to 100000"},
    {HANDLER("retry: { backoff = \"expo\"; };"),
        "a.conf:2: backoff is 'expo': it must be \"fixed\", \"linear\", \"exponential\" or \"fibonacci\""},
    {HANDLER("retry: { backoff = []; };"), "a.conf:2: backoff: a list holds 1 to 100 durations"},
    {HANDLER("retry: { backoff = [\"1s\", \"soon\"]; };"),
        "a.conf:2: backoff: 'soon' is not a duration: write for example 250ms, 1.5s, 10m, 1h30m or 7d, at "
        "most "
        "3650d"},
    {HANDLER("retry: { backoff = [1, 2]; };"), "a.conf:2: backoff: a list holds durations, such as \"5s\""},
    {HANDLER("on_dead = \"a\";"),
        "a.conf:2: on_dead of 'a' names its own type: name another one, whose handler tells somebody"},
    {HANDLER("settings = 1;"), "a.conf:2: settings must be a group: settings: { … };"},
    {HANDLER("settings: {\n x: { }; };"),
        "a.conf:3: x: settings are strings, numbers, true, false, or lists of strings"},
    {HANDLER("settings: { x = [1]; };"), "a.conf:2: x: a list in settings holds strings"},
    {"\nworker: { threads = 8; ",
        "a.conf:2: syntax error here or just before: a missing quote, ',' or bracket?"},
    {"broker = \"a\";\nbroker = \"b\";", "a.conf:2: duplicate setting name"},
    {"@include \"no.conf\"", "a.conf:1: cannot read no.conf: No such file or directory"},
    {"\n@include \"/\"", "a.conf:2: cannot read /: not a regular file"},
    {"@include no.conf", "a.conf:1: after @include stands a file's name in quotes"},
    {"\n@include \"a.conf\"", "a.conf:2: too many files include each other (does one include itself?)"},
};

static void test_bad_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
        struct bide_config *config = NULL;
        bide_error error = {0};
        write_file("a.conf", bad_files[i].text);
        assert_int_equal(bide_config_load("a.conf", &config, &error), BIDE_E_CONFIG);
        assert_null(config);
        assert_string_equal(error.text, bad_files[i].expected);
    }
}

static void test_unreadable(void **state)
{
    (void)state;
    struct bide_config *config;
    bide_error error;
    assert_int_equal(bide_config_load("none.conf", &config, &error), BIDE_E_CONFIG);
    assert_string_equal(error.text, "cannot read none.conf: No such file or directory");
    assert_int_equal(bide_config_load("/", &config, &error), BIDE_E_CONFIG);
    assert_string_equal(error.text, "cannot read /: not a regular file");
    write_bytes("a.conf", "a\0b", 3);
    assert_int_equal(bide_config_load("a.conf", &config, &error), BIDE_E_CONFIG);
    assert_string_equal(error.text, "a.conf: not a text: it has zero bytes");
    assert_int_equal(bide_config_load("none.conf", &config, NULL), BIDE_E_CONFIG);
}

/* ---- allocation failures ---- */

static void test_no_memory(void **state)
{
    (void)state;
    assert_int_equal(setenv("BIDE_TEST_PASSWORD", "secret", 1), 0);
    write_file("b.conf", "broker = \"amqp://u:${BIDE_TEST_PASSWORD}@h\";");
    write_file("c.conf", "@include \"b.conf\"\nhandlers = ( { type = \"a\"; plugin = \"p\"; } );");
    write_file("a.conf", whole_file);
    static const char *const files[] = {"a.conf", "c.conf"};
    for (size_t i = 0; i < 2; i++) {
        bide_code code = BIDE_E_NOMEM;
        for (size_t nth = 1; code != BIDE_OK; nth++) {
            struct bide_config *config = NULL;
            bide_error error = {0};
            struct alloc_count count = {.fail_at = nth};
            bide_alloc_set_hook(count_allocation, &count);
            code = bide_config_load(files[i], &config, &error);
            bide_alloc_set_hook(NULL, NULL);
            assert_true(code == BIDE_OK || code == BIDE_E_NOMEM);
            assert_true(nth <= 500);
            bide_config_destroy(config);
        }
    }
}

/* ---- what comes from the table, and the ready files ---- */

static char *written(void (*write)(struct bide_buffer *))
{
    struct bide_buffer buffer;
    bide_buffer_init(&buffer);
    write(&buffer);
    return bide_buffer_take(&buffer);
}

static void test_sample_is_valid_and_default(void **state)
{
    (void)state;
    struct bide_config *defaults;
    char *sample = written(bide_config_write_sample);
    struct bide_config *config = load(sample);
    assert_int_equal(bide_config_default(&defaults, NULL), BIDE_OK);
    assert_memory_equal(&config->worker, &defaults->worker, sizeof config->worker);
    assert_string_equal(config->broker, defaults->broker);
    assert_string_equal(config->plugin_dirs[0], defaults->plugin_dirs[0]);
    assert_int_equal(config->n_handlers, 1);
    bide_config_destroy(defaults);
    bide_config_destroy(config);
    bide_free(sample);
}

static void test_reference_names_every_key(void **state)
{
    static const char *const keys[] = {"broker", "store", "namespace", "queue_type", "ladder_shards",
        "plugin_dir", "threads", "processes", "order", "drain", "max_body", "prefetch", "name", "weight",
        "type", "plugin", "queue", "concurrency", "timeout", "kill_after", "isolation", "attempts", "backoff",
        "base", "cap", "jitter", "crash_attempts", "settings", "limits", "memory", "cpu", "files",
        "no_new_privs"};
    (void)state;
    char *reference = written(bide_config_write_reference);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char row[32];
        snprintf(row, sizeof row, "| `%s` |", keys[i]);
        if (!strstr(reference, row))
            fail_msg("no row for %s", keys[i]);
    }
    bide_free(reference);
}

/* The checkout may lie in somebody else's folder, where a configuration is refused. */
static void copy_file(const char *name)
{
    char path[256], line[512];
    snprintf(path, sizeof path, BIDE_SOURCE_DIR "/config/%s", name);
    FILE *from = fopen(path, "r"), *to = fopen("a.conf", "w");
    assert_non_null(from);
    assert_non_null(to);
    while (fgets(line, sizeof line, from))
        fputs(line, to);
    assert_int_equal(fclose(from) | fclose(to), 0);
}

static void test_ready_files(void **state)
{
    static const char *const files[] = {"sqlite.conf", "rabbitmq.conf", "redis.conf", "bide.reference.conf"};
    (void)state;
    setenv("BIDE_RABBITMQ_PASSWORD", "secret", 1);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct bide_config *config;
        bide_error error;
        copy_file(files[i]);
        if (bide_config_load("a.conf", &config, &error) != BIDE_OK)
            fail_msg("%s: %s", files[i], error.text);
        assert_int_equal(config->n_handlers, 1);
        bide_config_destroy(config);
    }
}

/* The examples that are commented out are right, too. */
static void test_commented_examples(void **state)
{
    static const char *const files[] = {"sqlite.conf", "rabbitmq.conf", "redis.conf"};
    (void)state;
    setenv("BIDE_RABBITMQ_PASSWORD", "secret", 1);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[TEMP_DIR_PATH], line[256];
        snprintf(path, sizeof path, BIDE_SOURCE_DIR "/config/%s", files[i]);
        FILE *from = fopen(path, "r"), *to = fopen("a.conf", "w");
        assert_non_null(from);
        assert_non_null(to);
        while (fgets(line, sizeof line, from)) {
            bool example = strncmp(line, "  // ,", 6) == 0 || strncmp(line, "  //   ", 7) == 0;
            fputs(example ? line + 4 : line, to);
        }
        assert_int_equal(fclose(from), 0);
        assert_int_equal(fclose(to), 0);
        struct bide_config *config;
        bide_error error = {0};
        assert_ok(bide_config_load("a.conf", &config, &error), &error);
        assert_int_equal(config->n_handlers, 4);
        bide_config_destroy(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(test_everything_given, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(test_settings, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(test_queues_left_out, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(test_includes, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(test_where_plugins_are, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(test_bad_files, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(test_unreadable, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(test_no_memory, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(test_sample_is_valid_and_default, enter_folder, leave_folder),
        cmocka_unit_test(test_reference_names_every_key),
        cmocka_unit_test_setup_teardown(test_ready_files, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(test_commented_examples, enter_folder, leave_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
