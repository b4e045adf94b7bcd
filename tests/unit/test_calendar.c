/* Cron expressions, zone files, and when a schedule fires. The offsets of zones are compared with the C
 * library's, the slots of a day with a search minute by minute. tests/integration/test_zones.py compares a
 * year with Python's zoneinfo. */
#include <stdlib.h>
#include <time.h>

#include "unit/unit.h"

#include "base/units.h"
#include "calendar/civil.h"
#include "calendar/recurrence.h"
#include "calendar/rule.h"

static int64_t at(const char *instant)
{
    int64_t ms;
    bide_error error;
    if (bide_parse_instant(instant, &ms, &error) != BIDE_OK)
        fail_msg("%s", error.text);
    return ms;
}

static struct bide_recurrence recurrence_of(const char *cron, const char *timezone)
{
    struct bide_recurrence recurrence;
    bide_error error;
    if (bide_recurrence_read(cron, timezone, 0, &recurrence, &error) != BIDE_OK)
        fail_msg("%s: %s", cron, error.text);
    return recurrence;
}

/* The slots after an instant are these, in this order. */
static void fires(const char *cron, const char *timezone, const char *after, const char *const *slots)
{
    struct bide_recurrence recurrence = recurrence_of(cron, timezone);
    int64_t ms = at(after);
    for (; *slots; slots++) {
        char found[BIDE_INSTANT_TEXT];
        ms = bide_recurrence_next(&recurrence, ms);
        if (ms != at(*slots))
            fail_msg("\"%s\" in %s fires at %s, not at %s", cron, timezone, bide_format_instant(ms, found),
                *slots);
    }
    bide_recurrence_clear(&recurrence);
}

#define FIRES(cron, timezone, after, ...)                                                                    \
    fires(cron, timezone, after, (const char *const[]){__VA_ARGS__, NULL})

/* ---- cron ---- */

