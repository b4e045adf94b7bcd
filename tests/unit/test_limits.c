/* limits/: the arithmetic of rates in virtual time, clocks, keys, terms. */
#include <stdlib.h>

#include "limits/limit.h"
#include "unit/unit.h"

enum { WORKERS = 8, RUNS = 3000 };

static int by_time(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* The most runs in any time of this length. */
static size_t most_in(const int64_t *starts_us, size_t n, int64_t window_us)
{
    size_t most = 0;
    for (size_t first = 0, last = 0; last < n; last++) {
        while (starts_us[last] - starts_us[first] >= window_us)
            first++;
        most = last - first + 1 > most ? last - first + 1 : most;
    }
    return most;
}

/* Permits as the store gives them (one after the other, an interval apart, with pauses), to workers whose
 * clocks differ and that know the store's only within the time that a call took. Each begins as late or as
 * early as its span lets it. */
static size_t most_of(struct bide_rate rate, unsigned short random[3])
{
    static int64_t starts_us[RUNS];
    struct bide_limit_clock clocks[WORKERS] = {0};
    int64_t offsets_us[WORKERS], free_us = 0, now_us = INT64_C(1000000000000),
                                 interval_us = bide_limit_interval_us(&rate);
    for (size_t i = 0; i < WORKERS; i++)
        offsets_us[i] = (int64_t)(erand48(random) * 1e9);
    for (size_t i = 0; i < RUNS; i++) {
        size_t worker = (size_t)nrand48(random) % WORKERS;
        now_us +=
            nrand48(random) % 20 == 0 ? nrand48(random) % (3 * interval_us) : nrand48(random) % interval_us;
        int64_t permit_us = free_us > now_us ? free_us : now_us, mono_us = now_us - offsets_us[worker];
        free_us = permit_us + interval_us;
        bide_limit_clock_saw(
            &clocks[worker], now_us, mono_us - nrand48(random) % 20000, mono_us + nrand48(random) % 20000);
        struct bide_limit_span span = bide_limit_span(&clocks[worker], permit_us);
        assert_true(span.from_us + offsets_us[worker] >= permit_us);
        int64_t width_us = span.to_us - span.from_us, part = nrand48(random) % 3;
        assert_true(width_us > 0);
        starts_us[i] = offsets_us[worker] + (part == 0      ? span.from_us
                                                : part == 1 ? span.to_us
                                                            : span.from_us + nrand48(random) % width_us);
    }
    qsort(starts_us, RUNS, sizeof starts_us[0], by_time);
    return most_in(starts_us, RUNS, rate.window_ms * 1000);
}

static void test_a_rate_holds_in_any_window(void **state)
{
    const struct bide_rate rates[] = {
        {1, 1000}, {2, 1000}, {50, 1000}, {100, 60000}, {7, 333}, {1, 1}, {1000, 1000}, {10000, 1000}};
    unsigned short random[3] = {1, 2, 3};
    (void)state;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
        for (int again = 0; again < 10; again++) {
            size_t most = most_of(rates[i], random);
            if (most > (size_t)rates[i].n)
                fail_msg("%lld in %lld ms: %zu", (long long)rates[i].n, (long long)rates[i].window_ms, most);
        }
}

/* Without gaps, so that nothing is lost: n permits take the window and the 50 ms. */
static void test_the_price_of_the_promise(void **state)
{
    (void)state;
    assert_int_equal(bide_limit_interval_us(&(struct bide_rate){50, 1000}), 21000);
    assert_int_equal(bide_limit_interval_us(&(struct bide_rate){100, 60000}), 600500);
    assert_int_equal(bide_limit_interval_us(&(struct bide_rate){3, 1000}), 350000);
    assert_int_equal(bide_limit_interval_us(&(struct bide_rate){10000, 1000}), 105);
    assert_int_equal(bide_limit_interval_us(&(struct bide_rate){0, 0}), 0);
}

static void test_calls_that_took_long_do_not_make_the_clock_worse(void **state)
{
    struct bide_limit_clock clock = {0};
    (void)state;
    bide_limit_clock_saw(&clock, 5000000, 1000, 2000);
    assert_int_equal(clock.high_us - clock.low_us, 1000);
    bide_limit_clock_saw(&clock, 5100000, 50000, 150000);
    assert_between(clock.high_us - clock.low_us, 1000, 1100);
    bide_limit_clock_saw(&clock, 9000000, 200000, 201000); /* the store's clock was set */
    assert_int_equal(clock.low_us, 9000000 - 201000);
    assert_int_equal(clock.high_us, 9000000 - 200000);
}

/* ---- keys ---- */

static const char *key_of(const char *key, const char *body, const char *header)
{
    static char to[BIDE_LIMIT_KEY_TEXT], name[] = "lim", text[64];
    bide_message *message;
    snprintf(text, sizeof text, "%s", key ? key : "");
    struct bide_shared_limit_config limit = {.name = name, .key = key ? text : NULL};
    assert_int_equal(bide_message_create("receipt", &message, NULL), BIDE_OK);
    assert_int_equal(bide_message_set_queue(message, "mail", NULL), BIDE_OK);
    assert_int_equal(bide_message_set_body(message, body, strlen(body), NULL), BIDE_OK);
    if (header)
        assert_int_equal(bide_message_set_header(message, "X-Tenant", header, NULL), BIDE_OK);
    bide_limit_key(&limit, message, to);
    bide_message_destroy(message);
    return to;
}

static void test_keys(void **state)
{
    char longest[BIDE_LIMIT_KEY_TEXT + 1], other[sizeof longest];
    (void)state;
    assert_string_equal(key_of(NULL, "", "a"), "");
    assert_string_equal(key_of("type", "", NULL), "receipt");
    assert_string_equal(key_of("queue", "", NULL), "mail");
    assert_string_equal(key_of("header:X-Tenant", "", "acme"), "acme");
    assert_string_equal(key_of("header:X-Tenant", "", NULL), "");
    assert_string_equal(key_of("json:/user/id", "{\"user\":{\"id\":7}}", NULL), "7");
    assert_string_equal(key_of("json:/user/id", "{\"user\":{\"id\":\"x/y\"}}", NULL), "x/y");
    assert_string_equal(key_of("json:/1/a~1b", "[0,{\"a/b\":\"there\"}]", NULL), "there");
    assert_string_equal(key_of("json:/x", "[\"there\"]", NULL), "");
    assert_string_equal(key_of("json:/user/id", "{\"user\":3}", NULL), "");
    assert_string_equal(key_of("json:/user", "{\"user\":null}", NULL), "");
    assert_string_equal(key_of("json:/user", "{\"user\":[1]}", NULL), "");
    assert_string_equal(key_of("json:/user", "no JSON", NULL), "");
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    snprintf(other, sizeof other, "%s", key_of("header:X-Tenant", "", longest));
    assert_int_equal(strlen(other), 17);
    longest[0] = 'y';
    assert_string_not_equal(key_of("header:X-Tenant", "", longest), other);
    assert_int_equal(*key_of("header:X-Tenant", "", "a b"), '#');
}

static void test_names_and_tickets(void **state)
{
    static char queue[] = "q", type[] = "t", id[] = "1", id_2[] = "2";
    char name[BIDE_LIMIT_NAME_TEXT], first[BIDE_LIMIT_TICKET_TEXT], second[BIDE_LIMIT_TICKET_TEXT];
    struct bide_message message = {.queue = queue, .type = type, .id = id, .sent_ms = 5};
    (void)state;
    bide_limit_name("api", 3, "acme", name);
    assert_string_equal(name, "limit-tickets api:3/acme");
    assert_string_equal(bide_limit_meter(name), "api:3/acme");
    bide_limit_ticket(&message, first);
    message.due_ms = 99; /* where it was moved */
    bide_limit_ticket(&message, second);
    assert_string_equal(first, second);
    message.id = id_2;
    bide_limit_ticket(&message, second);
    assert_string_not_equal(first, second);
}

static struct bide_limit_terms terms_by(const char *data)
{
    static char name[] = "api";
    const struct bide_shared_limit_config limit = {.name = name, .rate = {100, 1000}};
    return bide_limit_terms(&limit, (struct bide_slice){data, strlen(data)});
}

static void test_terms(void **state)
{
    const struct bide_limit_terms given = {{50, 60000}, 3, 7};
    char text[BIDE_LIMIT_TERMS_TEXT];
    const char *const bad[] = {"1", "x 1 1 1", "1 50 0 3", "1 50 60000 3x", "1 -5 60000 3"};
    (void)state;
    assert_int_equal(terms_by("").rate.n, 100);
    assert_int_equal(terms_by("").generation, 0);
    size_t size = bide_limit_terms_write(&given, text);
    assert_int_equal(size, strlen(text));
    struct bide_limit_terms terms = terms_by(text);
    assert_true(terms.rate.n == 50 && terms.rate.window_ms == 60000 && terms.generation == 7);
    assert_int_equal(terms.concurrency, 0); /* the limit has none to set */
    terms = terms_by("8 0 0 0");
    assert_true(terms.rate.n == 100 && terms.rate.window_ms == 1000 && terms.generation == 8);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(terms_by(bad[i]).rate.n, 100);
        assert_int_not_equal(terms_by(bad[i]).generation, 0);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_rate_holds_in_any_window),
    cmocka_unit_test(test_the_price_of_the_promise),
    cmocka_unit_test(test_calls_that_took_long_do_not_make_the_clock_worse),
    cmocka_unit_test(test_keys),
    cmocka_unit_test(test_names_and_tickets),
    cmocka_unit_test(test_terms),
};

UNIT_MAIN(tests)
