/* When a lost connection is tried again; which adapter serves an URL; names of reasons. */
#include "unit/unit.h"

#include "broker/broker.h"
#include "broker/reconnect.h"

static void backs_off_to_three_seconds(void **state)
{
    (void)state;
    static const int64_t spans_ms[] = {100, 200, 400, 800, 1600, 3000, 3000, 3000};
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct bide_reconnect reconnect = {.random = seed};
        int64_t now_us = INT64_C(1000000) * (int64_t)seed;
        assert_true(bide_reconnect_is_due(&reconnect, now_us)); /* the first try waits for nothing */
        for (size_t i = 0; i < COUNT_OF(spans_ms); i++) {
            bide_reconnect_failed(&reconnect, now_us);
            int64_t wait_us = bide_reconnect_wait_us(&reconnect, now_us);
            assert_between(wait_us, spans_ms[i] * 500, spans_ms[i] * 1000 - 1);
            assert_false(bide_reconnect_is_due(&reconnect, now_us + wait_us - 1));
            assert_true(bide_reconnect_is_due(&reconnect, now_us + wait_us));
            assert_int_equal(bide_reconnect_wait_us(&reconnect, now_us + wait_us + 5), 0);
            now_us += wait_us;
        }
        bide_reconnect_succeeded(&reconnect);
        assert_true(bide_reconnect_is_due(&reconnect, now_us));
        bide_reconnect_failed(&reconnect, now_us);
        assert_true(bide_reconnect_wait_us(&reconnect, now_us) < 100 * 1000);
    }
}

static void never_gives_up_nor_overflows(void **state)
{
    (void)state;
    struct bide_reconnect reconnect = {.failures = UINT32_MAX - 2};
    for (int i = 0; i < 2; i++) {
        bide_reconnect_failed(&reconnect, 0);
        assert_between(bide_reconnect_wait_us(&reconnect, 0), 1500 * 1000, 3000 * 1000);
    }
}

static void a_fleet_does_not_come_in_step(void **state)
{
    (void)state;
    struct bide_reconnect fleet[50] = {{0}};
    int64_t first = INT64_MAX, last = 0;
    for (size_t i = 0; i < COUNT_OF(fleet); i++) {
        bide_reconnect_failed(&fleet[i], 77);
        int64_t wait_us = bide_reconnect_wait_us(&fleet[i], 77);
        first = wait_us < first ? wait_us : first;
        last = wait_us > last ? wait_us : last;
    }
    assert_true(last - first > 20 * 1000);
}

static void unknown_scheme(void **state)
{
    (void)state;
    struct bide_url url;
    const struct bide_adapter *adapter = NULL;
    bide_error error;
    assert_int_equal(bide_url_parse("kafka://u:secret@h", &url, NULL), BIDE_OK);
    assert_int_equal(bide_adapter_find(&url, &adapter, &error), BIDE_E_CONFIG);
    bide_url_clear(&url);
    assert_null(adapter);
    const char *start = "no broker for 'kafka://u:***@h': an URL begins with one of ";
    assert_int_equal(strncmp(error.text, start, strlen(start)), 0);
    for (const struct bide_adapter *const *row = bide_adapters(); *row; row++)
        for (size_t i = 0; (*row)->schemes[i]; i++)
            assert_non_null(strstr(error.text, (*row)->schemes[i]));
}

static void every_scheme_is_found(void **state)
{
    (void)state;
    for (const struct bide_adapter *const *row = bide_adapters(); *row; row++)
        for (size_t i = 0; (*row)->schemes[i]; i++) {
            const struct bide_adapter *found;
            struct bide_url url;
            char text[64];
            snprintf(text, sizeof text, "%s:x", (*row)->schemes[i]);
            assert_int_equal(bide_url_parse(text, &url, NULL), BIDE_OK);
            assert_int_equal(bide_adapter_find(&url, &found, NULL), BIDE_OK);
            assert_ptr_equal(found, *row);
            bide_url_clear(&url);
        }
}

static void reasons(void **state)
{
    (void)state;
    enum bide_reason back = BIDE_REASON_NONE;
    for (int i = 1; i <= BIDE_REASON_UNROUTED; i++) {
        assert_true(bide_reason_parse(bide_reason_name((enum bide_reason)i), &back));
        assert_int_equal(back, i);
    }
    assert_false(bide_reason_parse("", &back));
    assert_false(bide_reason_parse("Exhausted", &back));
    assert_string_equal(bide_reason_name(BIDE_REASON_NO_TYPE), "no-type");
    assert_string_equal(bide_reason_name((enum bide_reason)99), "");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(backs_off_to_three_seconds),
    cmocka_unit_test(never_gives_up_nor_overflows),
    cmocka_unit_test(a_fleet_does_not_come_in_step),
    cmocka_unit_test(unknown_scheme),
    cmocka_unit_test(every_scheme_is_found),
    cmocka_unit_test(reasons),
};

UNIT_MAIN(tests)
