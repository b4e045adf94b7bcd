/* bide/transaction.h: what a producer writes and sends, what repeating and racing do, and who takes over. */
#include "transactions/transaction.h"

#include <pthread.h>

#include "bide/transaction.h"
#include "message/asking.h"
#include "sqlite_place.h"

static bide_producer *open_producer(const struct place *place)
{
    bide_producer *producer;
    bide_error error;
    char url[sizeof place->path + 8];
    snprintf(url, sizeof url, "sqlite:%s", place->path);
    assert_ok(bide_producer_open(url, NULL, &producer, &error), &error);
    return producer;
}

static bide_message *order(const char *id, const char *body)
{
    bide_message *message;
    bide_error error;
    assert_ok(bide_message_create("order", &message, &error), &error);
    if (id)
        assert_ok(bide_message_set_id(message, id, &error), &error);
    assert_ok(bide_message_set_body(message, body, strlen(body), &error), &error);
    assert_ok(bide_message_set_header(message, "customer", "7", &error), &error);
    return message;
}

static bide_code prepare_as(
    bide_producer *producer, const char *id, const char *body, const bide_transaction_options *options)
{
    bide_message *message = order(id, body);
    bide_code code = bide_transaction_prepare(producer, message, options, NULL);
    bide_message_destroy(message);
    return code;
}

static const bide_transaction_options usual = {.check = "order-check"};

static bide_code prepare(bide_producer *producer, const char *id, const char *body)
{
    return prepare_as(producer, id, body, &usual);
}

static void note_state(void *user, const bide_transaction_view *view)
{
    snprintf(user, 32, "%s", view->state);
}

static void expect_state(bide_producer *producer, const char *id, const char *wanted)
{
    char state[32];
    bide_error error;
    assert_ok(bide_transaction_show(producer, id, note_state, state, &error), &error);
    assert_string_equal(state, wanted);
}

static void count_one(void *user, const bide_transaction_view *view)
{
    assert_string_equal(view->type, "order");
    assert_string_equal(view->check, "order-check");
    assert_true(view->left_ms > 0 && view->left_ms <= 60000);
    ++*(int *)user;
}

static int listed(bide_producer *producer)
{
    int n = 0;
    bide_error error;
    assert_ok(bide_transaction_list(producer, count_one, &n, &error), &error);
    return n;
}

#define SENT "SELECT count(*) FROM bide_message WHERE id = 'o'"
#define ASKING "SELECT count(*) FROM bide_message WHERE id = 'transaction:o'"

/* ---- one after the other ---- */

static void test_a_commit_sends(void **state)
{
    struct place *place = *state;
    bide_producer *producer = open_producer(place);
    assert_int_equal(prepare(producer, "o", "{}"), BIDE_OK);
    assert_int_equal(ask(place, ASKING), 1);
    assert_int_equal(ask(place, SENT), 0);
    assert_int_equal(listed(producer), 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(bide_transaction_commit(producer, "o", NULL), BIDE_OK);
        assert_int_equal(ask(place, SENT), 1);
        expect_state(producer, "o", "committed");
    }
    assert_int_equal(listed(producer), 0);
    assert_int_equal(bide_transaction_abort(producer, "o", NULL), BIDE_E_CONFLICT);
    assert_int_equal(prepare(producer, "o", "{}"), BIDE_E_CONFLICT);
    bide_producer_close(producer);
}

