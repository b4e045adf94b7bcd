#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/redis/args.h"
#include "broker/redis/link.h"
#include "broker/redis/settings.h"

static bide_code make(const char *text, struct bide_redis_settings **ret_settings, bide_error *error)
{
    struct bide_url url;
    static const char *const queues[] = {"default", "mail"};
    assert_int_equal(bide_url_parse(text, &url, error), BIDE_OK);
    struct bide_broker_options options = {.url = &url,
        .name_space = "bide",
        .queues = queues,
        .n_queues = 2,
        .client_name = "test",
        .timeout_ms = 1234,
        .clock = bide_clock_system()};
    bide_code code = bide_redis_settings_create(&options, ret_settings, error);
    bide_url_clear(&url);
    return code;
}

static void a_full_url(void **state)
{
    (void)state;
    struct bide_redis_settings *settings = NULL;
    assert_int_equal(
        make("redis://ann:s%40cret@one:7000,two/3?connect_timeout=0.5&timeout=2&wait=1", &settings, NULL),
        BIDE_OK);
    assert_int_equal(settings->n_hosts, 2);
    assert_string_equal(settings->hosts[0].name, "one");
    assert_int_equal(settings->hosts[0].port, 7000);
    assert_int_equal(settings->hosts[1].port, BIDE_REDIS_PORT);
    assert_string_equal(settings->user, "ann");
    assert_string_equal(settings->password, "s@cret");
    assert_int_equal(settings->db, 3);
    assert_int_equal(settings->connect_timeout_ms, 500);
    assert_int_equal(settings->timeout_ms, 2000);
    assert_int_equal(settings->wait_replicas, 1);
    assert_int_equal(settings->call_timeout_ms, 1234);
    assert_int_equal(settings->n_queues, 2);
    assert_string_equal(settings->queues[1], "mail");
    assert_null(strstr(settings->shown, "cret"));
    bide_redis_settings_destroy(settings);
}

static void a_socket(void **state)
{
    (void)state;
    struct bide_redis_settings *settings = NULL;
    assert_int_equal(make("redis+unix:///run/redis/redis.sock?db=2", &settings, NULL), BIDE_OK);
    assert_string_equal(settings->unix_path, "/run/redis/redis.sock");
    assert_int_equal(settings->db, 2);
    bide_redis_settings_destroy(settings);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *url, *says;
    } rows[] = {
        {"redis://h/0?timeuot=3", "timeout"},
        {"redis://h/0?timeout=0", "timeout"},
        {"redis://h/0?timeout=3s", "seconds"},
        {"redis://h/0?connect_timeout=nan", "connect_timeout"},
        {"redis://h/x", "database"},
        {"redis://h/-1", "database"},
        {"redis://h/0?wait=many", "wait"},
        {"redis://h/0?cacert=/x", "rediss"},
        {"redis+unix:///?db=0", "socket"},
#ifndef BIDE_HAVE_HIREDIS_SSL
        {"rediss://h/0", "hiredis_ssl"},
#endif
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bide_redis_settings *settings = NULL;
        bide_error error = {0};
        if (make(rows[i].url, &settings, &error) != BIDE_E_CONFIG || !strstr(error.text, rows[i].says))
            fail_msg("%s: %s", rows[i].url, error.text);
        assert_null(settings);
    }
}

