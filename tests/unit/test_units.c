/* Durations, sizes, instants, whole numbers: what is taken, what is refused, and back again. */
#include "unit/unit.h"

#include "base/units.h"
#include "bide/message.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };
#define DAY (INT64_C(24) * HOUR)

struct row {
    const char *text;
    int64_t value;
};

typedef bide_code parser(const char *text, int64_t *ret_value, bide_error *error);

static void takes(parser *parse, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t value = -77;
        bide_error error = {.text = "untouched"};
        if (parse(rows[i].text, &value, &error) != BIDE_OK || value != rows[i].value)
            fail_msg("'%s' gave %lld, not %lld: %s", rows[i].text, (long long)value, (long long)rows[i].value,
                error.text);
        assert_string_equal(error.text, "untouched");
    }
}

static void refuses(parser *parse, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t value = -77;
        bide_error error;
        if (parse(texts[i], &value, &error) != BIDE_E_USAGE || value != -77)
            fail_msg("'%s' was taken as %lld", texts[i], (long long)value);
        assert_int_equal(error.code, BIDE_E_USAGE);
        assert_non_null(strstr(error.text, "write for example"));
    }
}

static void durations_taken(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0", 0},
        {"0s", 0},
        {"250ms", 250},
        {"1.5s", 1500},
        {".5s", 500},
        {"10m", 10 * MINUTE},
        {"36h", 36 * (int64_t)HOUR},
        {"7d", 7 * DAY},
        {"0.4ms", 0},
        {"0.6ms", 1},
        {"1.25m", 75 * SECOND},
        {"3650d", BIDE_DELAY_MAX_MS},
        {"0000001s", SECOND},
        {"1h30m", HOUR + 30 * MINUTE},
        {"1d2h3m4s5ms", DAY + 2 * (int64_t)HOUR + 3 * MINUTE + 4 * SECOND + 5},
        {"1m500ms", MINUTE + 500},
        {"3649d24h", BIDE_DELAY_MAX_MS},
        {"315359999.999s", BIDE_DELAY_MAX_MS - 1},
    };
    takes(bide_parse_duration, rows, COUNT_OF(rows));
}

static void durations_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", " ", "1", "s", ".s", "-1s", "+1s", "1 s", " 1s", "1s ", "1S",
        "1,5s", "1e3s", "inf", "nans", "0x10s", "1.2.3s", "1h30", "30m1h", "1s1s", "1ms1m", "1h 30m",
        "3649d24h1ms", "3650.001d", "3651d", "99999999999999999999999d", "1ms\n", "00"};
    refuses(bide_parse_duration, texts, COUNT_OF(texts));
    char digits[500];
    memset(digits, '9', sizeof digits);
    memcpy(digits + sizeof digits - 3, "ms", 3);
    refuses(bide_parse_duration, (const char *const[]){digits}, 1); /* the hint stays in sight */
}

static void sizes(void **state)
{
    (void)state;
    static const struct row rows[] = {{"0", 0}, {"100", 100}, {"4096B", 4096}, {"64KiB", 65536},
        {"1MiB", 1048576}, {"2GiB", INT64_C(2147483648)}, {"10kB", 10000}, {"1MB", 1000000}, {"1.5KiB", 1536},
        {"999999999999999", INT64_C(999999999999999)}};
    static const char *const texts[] = {
        "", "B", "-1", "1kb", "1 KiB", "1KB", "1TiB", "1000000000000001", "1e3", "KiB1"};
    takes(bide_parse_size, rows, COUNT_OF(rows));
    refuses(bide_parse_size, texts, COUNT_OF(texts));
}

static void instants_taken(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01t00:00:00z", 0},
        {"1970-01-01 00:00:00Z", 0},
        {"1969-12-31T23:59:59.999Z", -1},
        {"2026-12-24T18:00:00Z", INT64_C(1798135200000)},
        {"2026-12-24T19:00:00+01:00", INT64_C(1798135200000)},
        {"2026-12-24T12:30:00-05:30", INT64_C(1798135200000)},
        {"2026-12-24T18:00:00.25Z", INT64_C(1798135200250)},
        {"2026-12-24T18:00:00.0004Z", INT64_C(1798135200000)},
        {"2000-02-29T00:00:00Z", INT64_C(951782400000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000)}, /* a leap second is the next day's first */
        {"0000-01-01T00:00:00Z", INT64_C(-62167219200000)},
        {"9999-12-31T23:59:59.999Z", INT64_C(253402300799999)},
    };
    takes(bide_parse_instant, rows, COUNT_OF(rows));
}