static void test_an_abort_drops(void **state)
{
    struct place *place = *state;
    bide_producer *producer = open_producer(place);
    assert_int_equal(prepare(producer, "o", "{}"), BIDE_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(bide_transaction_abort(producer, "o", NULL), BIDE_OK);
    assert_int_equal(bide_transaction_commit(producer, "o", NULL), BIDE_E_CONFLICT);
    assert_int_equal(prepare(producer, "o", "{}"), BIDE_E_CONFLICT);
    expect_state(producer, "o", "aborted");
    assert_int_equal(ask(place, SENT), 0);
    bide_producer_close(producer);
}

/* The answer was lost. */
static void test_preparing_again(void **state)
{
    struct place *place = *state;
    bide_producer *producer = open_producer(place);
    for (int i = 0; i < 2; i++)
        assert_int_equal(prepare(producer, "o", "{}"), BIDE_OK);
    assert_int_equal(prepare(producer, "o", "another"), BIDE_E_CONFLICT);
    assert_int_equal(listed(producer), 1);
    bide_producer_close(producer);
}

static void test_what_nobody_prepared(void **state)
{
    struct place *place = *state;
    bide_producer *producer = open_producer(place);
    char state_text[32], *const longest = bide_calloc(1, 300);
    assert_non_null(longest);
    memset(longest, 'x', BIDE_TRANSACTION_ID_MAX + 1);
    const char *const ids[] = {"nobody", "", longest};
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        assert_int_equal(bide_transaction_commit(producer, ids[i], NULL), BIDE_E_NOT_FOUND);
        assert_int_equal(bide_transaction_abort(producer, ids[i], NULL), BIDE_E_NOT_FOUND);
        assert_int_equal(
            bide_transaction_show(producer, ids[i], note_state, state_text, NULL), BIDE_E_NOT_FOUND);
    }
    bide_free(longest);
    bide_producer_close(producer);
}

static void test_what_is_refused(void **state)
{
    struct place *place = *state;
    bide_producer *producer = open_producer(place);
    bide_error error;
    static const bide_transaction_options bad[] = {{.check = NULL}, {.check = "no type"},
        {.check = "c", .check_queue = "@topic"}, {.check = "c", .deadline_ms = -1},
        {.check = "c", .deadline_ms = BIDE_TRANSACTION_DEADLINE_MAX_MS + 1},
        {.check = "c", .interval_ms = BIDE_TRANSACTION_INTERVAL_MAX_MS + 1}, {.check = "c", .checks = 1001}};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(prepare_as(producer, "o", "", &bad[i]), BIDE_E_DATA);
    bide_message *message = order("o", "");
    assert_int_equal(bide_message_set_unique(message, "key", NULL), BIDE_OK);
    assert_int_equal(bide_transaction_prepare(producer, message, &usual, NULL), BIDE_E_DATA);
    bide_message_destroy(message);
    message = order("o", ""); /* which the store could not keep as it is */
    assert_int_equal(bide_message_set_header(message, "a", "caf\xE9", NULL), BIDE_OK);
    assert_int_equal(bide_transaction_prepare(producer, message, &usual, &error), BIDE_E_DATA);
    assert_non_null(strstr(error.text, "header 'a'"));
    assert_int_equal(bide_message_set_header(message, "a", "caf\xC3\xA9", NULL), BIDE_OK);
    assert_int_equal(bide_message_set_content_type(message, "caf\xE9", NULL), BIDE_OK);
    assert_int_equal(bide_transaction_prepare(producer, message, &usual, NULL), BIDE_E_DATA);
    bide_message_destroy(message);
    char *large = bide_calloc(1, 1 << 20);
    assert_non_null(large);
    memset(large, '\n', (1 << 20) - 1); /* two bytes each, as JSON */
    assert_int_equal(prepare(producer, "o", large), BIDE_E_DATA);
    bide_free(large);
    assert_int_equal(listed(producer), 0);
    bide_producer_close(producer);
}

/* A delay counts from the commit. */
static void test_when_it_is_due(void **state)
{
    struct place *place = *state;
    bide_producer *producer = open_producer(place);
    bide_message *message = order("o", "{}");
    assert_int_equal(bide_message_set_delay_ms(message, 5000, NULL), BIDE_OK);
    assert_int_equal(bide_message_set_expires_after_ms(message, 700, NULL), BIDE_OK);
    assert_int_equal(bide_transaction_prepare(producer, message, &usual, NULL), BIDE_OK);
    bide_message_destroy(message);
    int64_t before_ms = bide_wall_ms(bide_clock_system());
    assert_int_equal(bide_transaction_commit(producer, "o", NULL), BIDE_OK);
    int64_t due_ms = ask(place, "SELECT due_ms FROM bide_message WHERE id = 'o'");
    assert_true(due_ms >= before_ms + 5000 && due_ms <= bide_wall_ms(bide_clock_system()) + 5000);
    assert_int_equal(ask(place, "SELECT expires_ms - due_ms FROM bide_message WHERE id = 'o'"), 700);
    bide_producer_close(producer);
}

