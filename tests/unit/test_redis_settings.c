#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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
        {"WRONGPASS invalid username-password pair", BIDE_REDIS_REFUSED},
        {"NOAUTH Authentication required.", BIDE_REDIS_REFUSED},
        {"NOPERM this user has no permissions", BIDE_REDIS_REFUSED},
        {"WRONGTYPE Operation against a key", BIDE_REDIS_REFUSED},
        {"ERR unknown command 'EVALSHA'", BIDE_REDIS_REFUSED},
        {"ERR the user's ROOM is full", BIDE_REDIS_REFUSED},
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
    bide_redis_settings_destroy(settings);
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
        cmocka_unit_test(commands_are_written_as_they_travel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