static void instants_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "now", "2026-12-24", "2026-12-24T18:00Z", "2026-12-24T18:00:00",
        "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z", "2026-01-01T-0:00:00Z", "-000-01-01T00:00:00Z", "2026-\t1-01T00:00:00Z",
        "2026- 1-01T00:00:00Z", "+026-01-01T00:00:00Z", " 2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z ",
        "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z", "2026-01-01T00:00:00+1:00",
        "2026-01-01T00:00:00+01", "2026-01-01T00:00:00+-1:00", "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+00:60", "2026-01-01T00:00:00+01:00x", "2026-01-01\n00:00:00Z",
        "12026-01-01T00:00:00Z"};
    refuses(bide_parse_instant, texts, COUNT_OF(texts));
}

static bide_code parse_small(const char *text, int64_t *ret_value, bide_error *error)
{
    return bide_parse_int(text, -5, 5, ret_value, error);
}

static bide_code parse_any(const char *text, int64_t *ret_value, bide_error *error)
{
    return bide_parse_int(text, INT64_MIN, INT64_MAX, ret_value, error);
}

static void whole_numbers(void **state)
{
    (void)state;
    static const struct row small[] = {{"0", 0}, {"-0", 0}, {"5", 5}, {"-5", -5}, {"003", 3}};
    static const struct row any[] = {{"9223372036854775807", INT64_MAX}, {"-9223372036854775808", INT64_MIN}};
    static const char *const not_any[] = {"", "-", "+1", " 1", "1 ", "- 1", "-+1", "1.0", "0x1", "1e1",
        "9223372036854775808", "-9223372036854775809"};
    takes(parse_small, small, COUNT_OF(small));
    takes(parse_any, any, COUNT_OF(any));
    for (size_t i = 0; i < COUNT_OF(not_any); i++) {
        int64_t value = -77;
        assert_int_equal(parse_any(not_any[i], &value, NULL), BIDE_E_USAGE);
        assert_int_equal(value, -77);
    }
    int64_t value = -77;
    bide_error error;
    assert_int_equal(parse_small("6", &value, &error), BIDE_E_USAGE);
    assert_int_equal(parse_small("-6", &value, &error), BIDE_E_USAGE);
    assert_string_equal(error.text, "'-6' is not a whole number from -5 to 5");
}

static void durations_written(void **state)
{
    (void)state;
    static const struct row rows[] = {{"0s", 0}, {"1ms", 1}, {"999ms", 999}, {"1s", 1000}, {"1.5s", 1500},
        {"1.001s", 1001}, {"90s", 90000}, {"2h", 7200000}, {"36h", 36 * (int64_t)HOUR}, {"7d", 7 * DAY},
        {"3650d", BIDE_DELAY_MAX_MS}, {"315359999.999s", BIDE_DELAY_MAX_MS - 1}, {"10.05s", 10050}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[BIDE_DURATION_TEXT];
        assert_string_equal(bide_format_duration(rows[i].value, text), rows[i].text);
    }
    char text[BIDE_DURATION_TEXT];
    assert_ptr_equal(bide_format_duration(INT64_MIN, text), text);
    assert_ptr_equal(bide_format_duration(INT64_MAX, text), text);
}

static void durations_there_and_back(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 100000; i++) {
        int64_t ms = (int64_t)(next_random(&random) >> (next_random(&random) % 64)) % (BIDE_DELAY_MAX_MS + 1),
                back;
        char text[BIDE_DURATION_TEXT];
        if (ms < 0)
            ms = -(ms + 1);
        assert_int_equal(bide_parse_duration(bide_format_duration(ms, text), &back, NULL), BIDE_OK);
        assert_int_equal(back, ms);
    }
}

static void instants_there_and_back(void **state)
{
    (void)state;
    const int64_t first = INT64_C(-62167219200000), span = INT64_C(253402300799999) - first + 1;
    uint64_t random = 2;
    for (int i = 0; i < 100000; i++) {
        int64_t ms = first + (int64_t)(next_random(&random) % (uint64_t)span), back;
        char text[BIDE_INSTANT_TEXT];
        assert_int_equal(bide_parse_instant(bide_format_instant(ms, text), &back, NULL), BIDE_OK);
        assert_int_equal(back, ms);
    }
    char text[BIDE_INSTANT_TEXT];
    assert_string_equal(bide_format_instant(INT64_MAX, text), "292278994-08-17T07:12:55.807Z");
    assert_string_equal(bide_format_instant(INT64_MIN, text), "-292275055-05-16T16:47:04.192Z");
    assert_string_equal(bide_format_instant(-62135596800000, text), "0001-01-01T00:00:00.000Z");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(durations_taken),
    cmocka_unit_test(durations_refused),
    cmocka_unit_test(sizes),
    cmocka_unit_test(instants_taken),
    cmocka_unit_test(instants_refused),
    cmocka_unit_test(whole_numbers),
    cmocka_unit_test(durations_written),
    cmocka_unit_test(durations_there_and_back),
    cmocka_unit_test(instants_there_and_back),
};

UNIT_MAIN(tests)
