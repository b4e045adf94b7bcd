/* Names, messages, the configuration and the choice of a handler, where topics are concerned. */
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "config/config.h"
#include "dispatch/handler.h"
#include "message/envelope.h"
#include "message/message.h"
#include "producer/unserved.h"
#include "support/test.h"
#include "unit/config_folder.h"
#include "unit/unit.h"

#define B49 "a123456789b123456789c123456789d123456789e12345678"

static void test_names(void **state)
{
    static const char *const subscriptions[] = {"geo@logs", "a@b", B49 "@" B49, "geo.de@logs.nginx-1"};
    static const char *const queues[] = {"mail", "geo@logs"};
    static const char *const neither[] = {"@", "geo@", "@@logs", "geo@logs@x", "1geo@logs", "geo@.logs",
        "geo@logs.dead", "geo@logs.later", "geo.landing@logs", "hold.x@logs", "unrouted@logs", "geo@unrouted",
        B49 "x@logs", "geo@" B49 "x", "geo @logs", ""};
    (void)state;
    for (size_t i = 0; i < sizeof subscriptions / sizeof subscriptions[0]; i++)
        assert_true(bide_subscription_valid(subscriptions[i]) && bide_queue_name_valid(subscriptions[i]));
    for (size_t i = 0; i < sizeof queues / sizeof queues[0]; i++)
        assert_true(bide_address_valid(queues[i]) && !bide_is_topic(queues[i]));
    for (size_t i = 0; i < sizeof neither / sizeof neither[0]; i++)
        assert_false(bide_subscription_valid(neither[i]) || bide_queue_name_valid(neither[i]) ||
                     bide_address_valid(neither[i]));
    assert_true(bide_address_valid("@logs") && bide_address_valid("@" B49) && bide_is_topic("@logs"));
    assert_false(bide_queue_name_valid("@logs") || bide_address_valid("@" B49 "x"));
    assert_string_equal(bide_queue_topic("geo@logs"), "logs");
    assert_string_equal(bide_queue_topic("@logs"), "logs");
    assert_null(bide_queue_topic("mail"));
}

/* ---- messages ---- */

static void test_a_message_to_a_topic(void **state)
{
    bide_message *message;
    bide_error error;
    (void)state;
    assert_ok(bide_message_create("line", &message, &error), &error);
    assert_int_equal(bide_message_set_topic(message, "geo@logs", &error), BIDE_E_DATA);
    assert_string_equal(bide_message_queue(message), "");
    assert_ok(bide_message_set_topic(message, "logs", &error), &error);
    assert_string_equal(bide_message_queue(message), "@logs");
    assert_ok(bide_message_stamp(message, "default", bide_clock_system(), &error), &error);
    assert_string_equal(bide_message_queue(message), "@logs");
    assert_ok(bide_message_set_unique(message, "one", &error), &error);
    assert_int_equal(bide_message_stamp(message, "default", bide_clock_system(), &error), BIDE_E_DATA);
    assert_non_null(strstr(error.text, "unique key cannot go to a topic"));
    bide_message_destroy(message);
}

static void test_topic_in_lines(void **state)
{
    static const char line[] = "{\"type\":\"line\",\"topic\":\"logs\"}";
    static const char both[] = "{\"type\":\"line\",\"topic\":\"logs\",\"queue\":\"mail\"}";
    static const char bad[] = "{\"type\":\"line\",\"topic\":\"@logs\"}";
    bide_message *message;
    bide_error error;
    (void)state;
    assert_ok(bide_envelope_parse(line, sizeof line - 1, &message, &error), &error);
    assert_string_equal(bide_message_queue(message), "@logs");
    bide_message_destroy(message);
    assert_int_equal(bide_envelope_parse(both, sizeof both - 1, &message, &error), BIDE_E_DATA);
    assert_non_null(strstr(error.text, "both 'topic' and 'queue'"));
    assert_int_equal(bide_envelope_parse(bad, sizeof bad - 1, &message, &error), BIDE_E_DATA);
}

/* ---- the configuration ---- */

#define H(type, more) "{ type = \"" type "\"; plugin = \"p\"; " more " }"
#define TOPICS "topics = ( { name = \"logs\"; subscriptions = [\"geo\", \"errors\"]; } );\n"

