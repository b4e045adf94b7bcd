/* A producer's batch of which some messages are refused, and a broker that fails. */
#include "bide/producer.h"
#include "sqlite_place.h"

enum { N = 5, MAX_BODY = 100, REFUSED = 2 /* its place in the batch */ };

static bide_producer *open_producer(const struct place *place)
{
    const bide_producer_options options = {.max_body = MAX_BODY, .timeout_ms = 50};
    bide_producer *producer;
    bide_error error;
    char url[sizeof place->path + 8];
    snprintf(url, sizeof url, "sqlite:%s", place->path);
    assert_ok(bide_producer_open(url, &options, &producer, &error), &error);
    return producer;
}

/* Sends good messages and, among them, one that is too large. */
static bide_code send_batch(bide_producer *producer, bide_sent results[N], bide_error *error)
{
    static const char body[MAX_BODY + 1];
    bide_message *messages[N];
    for (size_t i = 0; i < N; i++) {
        assert_ok(bide_message_create("job", &messages[i], error), error);
        assert_ok(bide_message_set_body(messages[i], body, i == REFUSED ? MAX_BODY + 1 : 1, error), error);
    }
    bide_code code = bide_producer_send_many(producer, messages, N, results, error);
    for (size_t i = 0; i < N; i++)
        bide_message_destroy(messages[i]);
    return code;
}

static void test_neighbours_are_sent(void **state)
{
    struct place *place = *state;
    bide_producer *producer = open_producer(place);
    bide_sent results[N];
    bide_error error;
    assert_int_equal(send_batch(producer, results, &error), BIDE_E_DATA);
    assert_non_null(strstr(error.text, "101 bytes"));
    for (size_t i = 0; i < N; i++)
        assert_int_equal(results[i], i == REFUSED ? BIDE_SENT_REFUSED : BIDE_SENT_OK);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message"), N - 1);
    bide_producer_close(producer);
}

/* "Refused" would say that the others were sent. */
static void test_failure_before_refusal(void **state)
{
    struct place *place = *state;
    bide_producer *producer = open_producer(place);
    bide_sent results[N];
    bide_error error;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(send_batch(producer, results, &error), BIDE_E_TIMEOUT);
    assert_non_null(strstr(error.text, "locked"));
    for (size_t i = 0; i < N; i++)
        assert_int_not_equal(results[i], BIDE_SENT_OK);
    sqlite3_close(db);
    bide_producer_close(producer);
}

/* Of messages with one key the first is sent; of those of a second batch none is. (AddressSanitizer watches.)
 */
static void test_unique_keys(void **state)
{
    struct place *place = *state;
    static const char *const keys[N] = {"a", "", "a", "b", "b"};
    static const bide_sent wanted[2][N] = {
        {BIDE_SENT_OK, BIDE_SENT_OK, BIDE_SENT_DUPLICATE, BIDE_SENT_OK, BIDE_SENT_DUPLICATE},
        {BIDE_SENT_DUPLICATE, BIDE_SENT_OK, BIDE_SENT_DUPLICATE, BIDE_SENT_DUPLICATE, BIDE_SENT_DUPLICATE},
    };
    const bide_producer_options options = {0};
    bide_producer *producer;
    bide_error error;
    char url[sizeof place->path + 8];
    snprintf(url, sizeof url, "sqlite:%s", place->path);
    assert_ok(bide_producer_open_with_store(url, NULL, &options, &producer, &error), &error);
    for (int batch = 0; batch < 2; batch++) {
        bide_message *messages[N];
        bide_sent results[N];
        for (size_t i = 0; i < N; i++) {
            assert_ok(bide_message_create("job", &messages[i], &error), &error);
            if (*keys[i])
                assert_ok(bide_message_set_unique(messages[i], keys[i], &error), &error);
        }
        assert_ok(bide_producer_send_many(producer, messages, N, results, &error), &error);
        assert_memory_equal(results, wanted[batch], sizeof results);
        for (size_t i = 0; i < N; i++)
            bide_message_destroy(messages[i]);
    }
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message"), 4);
    bide_producer_close(producer);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
static const struct CMUnitTest tests[] = {
    CASE(test_neighbours_are_sent),
    CASE(test_failure_before_refusal),
    CASE(test_unique_keys),
};

UNIT_MAIN(tests)