/* ---- decided, and not sent ---- */

static struct bide_store *open_store(const struct place *place)
{
    struct bide_store *store;
    const struct bide_store_options options = {.url = &place->url,
        .name_space = "bide",
        .base_dir = "/",
        .client_name = "test",
        .timeout_ms = SOON_MS,
        .clock = bide_clock_system()};
    assert_int_equal(bide_store_open(&options, &store, NULL), BIDE_OK);
    return store;
}

/* As a producer that dies between its decision and the message. */
static void decide(const struct place *place, const char *id, int64_t lease_ms)
{
    char claim[BIDE_TRANSACTION_CLAIM_TEXT];
    struct bide_store *store = open_store(place);
    struct bide_store_operation operations[2];
    struct bide_store_letter letter = {.operations = operations, .n = 2};
    bide_transaction_claim(claim, 1, lease_ms);
    bide_transaction_write_decide(operations, id, BIDE_TRANSACTION_IS_OPEN, claim);
    assert_int_equal(bide_store_apply(store, &letter, 1, NULL), BIDE_OK);
    assert_true(operations[0].answer.ok);
    bide_store_letter_clear(&letter);
    bide_store_destroy(store);
}

static void test_another_sends_when_the_lease_is_over(void **state)
{
    struct place *place = *state;
    bide_producer *producer = open_producer(place);
    assert_int_equal(prepare(producer, "o", "{}"), BIDE_OK);
    int64_t before_ms = bide_mono_ms(bide_clock_system());
    decide(place, "o", 300);
    expect_state(producer, "o", "committing");
    assert_int_equal(bide_transaction_abort(producer, "o", NULL), BIDE_E_CONFLICT);
    assert_int_equal(bide_transaction_commit(producer, "o", NULL), BIDE_OK);
    assert_true(bide_mono_ms(bide_clock_system()) - before_ms >= 290);
    assert_int_equal(ask(place, SENT), 1);
    expect_state(producer, "o", "committed");
    bide_producer_close(producer);
}

/* The broker refuses it: whoever tries next need not wait for a lease. */
static void test_what_could_not_be_sent_is_told_and_may_be_repeated(void **state)
{
    struct place *place = *state;
    bide_producer *producer = open_producer(place);
    bide_error error;
    assert_int_equal(prepare(producer, "o", "{}"), BIDE_OK);
    meddle(place, "CREATE TRIGGER refuse BEFORE INSERT ON bide_message WHEN NEW.id = 'o' "
                  "BEGIN SELECT RAISE(ABORT, 'no'); END");
    bide_code code = bide_transaction_commit(producer, "o", &error);
    assert_int_not_equal(code, BIDE_OK);
    assert_int_equal(bide_transaction_commit(producer, "o", NULL), code); /* without a text, too */
    assert_non_null(strstr(error.text, "is committed, and its message not sent yet"));
    expect_state(producer, "o", "committing");
    meddle(place, "DROP TRIGGER refuse");
    assert_int_equal(bide_transaction_commit(producer, "o", &error), BIDE_OK);
    assert_int_equal(ask(place, SENT), 1);
    bide_producer_close(producer);
}

/* ---- at the same moment ---- */

enum { RACES = 20 };

struct racer {
    pthread_t thread;
    const struct place *place;
    bool commits;
    bide_code codes[RACES];
};

static void *race(void *user)
{
    struct racer *racer = user;
    bide_producer *producer = open_producer(racer->place);
    for (int i = 0; i < RACES; i++) {
        char id[16];
        snprintf(id, sizeof id, "o%d", i);
        racer->codes[i] = racer->commits ? bide_transaction_commit(producer, id, NULL)
                                         : bide_transaction_abort(producer, id, NULL);
    }
    bide_producer_close(producer);
    return NULL;
}

