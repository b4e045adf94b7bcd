/* The configuration loader: `relays`. */
#include "broker/configured.h"
#include "unit/config_folder.h"
#include "unit/unit.h"

#define RELAY(from, to, more) "{ from = \"" from "\"; to = \"" to "\"; " more " }"
#define QUEUE(name) "queue = \"" name "\";"

static void good_relays(void **state)
{
    (void)state;
    static const char *const files[] = {
        "relays = (" RELAY("outbox+sqlite:a.db", "sqlite:b.db", QUEUE("x")) ",\n" RELAY(
            "outbox+sqlite:a.db", "redis://b", QUEUE("y")) ");",
        /* There and back, but other messages. */
        "relays = (" RELAY("sqlite:a.db", "redis://b", QUEUE("x")) ",\n" RELAY(
            "redis://b", "sqlite:a.db", QUEUE("y")) ");",
        /* A chain, and two into one. */
        "relays = (" RELAY("sqlite:a.db", "sqlite:b.db", "") ",\n" RELAY(
            "sqlite:b.db", "sqlite:c.db", "") ",\n" RELAY("sqlite:d.db", "sqlite:b.db", "") ");",
    };
    for (size_t i = 0; i < COUNT_OF(files); i++)
        bide_config_destroy(load(files[i]));
    struct bide_config *config = load(files[0]);
    assert_string_equal(config->relays[1].name, "relay2");
    bide_config_destroy(config);
}

static const struct {
    const char *text, *expected;
} bad_files[] = {
    {"relays = (" RELAY("sqlite:a.db", "sqlite:a.db", "") ");",
        "a.conf:1: relay 'relay1' would carry messages to where they are"},
    {"relays = (" RELAY("sqlite:a.db", "sqlite:b.db", "name = \"r\";") ",\n" RELAY(
         "sqlite:b.db", "sqlite:c.db", "name = \"r\";") ");",
        "a.conf:2: relay 'r' is listed twice"},
    {"relays = (" RELAY("outbox+sqlite:a.db", "sqlite:b.db", "") ",\n" RELAY(
         "outbox+sqlite:a.db", "sqlite:c.db", QUEUE("x")) ");",
        "a.conf:2: relays 'relay1' and 'relay2' would carry the same messages: give each a `queue` of its "
        "own"},
    {"relays = (" RELAY("outbox+sqlite:a.db", "sqlite:b.db", QUEUE("x")) ",\n" RELAY(
         "outbox+sqlite:a.db", "sqlite:c.db", QUEUE("x")) ");",
        "a.conf:2: relays 'relay1' and 'relay2' would carry the same messages: give each a `queue` of its "
        "own"},
    {"relays = (" RELAY("sqlite:a.db", "sqlite:b.db", QUEUE("x")) ",\n" RELAY(
         "sqlite:b.db", "sqlite:c.db", "") ",\n" RELAY("sqlite:c.db", "sqlite:a.db", QUEUE("x")) ");",
        "a.conf:1: what relay 'relay1' carries would come back by others, for ever: give each a `queue` of "
        "its own"},
    {"relays = (" RELAY("sqlite:z.db", "sqlite:a.db", "") ",\n" RELAY(
         "sqlite:a.db", "sqlite:b.db", "") ",\n" RELAY("sqlite:b.db", "sqlite:a.db", "") ");",
        "a.conf:2: what relay 'relay2' carries would come back by others, for ever: give each a `queue` of "
        "its own"},
    {"spool: { max = \"2MiB\"; };", "a.conf:1: spool: `url` is missing: \"sqlite:FILE\""},
    {"spool: { url = \"redis://a\"; };", "a.conf:1: spool: 'redis://a' is no file: write sqlite:FILE"},
    {"broker = \"sqlite:a.db\"; spool: { url = \"sqlite:a.db\"; };",
        "a.conf:1: relay 'spool' would carry messages to where they are"},
    {"spool: { url = \"sqlite:a.db\"; }; relays = (" RELAY(
         "sqlite:x.db", "sqlite:y.db", "name = \"spool\";") ");",
        "a.conf:1: relay 'spool' is listed twice"},
};

/* One relay more, the last one, which goes where the broker is. */
static void a_spool(void **state)
{
    (void)state;
    struct bide_config *config = load("relays = (" RELAY(
        "sqlite:x.db", "sqlite:y.db", "") ");\n"
                                          "broker = \"sqlite:b.db\"; spool: { url = \"sqlite:a.db\"; };");
    assert_int_equal(config->n_relays, 2);
    assert_int_equal(config->spool.max_bytes, INT64_C(1) << 30);
    assert_string_equal(config->relays[1].name, BIDE_SPOOL_RELAY);
    assert_string_equal(config->relays[1].from, "sqlite:a.db");
    assert_string_equal(config->relays[1].to, "sqlite:b.db");
    assert_int_equal(bide_broker_override(config, "redis://c", NULL), BIDE_OK);
    assert_string_equal(config->relays[0].to, "sqlite:y.db");
    assert_string_equal(config->relays[1].to, "redis://c");
    bide_config_destroy(config);
}

static void bad_relays(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad_files); i++) {
        struct bide_config *config = NULL;
        bide_error error = {0};
        write_file("a.conf", bad_files[i].text);
        assert_int_equal(bide_config_load("a.conf", &config, &error), BIDE_E_CONFIG);
        assert_string_equal(error.text, bad_files[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(good_relays, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(bad_relays, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(a_spool, enter_folder, leave_folder),
    };
    return cmocka_run_group_tests_name("config_relays", tests, NULL, NULL);
}
