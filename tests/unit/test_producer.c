/* A producer's batch of which some messages are refused, and a broker that fails. */
#include "bide/producer.h"
#include "producer/inside.h"
#include "sqlite_place.h"
#include "support/fake_clock.h"

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

/* ---- time: a store and a broker that take all of it ---- */

/* A store or a sender in front of the real one. */
struct slow {
    union {
        struct bide_store store;
        struct bide_sender sender;
    };
    void *real;
    struct fake_clock *clock;
    size_t answers; /* so many of the next calls are answered; a broker takes the call, but does not say so */
    size_t calls;
};

static bide_code slow_apply(
    struct bide_store *base, struct bide_store_letter *letters, size_t n, bide_error *error)
{
    struct slow *slow = (struct slow *)base;
    if (slow->calls++ < slow->answers)
        return bide_store_apply(slow->real, letters, n, error);
    fake_clock_advance_us(slow->clock, base->timeout_us);
    return bide_fail(error, BIDE_E_TIMEOUT, "the store is slow");
}

static bide_code slow_send(struct bide_sender *base, struct bide_message *const *messages, size_t n,
    enum bide_sent *results, bide_error *error)
{
    struct slow *slow = (struct slow *)base;
    slow->calls++;
    assert_ok(bide_sender_send(slow->real, messages, n, results, error), error);
    fake_clock_advance_us(slow->clock, base->timeout_us);
    return bide_fail(error, BIDE_E_TIMEOUT, "the broker is slow");
}

enum { TIMEOUT_MS = 10 * 1000 };

/* Sends a message with a key where the store answers so often; then again, where all is well. Returns how
 * long the first call took. */
static int64_t send_slowly(struct place *place, size_t answers, bide_sent *ret_again)
{
    const struct bide_store_ops store_ops = {.apply = slow_apply};
    const struct bide_sender_ops sender_ops = {.send = slow_send};
    const bide_producer_options options = {.timeout_ms = TIMEOUT_MS};
    struct fake_clock clock;
    bide_producer *producer;
    bide_message *message;
    bide_error error;
    fake_clock_init(&clock, bide_wall_ms(bide_clock_system()));
    assert_ok(bide_producer_open(place->url.redacted, &options, &producer, &error), &error);
    assert_ok(bide_message_create("job", &message, &error), &error);
    assert_ok(bide_message_set_unique(message, "key", &error), &error);
    struct slow store = {.store = {&store_ops, producer->store->timeout_us}, .answers = answers};
    struct slow sender = {.sender = {&sender_ops, producer->sender->timeout_us}};
    store.clock = sender.clock = &clock;
    store.real = producer->store;
    sender.real = producer->sender;
    producer->clock = &clock.clock;
    producer->store = &store.store;
    producer->sender = &sender.sender;
    int64_t begin_ms = bide_mono_ms(&clock.clock);
    assert_int_equal(bide_producer_send(producer, message, &error), BIDE_E_TIMEOUT);
    int64_t took_ms = bide_mono_ms(&clock.clock) - begin_ms;
    assert_int_equal(sender.calls, answers ? 1 : 0);
    assert_int_equal(store.store.timeout_us, TIMEOUT_MS * 1000); /* as it was */
    producer->store = store.real;
    producer->sender = sender.real;
    bide_message *const messages[] = {message};
    assert_ok(bide_producer_send_many(producer, messages, 1, ret_again, &error), &error);
    bide_message_destroy(message);
    bide_producer_close(producer);
    return took_ms;
}

/* A call ends within its time also where it asks the store, the broker, and the store once more. */
static void test_unique_within_the_time(void **state)
{
    bide_sent again;
    assert_in_range(send_slowly(*state, 0, &again), 1, TIMEOUT_MS); /* the store hangs */
    assert_int_equal(again, BIDE_SENT_OK);
    assert_int_equal(ask(*state, "SELECT count(*) FROM bide_message"), 1);
    meddle(*state, "DELETE FROM bide_message; DELETE FROM bide_store_fact");
    assert_in_range(send_slowly(*state, 1, &again), 1, TIMEOUT_MS); /* from the confirmation on, all does */
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
static const struct CMUnitTest tests[] = {
    CASE(test_neighbours_are_sent),
    CASE(test_failure_before_refusal),
    CASE(test_unique_keys),
    CASE(test_unique_within_the_time),
};

UNIT_MAIN(tests)
