/* amqp:// and amqps:// URLs, and the names made from them. */
#include <string.h>

#include "broker/rabbitmq/settings.h"
#include "support/test.h"

static const char *const queues[] = {"mail", "a.b"};

static bide_code make(const char *text, struct bide_rmq_settings **ret_settings, bide_error *error)
{
    struct bide_url url;
    bide_code code = bide_url_parse(text, &url, error);
    if (code != BIDE_OK)
        return code;
    struct bide_broker_options options = {.url = &url,
        .name_space = "bide",
        .base_dir = "/etc/bide",
        .queues = queues,
        .n_queues = 2,
        .clock = bide_clock_system()};
    code = bide_rmq_settings_create(&options, ret_settings, error);
    bide_url_clear(&url);
    return code;
}

static struct bide_rmq_settings *made(const char *text)
{
    struct bide_rmq_settings *settings = NULL;
    bide_error error = {0};
    if (make(text, &settings, &error) != BIDE_OK)
        fail_msg("%s", error.text);
    return settings;
}

static void test_defaults(void **state)
{
    (void)state;
    struct bide_rmq_settings *settings = made("amqp://");
    assert_int_equal(settings->n_hosts, 1);
    assert_string_equal(settings->hosts[0].name, "localhost");
    assert_int_equal(settings->hosts[0].port, 5672);
    assert_string_equal(settings->user, "guest");
    assert_string_equal(settings->password, "guest");
    assert_string_equal(settings->vhost, "/");
    assert_int_equal(settings->heartbeat_s, 10);
    assert_int_equal(settings->connect_timeout_ms, 5000);
    assert_false(settings->tls);
    assert_false(settings->classic);
    assert_int_equal(settings->shards, 1);
    bide_rmq_settings_destroy(settings);
}

static void test_in_full(void **state)
{
    (void)state;
    struct bide_rmq_settings *settings = made(
        "amqps://us%40er:p%3Aw@h1,h2:1234,[::1]:99/a%2Fb?heartbeat=4&connect_timeout=2&verify=verify_none"
        "&queue_type=classic&ladder_shards=4"
        "&cacertfile=ca.pem&certfile=/c.pem&keyfile=k.pem");
    assert_true(settings->tls);
    assert_true(settings->classic);
    assert_int_equal(settings->shards, 4);
    assert_false(settings->verify);
    assert_int_equal(settings->n_hosts, 3);
    assert_int_equal(settings->hosts[0].port, 5671);
    assert_int_equal(settings->hosts[1].port, 1234);
    assert_string_equal(settings->hosts[2].name, "::1");
    assert_string_equal(settings->user, "us@er");
    assert_string_equal(settings->password, "p:w");
    assert_string_equal(settings->vhost, "a/b");
    assert_int_equal(settings->heartbeat_s, 4);
    assert_int_equal(settings->connect_timeout_ms, 2000);
    assert_string_equal(settings->cafile, "/etc/bide/ca.pem");
    assert_string_equal(settings->certfile, "/c.pem");
    assert_string_equal(settings->keyfile, "/etc/bide/k.pem");
    bide_rmq_settings_destroy(settings);
}

static void test_names(void **state)
{
    (void)state;
    struct bide_rmq_settings *settings = made("amqp://localhost");
    assert_string_equal(settings->work_exchange, "bide.work");
    assert_string_equal(settings->landing_exchange, "bide.landing");
    assert_string_equal(settings->due_exchange, "bide.due");
    assert_string_equal(settings->unrouted, "bide.unrouted");
    assert_string_equal(settings->hold_exchange[0], "bide.hold.rung.100ms");
    assert_string_equal(settings->hold_exchange[6], "bide.hold.rung.1s");
    char name[BIDE_RMQ_HOLDING_NAME];
    assert_string_equal(bide_rmq_holding_name("bide", 4, 4, 2, name), "bide.hold.40min.2");
    assert_string_equal(settings->queues[0].work, "bide.mail");
    assert_string_equal(settings->queues[0].landing, "bide.mail.landing");
    assert_string_equal(settings->queues[0].later, "bide.mail.later");
    assert_string_equal(settings->later_exchange, "bide.later");
    assert_string_equal(settings->queues[1].dead, "bide.a.b.dead");
    bide_rmq_settings_destroy(settings);
}

static void test_refused(void **state)
{
    static const struct {
        const char *url, *says;
    } rows[] = {
        {"amqp://h?hartbeat=1", "did you mean 'heartbeat'"},
        {"amqp://h?heartbeat=x", "number of seconds"},
        {"amqp://h?heartbeat=-1", "number of seconds"},
        {"amqp://h?connect_timeout=0", "at least 1"},
        {"amqp://h?ladder_shards=0", "from 1 to 8"},
        {"amqp://h?ladder_shards=9", "from 1 to 8"},
        {"amqp://h?ladder_shards=two", "from 1 to 8"},
        {"amqps://h?verify=maybe", "verify=peer"},
        {"amqps://h?certfile=a", "keyfile"},
        {"amqp://u:secret@h?verify=maybe", "***"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bide_rmq_settings *settings;
        bide_error error = {0};
        assert_int_equal(make(rows[i].url, &settings, &error), BIDE_E_CONFIG);
        if (!strstr(error.text, rows[i].says))
            fail_msg("%s: '%s' does not say '%s'", rows[i].url, error.text, rows[i].says);
        assert_null(strstr(error.text, "secret"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_in_full),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