static void test_one_decides(void **state)
{
    struct place *place = *state;
    struct racer racers[] = {{.commits = true}, {.commits = false}, {.commits = true}, {.commits = false}};
    bide_producer *producer = open_producer(place);
    for (int i = 0; i < RACES; i++) {
        char id[16];
        snprintf(id, sizeof id, "o%d", i);
        assert_int_equal(prepare(producer, id, "{}"), BIDE_OK);
    }
    for (size_t i = 0; i < COUNT_OF(racers); i++) {
        racers[i].place = place;
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < COUNT_OF(racers); i++)
        pthread_join(racers[i].thread, NULL);
    int64_t committed = 0;
    for (int i = 0; i < RACES; i++) {
        bool is_committed = racers[0].codes[i] == BIDE_OK;
        committed += is_committed;
        for (size_t k = 0; k < COUNT_OF(racers); k++)
            assert_int_equal(
                racers[k].codes[i], racers[k].commits == is_committed ? BIDE_OK : BIDE_E_CONFLICT);
    }
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message WHERE type = 'order'"), committed);
    bide_producer_close(producer);
}

/* ---- the messages ---- */

static void expect_order(const bide_message *message)
{
    assert_string_equal(message->id, "o");
    assert_string_equal(message->type, "order");
    assert_string_equal(message->queue, "@orders");
    assert_string_equal(message->content_type, "text/plain");
    assert_int_equal(message->body_size, 4);
    assert_memory_equal(message->body, "a\0\xff\n", 4);
    assert_int_equal(message->n_headers, 1);
    assert_string_equal(bide_message_header(message, "customer"), "7");
    assert_int_equal(message->delay_ms, 9);
    assert_int_equal(message->expires_after_ms, 8);
    assert_int_equal(message->attempt, 1);
}

static bide_message *odd_order(void)
{
    bide_message *message = order("o", "");
    assert_int_equal(bide_message_set_queue(message, "@orders", NULL), BIDE_OK);
    assert_int_equal(bide_message_set_content_type(message, "text/plain", NULL), BIDE_OK);
    assert_int_equal(bide_message_set_body(message, "a\0\xff\n", 4, NULL), BIDE_OK);
    assert_int_equal(bide_message_set_delay_ms(message, 9, NULL), BIDE_OK);
    assert_int_equal(bide_message_set_expires_after_ms(message, 8, NULL), BIDE_OK);
    return message;
}

static struct bide_transaction_terms terms_of(const bide_message *message)
{
    return (struct bide_transaction_terms){.type = "order",
        .queue = "@orders",
        .delay_ms = message->delay_ms,
        .expires_after_ms = message->expires_after_ms,
        .check = "order-check",
        .check_queue = "checks",
        .deadline_ms = 1000,
        .interval_ms = 2000,
        .checks = 3};
}

static bool to_asking_and_back(void *user)
{
    const bide_message *message = user;
    const struct bide_transaction_terms terms = terms_of(message);
    bide_message *asking, *again;
    bide_code code = bide_transaction_ask(&terms, message, &asking, NULL);
    if (code == BIDE_OK) {
        assert_string_equal(asking->id, "transaction:o");
        assert_string_equal(asking->type, "order-check");
        assert_string_equal(asking->queue, "checks");
        assert_int_equal(bide_asking_checks(asking), 3);
        assert_string_equal(bide_message_header(asking, BIDE_TRANSACTION_ID), "o");
        assert_string_equal(bide_message_header(asking, BIDE_TRANSACTION_CHECKS), "3");
        assert_int_equal(asking->delay_ms, 1000);
        code = bide_transaction_restore(asking, &again, NULL);
        bide_message_destroy(asking);
    }
    if (code == BIDE_OK) {
        expect_order(again);
        bide_message_destroy(again);
    } else {
        assert_int_equal(code, BIDE_E_NOMEM);
    }
    return code == BIDE_OK;
}

