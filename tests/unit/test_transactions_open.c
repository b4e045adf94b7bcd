/* transactions/census.h: what is counted of transactions, and how old it is. */
#include "transactions/census.h"

#include "bide/transaction.h"
#include "prepared.h"
#include "producer/inside.h"
#include "sqlite_place.h"
#include "transactions/transaction.h"

static bide_producer *open_producer(const struct place *place)
{
    bide_producer *producer;
    bide_error error;
    assert_ok(bide_producer_open(place->url.redacted, NULL, &producer, &error), &error);
    return producer;
}

static struct bide_transaction_census census_of(const struct place *place)
{
    struct bide_config config = {.broker = place->url.redacted, .name_space = "bide", .dir = "/"};
    struct bide_transaction_census census;
    bide_error error;
    assert_ok(bide_transaction_census_take(&config, &census, &error), &error);
    return census;
}

/* Its fact, as if it had been written so long ago. */
static void make_older(const struct place *place, const char *id, int hours)
{
    char text[200];
    snprintf(text, sizeof text, "UPDATE bide_store_fact SET end_ms = end_ms - %d WHERE key = '%s'",
        hours * 3600 * 1000, id);
    meddle(place, text);
}

static void test_open_ones_are_counted(void **state)
{
    struct place *place = *state;
    struct bide_transaction_census census = census_of(place);
    assert_true(bide_transaction_census_is_empty(&census));
    assert_int_not_equal(access(place->path, F_OK), 0); /* whoever counts makes no file, … */
    bide_producer *producer = open_producer(place);
    census = census_of(place);
    assert_int_equal(ask(place, "SELECT count(*) FROM sqlite_master WHERE name = 'bide_store_fact'"),
        0); /* … nor tables */
    static const char *const ids[] = {"prepared", "old", "committed", "aborted", "refused", "asked"};
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        prepare(producer, ids[i]);
    assert_int_equal(bide_transaction_commit(producer, "committed", NULL), BIDE_OK);
    assert_int_equal(bide_transaction_abort(producer, "aborted", NULL), BIDE_OK);
    meddle(place, "CREATE TRIGGER refuse BEFORE INSERT ON bide_message WHEN NEW.id = 'refused' "
                  "BEGIN SELECT RAISE(ABORT, 'no'); END");
    assert_int_not_equal(bide_transaction_commit(producer, "refused", NULL), BIDE_OK);
    struct bide_store_operation operation;
    struct bide_store_letter letter = {.operations = &operation, .n = 1};
    bide_transaction_write_unresolved(&operation, "asked");
    assert_int_equal(bide_store_apply(producer->store, &letter, 1, NULL), BIDE_OK);
    bide_store_letter_clear(&letter);
    make_older(place, "old", 2);
    make_older(place, "refused", 3);
    make_older(place, "asked", 4);
    census = census_of(place);
    const int64_t n[] = {2, 1, 1}, hours[] = {2, 3, 4}, hour_ms = 3600 * 1000;
    for (size_t i = 0; i < BIDE_OPEN_STATES; i++) {
        assert_int_equal(census.n[i], n[i]);
        assert_in_range(census.oldest_ms[i], hours[i] * hour_ms, (hours[i] + 1) * hour_ms);
    }
    bide_producer_close(producer);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_open_ones_are_counted, setup, teardown),
};

UNIT_MAIN(tests)
