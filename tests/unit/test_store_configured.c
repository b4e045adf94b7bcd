/* From a configuration to the store it names. */
#include "unit.h"

#include "store/configured.h"

static void finds_the_store(void **state)
{
    static const struct {
        const char *broker, *store, *is; /* is: the type's name; NULL: none */
    } rows[] = {
        {"sqlite:bide.db", NULL, "sqlite"},
        {"amqp://h", NULL, NULL},
        {"memory:", NULL, NULL},
        {"amqp://h", "sqlite:/x/facts.db", "sqlite"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bide_config *config = NULL;
        struct bide_configured_store store;
        bide_error error;
        assert_ok(bide_config_default(&config, &error), &error);
        bide_free(config->broker);
        config->broker = bide_strdup(rows[i].broker);
        config->store = rows[i].store ? bide_strdup(rows[i].store) : NULL;
        assert_ok(bide_store_configure(config, "test", &store, &error), &error);
        if (!store.type != !rows[i].is || (store.type && strcmp(store.type->name, rows[i].is) != 0))
            fail_msg("row %zu: %s", i, store.type ? store.type->name : "none");
        assert_string_equal(store.options.name_space, "bide");
        bide_configured_store_clear(&store);
        bide_config_destroy(config);
    }
}

static void another_url_is_no_store(void **state)
{
    struct bide_config *config = NULL;
    struct bide_configured_store store;
    bide_error error;
    (void)state;
    assert_ok(bide_config_default(&config, &error), &error);
    config->store = bide_strdup("amqp://u:secret@h");
    assert_int_equal(bide_store_configure(config, "test", &store, &error), BIDE_E_CONFIG);
    assert_null(strstr(error.text, "secret"));
    assert_non_null(strstr(error.text, "cannot be a store: the URL of a store begins with one of sqlite:"));
    bide_config_destroy(config);
    assert_int_equal(bide_store_refuse("`once`", &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "`once` needs a store"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(finds_the_store),
    cmocka_unit_test(another_url_is_no_store),
};

UNIT_MAIN(tests)