static bool to_record_and_back(void *user)
{
    const bide_message *message = user;
    const struct bide_transaction_terms terms = terms_of(message);
    bide_message *again;
    struct bide_buffer record;
    bide_buffer_init(&record);
    bide_transaction_record(&record, &terms, message);
    bool done = !record.failed && bide_transaction_recall((struct bide_slice){record.bytes, record.size}, "o",
                                      &again, NULL) == BIDE_OK;
    bide_buffer_release(&record);
    if (done) {
        expect_order(again);
        bide_message_destroy(again);
    }
    return done;
}

static void test_a_message_there_and_back(void **state)
{
    (void)state;
    bide_message *message = odd_order();
    assert_true(fail_each_allocation(to_asking_and_back, message) > 2);
    assert_true(fail_each_allocation(to_record_and_back, message) > 10);
    bide_message_destroy(message);
}

static void test_nonsense_is_no_transaction(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "1", "{}", "2 a q 0 0 0 c q 1 1 1\n{\"type\":\"a\"}",
        "1 a b q 0 0 0 c q 1 1 1\n{}", "1 a q -2 0 0 c q 1 1 1\n{}", "1 a q 0 -1 0 c q 1 1 1\n{}",
        "1 a q 0 0 0 c q 1 0 1\n{}", "1 a q 0 0 0 c q 1 1 1 1\n{}", "1 a q 0 0 0 c q 1 1",
        "1 a @ 0 0 0 c q 1 1 1"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct bide_transaction_terms terms;
        bide_message *message;
        const struct bide_slice record = {texts[i], strlen(texts[i])};
        assert_int_equal(bide_transaction_terms_read(texts[i], &terms, NULL), BIDE_E_DATA);
        assert_int_equal(bide_transaction_record_terms(record, &terms, NULL), BIDE_E_DATA);
        assert_int_equal(bide_transaction_recall(record, "o", &message, NULL), BIDE_E_DATA);
    }
    struct bide_transaction_terms terms;
    assert_int_equal(bide_transaction_terms_read(NULL, &terms, NULL), BIDE_E_DATA);
    assert_int_equal(bide_transaction_terms_read("1 a q 0 0 0 c q 1 1 1", &terms, NULL), BIDE_OK);
}

/* ---- without memory ---- */

struct starving {
    const struct place *place;
    int n;
};

/* Whatever fails: repeating it ends well, and sends once. */
static bool decide_starving(void *user)
{
    struct starving *starving = user;
    bide_error error;
    bide_producer *producer;
    char url[sizeof starving->place->path + 8];
    snprintf(url, sizeof url, "sqlite:%s", starving->place->path);
    if (bide_producer_open(url, NULL, &producer, &error) != BIDE_OK)
        return false;
    bide_message *message = NULL;
    bide_code code = bide_message_create("order", &message, &error);
    if (code == BIDE_OK)
        code = bide_message_set_id(message, "o", &error);
    if (code == BIDE_OK && starving->n == 0)
        code = bide_transaction_prepare(producer, message, &usual, &error);
    bide_message_destroy(message);
    if (code == BIDE_OK) {
        starving->n = 1;
        code = bide_transaction_commit(producer, "o", &error);
    }
    bide_producer_close(producer);
    return code == BIDE_OK;
}

static void test_without_memory(void **state)
{
    struct place *place = *state;
    struct starving starving = {.place = place};
    assert_true(fail_each_allocation(decide_starving, &starving) > 10);
    bide_producer *producer = open_producer(place);
    expect_state(producer, "o", "committed");
    assert_int_equal(ask(place, SENT), 1);
    bide_producer_close(producer);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
    CASE(test_a_commit_sends),
    CASE(test_an_abort_drops),
    CASE(test_preparing_again),
    CASE(test_what_nobody_prepared),
    CASE(test_what_is_refused),
    CASE(test_when_it_is_due),
    CASE(test_another_sends_when_the_lease_is_over),
    CASE(test_what_could_not_be_sent_is_told_and_may_be_repeated),
    CASE(test_one_decides),
    cmocka_unit_test(test_a_message_there_and_back),
    cmocka_unit_test(test_nonsense_is_no_transaction),
    CASE(test_without_memory),
};

UNIT_MAIN(tests)