static void expressions(void **state)
{
    (void)state;
    FIRES("30 2 * * *", "UTC", "2026-02-27T02:30:00Z", "2026-02-28T02:30:00Z", "2026-03-01T02:30:00Z");
    FIRES("*/15 * * * *", "UTC", "2026-01-01T00:44:59Z", "2026-01-01T00:45:00Z", "2026-01-01T01:00:00Z");
    FIRES("*/20 30 8-9 * * *", "UTC", "2026-01-01T08:30:30Z", "2026-01-01T08:30:40Z", "2026-01-01T09:30:00Z");
    FIRES("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z");
    FIRES("0 12 * jan,JUL mon-fri", "UTC", "2026-01-30T12:00:00Z", "2026-07-01T12:00:00Z");
    FIRES("5,10-20/5 1 * * *", "UTC", "2026-01-01T01:05:00Z", "2026-01-01T01:10:00Z", "2026-01-01T01:15:00Z",
        "2026-01-01T01:20:00Z", "2026-01-02T01:05:00Z");
    FIRES("0 0 * * 7", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z");
    FIRES("0 0 * * 5-7", "UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z",
        "2026-01-04T00:00:00Z", "2026-01-09T00:00:00Z");
    FIRES("@hourly", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z");
    FIRES("@Weekly", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z");
    FIRES("@yearly", "UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    FIRES("  0\t0  1 *   * ", "UTC", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
}

/* Both days named: one of them will do. One begins with '*': both must fit. */
static void days_as_in_vixie_cron(void **state)
{
    (void)state;
    FIRES("0 0 13 * fri", "UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z",
        "2026-01-13T00:00:00Z");
    FIRES("0 0 */10 * sat", "UTC", "2026-01-01T00:00:00Z", "2026-01-31T00:00:00Z", "2026-02-21T00:00:00Z");
    FIRES("0 0 8 * */7", "UTC", "2026-01-01T00:00:00Z", "2026-02-08T00:00:00Z");
}

static void refused_expressions(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"60 * * * *", "minute, column 1: a number must lie from 0 to 59"},
        {"0 24 * * *", "hour, column 3"},
        {"0 0 0 * *", "day of month, column 5"},
        {"0 0 * foo *", "month, column 7: a number, a name"},
        {"0 0 * * 8", "day of week, column 9"},
        {"0 0 * * * *x", "day of week, column 12: ','"},
        {"0 5/15 * * *", "hour, column 4: a step needs"},
        {"0 */0 * * *", "hour, column 5: a step is"},
        {"0 */ * * *", "hour, column 5: a step is"},
        {"0 20-10 * * *", "hour, column 3: the range ends before it begins"},
        {"0 1, * * *", "hour, column 5: a number or '*' is missing"},
        {"0 -1 * * *", "hour, column 3"},
        {"0 0 L * *", "day of month, column 5: '?', L, W"},
        {"0 0 0 ? * 2#1", "day of month, column 7: '?', L, W"},
        {"0 0 15W * *", "day of month, column 7: '?', L, W"},
        {"0 0 * * mon#2", "day of week, column 12: '?', L, W"},
        {"0 0 * *", "has 4 fields"},
        {"0 0 0 0 * * *", "has 7 fields"},
        {"", "has 0 fields"},
        {"@reboot", "there are @hourly"},
        {"0 0 30 2 *", "never fires"},
        {"0 99999999999 * * *", "hour, column 3"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bide_cron cron = {.seconds = 77};
        bide_error error;
        if (bide_cron_parse(rows[i].text, &cron, &error) != BIDE_E_USAGE || cron.seconds != 77)
            fail_msg("'%s' was taken", rows[i].text);
        if (!strstr(error.text, rows[i].says))
            fail_msg("'%s' says: %s", rows[i].text, error.text);
    }
}

static void dates(void **state)
{
    (void)state;
    for (int64_t days = -800000; days < 800000; days += 13) {
        struct bide_date date = bide_date_of(days);
        assert_int_equal(bide_days_of(date.year, date.month, date.day), days);
    }
    assert_int_equal(bide_days_of(2000, 3, 1), 11017);
    assert_int_equal(bide_days_of(2025, 14, 1), bide_days_of(2026, 2, 1));
    assert_int_equal(bide_weekday_of(0), 4);
    assert_int_equal(bide_weekday_of(-5), 6);
}

/* ---- zones ---- */

static void offsets_as_the_c_library_says(void **state)
{
    (void)state;
    static const char *const names[] = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
        "Asia/Kolkata", "Africa/Casablanca", "America/Sao_Paulo", "Pacific/Apia", "Europe/Dublin",
        "Etc/GMT+5", "UTC"};
    char *before = getenv("TZ") ? strdup(getenv("TZ")) : NULL;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct bide_zone *zone;
        bide_error error;
        if (bide_zone_open(names[i], &zone, &error) != BIDE_OK)
            fail_msg("%s", error.text);
        setenv("TZ", names[i], 1);
        tzset();
        for (time_t s = 0; s < (time_t)4102444800; s += 5 * 3600 + 1799) { /* to the year 2100 */
            struct tm local;
            localtime_r(&s, &local);
            if (bide_zone_offset(zone, s) != local.tm_gmtoff)
                fail_msg("%s at %lld: %d, not %ld", names[i], (long long)s, bide_zone_offset(zone, s),
                    local.tm_gmtoff);
        }
        bide_zone_destroy(zone);
    }
    if (before)
        setenv("TZ", before, 1);
    else
        unsetenv("TZ");
    tzset();
    free(before);
}

static void refused_zones(void **state)
{
    (void)state;
    static const char *const names[] = {
        "Europe/Atlantis", "", "/etc/passwd", "../../../etc/passwd", "Europe", "tzdata.zi", "right/UTC\n"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct bide_zone *zone = NULL;
        bide_error error;
        if (bide_zone_open(names[i], &zone, &error) != BIDE_E_USAGE || zone)
            fail_msg("'%s' was taken", names[i]);
        assert_non_null(strstr(error.text, "time zone"));
    }
}

static void refused_rules(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "C-1", "CET", "CET-1CEST", "CET-1CEST,M3.5.0",
        "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,M3.6.0,M10.5.0", "CET-25",
        "<+1-1", "CET-1x", "CET-1CEST,J0,J365", "CET-1CEST,M3.5.0,M10.5.0/168", "CET-1CEST,M3.5.0,M10.5.0 "};
    struct bide_rule rule;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (bide_rule_read(texts[i], strlen(texts[i]), &rule))
            fail_msg("'%s' was taken", texts[i]);
    assert_true(bide_rule_read("<-03>3<-02>,M3.5.0/-2,M10.5.0/-1", 32, &rule));
    assert_int_equal(rule.summer_s, -2 * 3600);
    assert_true(bide_rule_read("EST5EDT,0/0,J365/25", 19, &rule)); /* summer all the year: RFC 8536, 3.3.1 */
    for (int64_t s = 0; s < INT64_C(4102444800); s += 7 * 3600)
        assert_int_equal(bide_rule_offset(&rule, s), -4 * 3600);
}

/* ---- slots ---- */