static void test_configured(void **state)
{
    (void)state;
    struct bide_config *config = load(
        TOPICS "queues = ( { name = \"mail\"; } );\n"
               "handlers = ( " H("line", "on = \"geo@logs\";") ", " H("line", "on = \"errors@logs\";") ", " H(
                   "line", "queue = \"mail\";") ", " H("alone", "on = \"x@other\";") " );\n");
    static const char *const names[] = {"line@geo@logs", "line@errors@logs", "line", "alone"};
    static const char *const queues[] = {"mail", "geo@logs", "errors@logs", "x@other"};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(bide_handler_name(&config->handlers[i]), names[i]);
        assert_string_equal(config->queues[i].name, queues[i]);
    }
    assert_int_equal(config->n_queues, 4);
    assert_int_equal(config->n_subscriptions, 2);
    assert_string_equal(config->subscriptions[1], "errors@logs");
    assert_string_equal(config->handlers[0].queue, "geo@logs");
    assert_string_equal(bide_config_address(config, "line"), "mail");
    assert_string_equal(bide_config_address(config, "alone"), "@other");
    assert_ptr_equal(bide_config_handler(config, "line"), &config->handlers[2]);
    assert_ptr_equal(bide_config_handler_named(config, "line@geo@logs"), &config->handlers[0]);
    char text[BIDE_UNSERVED_TEXT];
    assert_false(bide_is_unserved(config, "line", "@logs", text));
    assert_true(bide_is_unserved(config, "lime", "@logs", text));
    assert_true(bide_is_unserved(config, "line", "@lags", text));
    assert_non_null(strstr(text, "no topic 'lags'"));
    bide_config_destroy(config);
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {TOPICS "handlers = ( " H("line", "on = \"goe@logs\";") " );",
            "not among the subscriptions of topic 'logs'"},
        {"handlers = ( " H("line", "on = \"geo\";") " );", "not valid as on: SUB@TOPIC"},
        {"handlers = ( " H("line", "on = \"a@b\"; queue = \"mail\";") " );", "give one of them"},
        {"handlers = ( " H("line", "queue = \"a@b\";") " );", "write on = instead of queue ="},
        {"handlers = ( " H("line", "on = \"a@b\";") ", " H("line", "on = \"a@b\";") " );",
            "has a handler on a@b already"},
        {"topics = ( { name = \"a\"; }, { name = \"a\"; } );", "topic 'a' is listed twice"},
        {"topics = ( { name = \"a\"; subscriptions = [\"x\", \"x\"]; } );",
            "'x' of topic 'a' is listed twice"},
        {"topics = ( { name = \"a\"; subscriptions = [\"x@y\"]; } );", "not valid as a subscription"},
        {"topics = ( { name = \"a.dead\"; } );", "not valid as name"},
        {"schedules = ( { name = \"s\"; every = \"1m\"; type = \"t\"; queue = \"@a\"; overlap = \"skip\"; } "
         ");",
            "overlap of schedule 's'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bide_config *config;
        bide_error error = {0};
        write_file("a.conf", rows[i].text);
        assert_int_equal(bide_config_load("a.conf", &config, &error), BIDE_E_CONFIG);
        if (!strstr(error.text, rows[i].why))
            fail_msg("'%s' is not in: %s", rows[i].why, error.text);
    }
}

/* ---- routing ---- */

static void test_found_by_queue_and_type(void **state)
{
    struct bide_handler_config configs[] = {{.type = (char *)"a"}, {.type = (char *)"line"},
        {.type = (char *)"line", .on = (char *)"errors@logs"},
        {.type = (char *)"line", .on = (char *)"geo@logs"},
        {.type = (char *)"only", .on = (char *)"geo@logs"}};
    struct bide_handler rows[5] = {0};
    struct bide_handlers handlers = {.rows = rows, .n = 5};
    (void)state;
    for (size_t i = 0; i < 5; i++)
        rows[i].config = &configs[i];
    assert_ptr_equal(bide_handlers_find(&handlers, "line", "geo@logs"), &rows[3]);
    assert_ptr_equal(bide_handlers_find(&handlers, "line", "errors@logs"), &rows[2]);
    assert_ptr_equal(bide_handlers_find(&handlers, "line", "audit@logs"), &rows[1]);
    assert_ptr_equal(bide_handlers_find(&handlers, "line", "default"), &rows[1]);
    assert_ptr_equal(bide_handlers_find(&handlers, "only", "geo@logs"), &rows[4]);
    assert_null(bide_handlers_find(&handlers, "only", "default"));
    assert_null(bide_handlers_find(&handlers, "none", "geo@logs"));
    assert_ptr_equal(bide_handlers_find(&handlers, "a", "geo@logs"), &rows[0]);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_a_message_to_a_topic),
    cmocka_unit_test(test_topic_in_lines),
    cmocka_unit_test_setup_teardown(test_configured, enter_folder, leave_folder),
    cmocka_unit_test_setup_teardown(test_refused, enter_folder, leave_folder),
    cmocka_unit_test(test_found_by_queue_and_type),
};

UNIT_MAIN(tests)