static void error_replies_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum bide_redis_trouble trouble;
    } rows[] = {
        {"LOADING Redis is loading the dataset in memory", BIDE_REDIS_AGAIN},
        {"NOSCRIPT No matching script. Please use EVAL.", BIDE_REDIS_AGAIN},
        {"READONLY You can't write against a read only replica.", BIDE_REDIS_AGAIN},
        {"ERR Error running script (call to f_ab): @user_script:1: -READONLY You can't write",
            BIDE_REDIS_AGAIN},
        {"MASTERDOWN Link with MASTER is down", BIDE_REDIS_AGAIN},
        {"BUSY Redis is busy running a script.", BIDE_REDIS_AGAIN},
        {"OOM command not allowed when used memory > 'maxmemory'.", BIDE_REDIS_FULL},
        {"ERR Error running script: @user_script:3: -OOM command not allowed", BIDE_REDIS_FULL},
        {"MISCONF Redis is configured to save RDB snapshots", BIDE_REDIS_FULL},
        {"ASK 3999 127.0.0.1:6381", BIDE_REDIS_AGAIN},
        {"UNBLOCKED force unblock from blocking operation", BIDE_REDIS_AGAIN},
        {"ERR WAIT cannot be used with replica instances.", BIDE_REDIS_AGAIN},
        {"ERR max number of clients reached", BIDE_REDIS_AGAIN},
        {"NOREPLICAS Not enough good replicas to write.", BIDE_REDIS_FULL},
        {"MOVED 3999 127.0.0.1:6381", BIDE_REDIS_DENIED},
        {"WRONGPASS invalid username-password pair", BIDE_REDIS_DENIED},
        {"NOAUTH Authentication required.", BIDE_REDIS_DENIED},
        {"NOPERM this user has no permissions", BIDE_REDIS_DENIED},
        {"ERR DB index is out of range", BIDE_REDIS_DENIED},
        {"ERR unknown command 'EVALSHA'", BIDE_REDIS_DENIED},
        {"WRONGTYPE Operation against a key", BIDE_REDIS_UNKNOWN},
        {"ERR upstream failure", BIDE_REDIS_UNKNOWN},
        {"ERR the user's ROOM is full", BIDE_REDIS_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (bide_redis_trouble_of(rows[i].text) != rows[i].trouble)
            fail_msg("%s", rows[i].text);
}

static void passwords_and_permissions_are_configuration(void **state)
{
    (void)state;
    struct bide_redis_settings *settings = NULL;
    bide_error error = {0};
    assert_int_equal(make("redis://ann:secret@h/0", &settings, NULL), BIDE_OK);
    assert_int_equal(
        bide_redis_reply_fail(settings, "WRONGPASS invalid", "logging in", &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "correct user and password"));
    assert_null(strstr(error.text, "secret"));
    assert_int_equal(bide_redis_reply_fail(settings, "OOM command", "sending", &error), BIDE_E_BROKER);
    assert_int_equal(
        bide_redis_reply_fail(settings, "MOVED 3999 10.0.0.7:6381", "sending", &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "name the node that has this namespace: 10.0.0.7:6381"));
    bide_redis_settings_destroy(settings);
}

/* A worker that serves ends by no answer, and no call repeats what the server has stored already. */
static void what_is_done_about_an_answer(void **state)
{
    (void)state;
    for (enum bide_redis_trouble trouble = 0; trouble < BIDE_REDIS_N_TROUBLES; trouble++) {
        static const enum bide_redis_kind serving[] = {
            BIDE_REDIS_KIND_QUEUE, BIDE_REDIS_KIND_SETTLE, BIDE_REDIS_KIND_KEEP, BIDE_REDIS_KIND_HEIR};
        for (size_t i = 0; i < sizeof serving / sizeof serving[0]; i++)
            assert_int_not_equal(bide_redis_action_on(trouble, serving[i]), BIDE_REDIS_FAIL);
        assert_int_not_equal(bide_redis_action_on(trouble, BIDE_REDIS_KIND_WAIT), BIDE_REDIS_LATER);
        assert_int_equal(bide_redis_action_on(trouble, BIDE_REDIS_KIND_KEEP), BIDE_REDIS_RECONNECT);
    }
    assert_int_equal(bide_redis_action_on(BIDE_REDIS_UNKNOWN, BIDE_REDIS_KIND_SETTLE), BIDE_REDIS_APART);
    assert_int_equal(bide_redis_action_on(BIDE_REDIS_FULL, BIDE_REDIS_KIND_SEND), BIDE_REDIS_LATER);
}

/* docs/redis.md lists each command and script with its kind. */
static void every_command_is_documented(void **state)
{
    (void)state;
    static const char *const rows[] = {
#define ROW_OF_COMMAND(name, words, kind) "`" words "` | " #kind " |",
        BIDE_REDIS_COMMANDS(ROW_OF_COMMAND)
#define ROW_OF_SCRIPT(name, text, lua, kind) "script `" text "` | " #kind " |",
            BIDE_REDIS_SCRIPTS(ROW_OF_SCRIPT)};
    size_t size = 0;
    char *text = NULL;
    FILE *file = fopen(BIDE_SOURCE_DIR "/docs/redis.md", "r");
    assert_non_null(file);
    assert_true(getdelim(&text, &size, '\0', file) > 0);
    fclose(file);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!strstr(text, rows[i]))
            fail_msg("docs/redis.md does not list: %s", rows[i]);
    free(text);
}

static void nothing_is_sent_that_stands_in_no_table(void **state)
{
    (void)state;
    struct bide_redis_args args;
    bide_error error = {0};
    bide_redis_args_init(&args);
    bide_redis_args_text(&args, "FLUSHALL");
    assert_int_equal(bide_redis_link_append(NULL, &args, &error), BIDE_E_INTERNAL);
    bide_redis_args_release(&args);
}

static void commands_are_written_as_they_travel(void **state)
{
    (void)state;
    struct bide_redis_args args;
    bide_redis_args_init(&args);
    bide_redis_args_text(&args, "SET");
    bide_redis_args_format(&args, "{%s}:k", "ns");
    bide_redis_args_add(&args, "a\0b", 3);
    bide_redis_args_int(&args, -12);
    bide_redis_args_add(&args, "", 0);
    static const char expected[] = "$3\r\nSET\r\n$6\r\n{ns}:k\r\n$3\r\na\0b\r\n$3\r\n-12\r\n$0\r\n\r\n";
    assert_int_equal(args.n, 5);
    assert_int_equal(args.bytes.size, sizeof expected - 1);
    assert_memory_equal(args.bytes.bytes, expected, sizeof expected - 1);
    bide_redis_args_release(&args);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_url),
        cmocka_unit_test(a_socket),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(error_replies_are_told_apart),
        cmocka_unit_test(passwords_and_permissions_are_configuration),
        cmocka_unit_test(what_is_done_about_an_answer),
        cmocka_unit_test(every_command_is_documented),
        cmocka_unit_test(nothing_is_sent_that_stands_in_no_table),
        cmocka_unit_test(commands_are_written_as_they_travel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