static void clocks_go_forward(void **state)
{
    (void)state;
    /* Berlin, 29 March: 02:00 becomes 03:00 (01:00 UTC) */
    FIRES("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z",
        "2026-03-30T00:30:00Z");
    FIRES("0,30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z",
        "2026-03-29T01:30:00Z", "2026-03-30T00:00:00Z");
    FIRES("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T00:30:00Z",
        "2026-03-29T01:30:00Z");
    /* Lord Howe, 4 October: by half an hour, 02:00 becomes 02:30 (15:30 UTC of the day before) */
    FIRES("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-03T15:30:00Z");
    /* Samoa left out a whole day: 30 December 2011 */
    FIRES("0 9 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", "2011-12-30T10:00:00Z");
}

static void clocks_go_back(void **state)
{
    (void)state;
    /* Berlin, 25 October: 03:00 becomes 02:00 (01:00 UTC); 02:30 exists at 00:30 and at 01:30 UTC */
    FIRES("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z",
        "2026-10-26T01:30:00Z");
    FIRES("30 2 * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", "2026-10-26T01:30:00Z");
    FIRES("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:40:00Z", "2026-10-25T00:00:00Z",
        "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z");
    /* an entry that begins with '*' in the hour alone */
    FIRES("30 */2 * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", "2026-10-25T00:30:00Z",
        "2026-10-25T01:30:00Z", "2026-10-25T03:30:00Z");
}

static void every_so_long(void **state)
{
    (void)state;
    struct bide_recurrence recurrence;
    assert_int_equal(bide_recurrence_read(NULL, "UTC", 30000, &recurrence, NULL), BIDE_OK);
    assert_int_equal(
        bide_recurrence_next(&recurrence, at("2026-01-01T00:00:00Z")), at("2026-01-01T00:00:30Z"));
    assert_int_equal(
        bide_recurrence_next(&recurrence, at("2026-01-01T00:00:29.999Z")), at("2026-01-01T00:00:30Z"));
    assert_int_equal(bide_recurrence_next(&recurrence, -1), 0);
    bide_recurrence_clear(&recurrence);
}

static void the_last_slot(void **state)
{
    (void)state;
    static const char *const crons[] = {
        "* * * * * *", "*/7 * * * *", "30 2 * * *", "0 0 1 * *", "0 0 29 2 *"};
    uint64_t random = 1;
    for (size_t i = 0; i < COUNT_OF(crons); i++) {
        struct bide_recurrence recurrence = recurrence_of(crons[i], "Europe/Berlin");
        int64_t first_ms = bide_recurrence_next(&recurrence, at("2026-03-29T00:00:00Z")), slot_ms = first_ms;
        for (int n = 0; n < 500; n++) {
            int64_t next_ms = bide_recurrence_next(&recurrence, slot_ms);
            int64_t until_ms = slot_ms + (int64_t)(next_random(&random) % (uint64_t)(next_ms - slot_ms));
            assert_int_equal(bide_recurrence_last(&recurrence, first_ms, until_ms), slot_ms);
            slot_ms = next_ms;
        }
        bide_recurrence_clear(&recurrence);
    }
}

static void no_slots_after_the_year_9999(void **state)
{
    (void)state;
    struct bide_recurrence recurrence = recurrence_of("* * * * * *", "Europe/Berlin");
    assert_int_equal(bide_recurrence_next(&recurrence, INT64_MAX), BIDE_NEVER);
    assert_int_equal(bide_recurrence_next(&recurrence, INT64_C(253402300799999)), BIDE_NEVER);
    bide_recurrence_clear(&recurrence);
}

static bool read_without_memory(void *user)
{
    struct bide_recurrence recurrence;
    bide_error error;
    bide_code code = bide_recurrence_read("30 2 * * *", user, 0, &recurrence, &error);
    if (code == BIDE_OK)
        bide_recurrence_clear(&recurrence);
    else
        assert_int_equal(error.code, BIDE_E_NOMEM);
    return code == BIDE_OK;
}

static void without_memory(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(read_without_memory, "Europe/Berlin") >= 3);
    assert_true(fail_each_allocation(read_without_memory, "UTC") >= 2);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(expressions),
    cmocka_unit_test(days_as_in_vixie_cron),
    cmocka_unit_test(refused_expressions),
    cmocka_unit_test(dates),
    cmocka_unit_test(offsets_as_the_c_library_says),
    cmocka_unit_test(refused_zones),
    cmocka_unit_test(refused_rules),
    cmocka_unit_test(clocks_go_forward),
    cmocka_unit_test(clocks_go_back),
    cmocka_unit_test(every_so_long),
    cmocka_unit_test(the_last_slot),
    cmocka_unit_test(no_slots_after_the_year_9999),
    cmocka_unit_test(without_memory),
};

UNIT_MAIN(tests)
