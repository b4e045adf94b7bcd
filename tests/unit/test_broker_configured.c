/* From a configuration to what an adapter is opened with: `queue_type`, which stands in the URL or beside it.
 */
#include "unit.h"

#include "broker/configured.h"

static struct bide_config *config_of(const char *broker, const char *queue_type)
{
    struct bide_config *config = NULL;
    bide_error error;
    assert_ok(bide_config_default(&config, &error), &error);
    bide_free(config->broker);
    config->broker = bide_strdup(broker);
    config->queue_type = queue_type ? bide_strdup(queue_type) : NULL;
    return config;
}

static void queue_type_is_an_option_of_the_url(void **state)
{
    static const struct {
        const char *broker, *beside, *is; /* is: NULL: not said */
    } rows[] = {
        {"amqp://h", NULL, NULL},
        {"amqp://h", "classic", "classic"},
        {"amqp://h?heartbeat=4", "quorum", "quorum"},
        {"amqp://h?queue_type=classic", NULL, "classic"},
        {"amqp://h?queue_type=classic", "classic", "classic"},
        {"redis://h", "classic", NULL},
        {"sqlite:bide.db", "quorum", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bide_config *config = config_of(rows[i].broker, rows[i].beside);
        struct bide_configured_broker broker;
        bide_error error;
        assert_ok(bide_broker_configure(config, "test", &broker, &error), &error);
        const char *is = bide_url_param(broker.options.url, "queue_type");
        if (!is != !rows[i].is || (is && strcmp(is, rows[i].is) != 0))
            fail_msg("row %zu: %s", i, is ? is : "not said");
        bide_configured_broker_clear(&broker);
        bide_config_destroy(config);
    }
}

static void two_queue_types_are_an_error(void **state)
{
    struct bide_config *config = config_of("amqp://u:secret@h?queue_type=classic", "quorum");
    struct bide_configured_broker broker;
    bide_error error;
    (void)state;
    assert_int_equal(bide_broker_configure(config, "test", &broker, &error), BIDE_E_CONFIG);
    assert_string_equal(error.text,
        "queue_type is 'quorum', but the URL of the broker says queue_type=classic: remove one of them");
    bide_config_destroy(config);
}

static void ladder_shards_is_an_option_of_the_url(void **state)
{
    struct bide_config *config = config_of("amqp://h", NULL);
    struct bide_configured_broker broker;
    bide_error error;
    (void)state;
    config->ladder_shards = 4;
    assert_ok(bide_broker_configure(config, "test", &broker, &error), &error);
    assert_string_equal(bide_url_param(broker.options.url, "ladder_shards"), "4");
    bide_configured_broker_clear(&broker);
    assert_ok(bide_broker_override(config, "amqp://other?ladder_shards=2", &error), &error);
    assert_ok(bide_broker_configure(config, "test", &broker, &error), &error);
    assert_string_equal(bide_url_param(broker.options.url, "ladder_shards"), "2");
    bide_configured_broker_clear(&broker);
    bide_config_destroy(config);
}

static void another_url_may_say_another_queue_type(void **state)
{
    struct bide_config *config = config_of("amqp://h", "quorum");
    bide_error error;
    (void)state;
    assert_ok(bide_broker_override(config, "amqp://other", &error), &error);
    assert_string_equal(config->broker, "amqp://other");
    assert_string_equal(config->queue_type, "quorum");
    assert_ok(bide_broker_override(config, "amqp://other?queue_type=classic", &error), &error);
    assert_null(config->queue_type);
    bide_config_destroy(config);
}

static void options_are_those_of_the_configuration(void **state)
{
    struct bide_config *config = config_of("memory:", NULL);
    struct bide_configured_broker broker;
    bide_error error;
    (void)state;
    config->worker.prefetch = 3;
    assert_ok(bide_broker_configure(config, "test", &broker, &error), &error);
    assert_ptr_equal(broker.options.url, &broker.url);
    assert_string_equal(broker.options.name_space, "bide");
    assert_int_equal(broker.options.n_queues, 1);
    assert_string_equal(broker.options.queues[0], "default");
    assert_int_equal(broker.options.early_max, config->worker.threads);
    assert_memory_equal(broker.options.client_name, "bide test ", 10);
    bide_configured_broker_clear(&broker);
    bide_config_destroy(config);
}

static bool configures(void *user)
{
    struct bide_configured_broker broker;
    bide_error error;
    bide_code code = bide_broker_configure(user, "test", &broker, &error);
    if (code == BIDE_OK)
        bide_configured_broker_clear(&broker);
    else
        assert_int_equal(code, BIDE_E_NOMEM);
    return code == BIDE_OK;
}

static void each_allocation_fails(void **state)
{
    struct bide_config *config = config_of("amqp://h", "classic");
    (void)state;
    assert_true(fail_each_allocation(configures, config) > 3);
    bide_config_destroy(config);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(queue_type_is_an_option_of_the_url),
    cmocka_unit_test(two_queue_types_are_an_error),
    cmocka_unit_test(ladder_shards_is_an_option_of_the_url),
    cmocka_unit_test(another_url_may_say_another_queue_type),
    cmocka_unit_test(options_are_those_of_the_configuration),
    cmocka_unit_test(each_allocation_fails),
};

UNIT_MAIN(tests)
