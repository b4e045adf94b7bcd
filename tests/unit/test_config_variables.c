/* "${NAME}" in a configuration: from the environment, or from bide.env beside the file. */
#include <stdlib.h>

#include "unit/config_folder.h"

/* Percent-encoded in the user part of an URL, and nowhere else. */
static void test_broker(void **state)
{
    static const struct {
        const char *broker, *expected;
    } rows[] = {
        {"amqp://u:${BIDE_T_PASSWORD}@h/${BIDE_T_VHOST}", "amqp://u:p%40s%2F%3A%25s@h/a@b"},
        {"amqp://${BIDE_T_VHOST}@h", "amqp://a%40b@h"},
        {"${BIDE_T_URL}", "redis://:x@host"},
        {"sqlite:${BIDE_T_VHOST}.db", "sqlite:a@b.db"},
    };
    (void)state;
    setenv("BIDE_T_PASSWORD", "p@s/:%s", 1);
    setenv("BIDE_T_VHOST", "a@b", 1);
    setenv("BIDE_T_URL", "redis://:x@host", 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "broker = \"%s\";", rows[i].broker);
        struct bide_config *config = load(text);
        assert_string_equal(config->broker, rows[i].expected);
        bide_config_destroy(config);
    }
}

/* In every string, in lists, behind '$' not; from the file beside the configuration where the environment has
 * none. */
static void test_variables(void **state)
{
    (void)state;
    setenv("BIDE_T_QUEUE", "mail", 1);
    unsetenv("BIDE_T_SECRET");
    write_file("bide.env", "# secrets\n\nBIDE_T_SECRET = \"a \\\"b\" \nBIDE_T_QUEUE=other\n; end");
    struct bide_config *config =
        load("plugin_dir = \"/x/${BIDE_T_QUEUE}\";\n"
             "handlers = ( { type = \"a\"; plugin = \"p\"; queue = \"${BIDE_T_QUEUE}\";\n"
             "settings: { secret = \"s-${BIDE_T_SECRET}\";\n"
             "args = [\"${BIDE_T_SECRET}\", \"$${BIDE_ID}\"]; }; } );");
    const struct bide_setting_value *settings = config->handlers[0].settings;
    assert_string_equal(config->plugin_dirs[0], "/x/mail");
    assert_string_equal(config->handlers[0].queue, "mail");
    assert_string_equal(settings[0].text, "s-a \"b");
    assert_string_equal(settings[1].items[0], "a \"b");
    assert_string_equal(settings[1].items[1], "${BIDE_ID}");
    assert_int_equal(bide_config_complete(config, NULL), BIDE_OK);
    bide_config_destroy(config);
}

/* A sender works without a handler's secret; whoever runs handlers does not. */
static void test_unset_variables(void **state)
{
    (void)state;
    bide_error error = {0};
    unsetenv("BIDE_T_NONE");
    struct bide_config *config = load("handlers = (\n{ type = \"a\"; plugin = \"p\";\n"
                                      "settings: { secret = \"${BIDE_T_NONE}\"; }; } );\nhttp: { token = "
                                      "\"${BIDE_T_NEITHER}\"; };\nprograms = ( { name = \"p\"; run = \"p\"; "
                                      "env = \"A=${BIDE_T_NEITHER}\"; } );");
    assert_string_equal(config->handlers[0].settings[0].text, "${BIDE_T_NONE}");
    assert_int_equal(bide_config_complete(config, &error), BIDE_E_CONFIG);
    assert_string_equal(error.text,
        "a.conf:3: secret: the environment variable BIDE_T_NONE is not set: export it before starting bide");
    bide_config_destroy(config);
}

static void test_bad_environment_file(void **state)
{
    static const char *const lines[] = {"secret", "2=x", "A=\"x", "A='x' y", "a b=c"};
    (void)state;
    write_file("a.conf", "");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct bide_config *config;
        bide_error error = {0};
        char text[64];
        snprintf(text, sizeof text, "A=b\n%s", lines[i]);
        write_file("bide.env", text);
        assert_int_equal(bide_config_load("a.conf", &config, &error), BIDE_E_CONFIG);
        assert_string_equal(error.text, "bide.env:2: a line is NAME=value, or begins with '#'");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_broker, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(test_variables, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(test_unset_variables, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(test_bad_environment_file, enter_folder, leave_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
