/* bide/transaction.h: what a commit does while others send: other threads of its producer, other processes.
 */
#include <pthread.h>

#include "bide/transaction.h"
#include "prepared.h"
#include "sqlite_place.h"
#include "transactions/transaction.h"

/* The store is a file of its own, so that the broker can be held up alone. */
static bide_producer *open_producer(const struct place *place, int64_t timeout_ms)
{
    bide_producer *producer;
    bide_error error;
    char url[sizeof place->path + 8], store[sizeof place->path + 16];
    const bide_producer_options options = {.timeout_ms = timeout_ms};
    snprintf(url, sizeof url, "sqlite:%s", place->path);
    snprintf(store, sizeof store, "sqlite:%s-store", place->path);
    assert_ok(bide_producer_open_with_store(url, store, &options, &producer, &error), &error);
    return producer;
}

static void note_state(void *user, const bide_transaction_view *view)
{
    snprintf(user, 32, "%s", view->state);
}

static bool is_in(bide_producer *producer, const char *id, const char *wanted)
{
    char state[32];
    bide_error error;
    assert_ok(bide_transaction_show(producer, id, note_state, state, &error), &error);
    return strcmp(state, wanted) == 0;
}

/* ---- threads ---- */

struct committer {
    pthread_t thread;
    bide_producer *producer;
    const char *id;
    bide_code code;
};

static void *commit(void *user)
{
    struct committer *committer = user;
    committer->code = bide_transaction_commit(committer->producer, committer->id, NULL);
    return NULL;
}

/* While the broker stands still, one has decided and sends; the others wait before they decide. */
static void test_a_thread_that_waits_to_send_has_not_decided(void **state)
{
    struct place *place = *state;
    bide_producer *shared = open_producer(place, SOON_MS), *looker = open_producer(place, SOON_MS);
    struct committer committers[] = {{.id = "o0"}, {.id = "o1"}};
    struct deadline end = deadline_in_ms(SOON_MS);
    sqlite3 *blocker;
    for (size_t i = 0; i < 2; i++)
        prepare(shared, committers[i].id);
    assert_int_equal(sqlite3_open(place->path, &blocker), SQLITE_OK);
    assert_int_equal(sqlite3_exec(blocker, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    for (size_t i = 0; i < 2; i++) {
        committers[i].producer = shared;
        assert_int_equal(pthread_create(&committers[i].thread, NULL, commit, &committers[i]), 0);
    }
    for (int looks = 0, decided = 0; looks<50; looks += decided> 0) {
        decided = is_in(looker, "o0", "committing") + is_in(looker, "o1", "committing");
        assert_true(decided < 2);
        assert_false(deadline_passed(&end));
        poll(NULL, 0, 1);
    }
    assert_int_equal(sqlite3_exec(blocker, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(blocker);
    for (size_t i = 0; i < 2; i++) {
        pthread_join(committers[i].thread, NULL);
        assert_int_equal(committers[i].code, BIDE_OK);
        assert_true(is_in(looker, committers[i].id, "committed"));
    }
    bide_producer_close(shared);
    bide_producer_close(looker);
}

/* ---- other processes ---- */

/* As one that has decided, and stands still. */
static void decide(const struct place *place, const char *id, int64_t lease_ms)
{
    char path[sizeof place->path + 16], claim[BIDE_TRANSACTION_CLAIM_TEXT], sql[256];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s-store", place->path);
    bide_transaction_claim(claim, 1, lease_ms);
    snprintf(sql, sizeof sql,
        "UPDATE bide_store_fact SET state = %d, data = '%s' WHERE key = '%s' AND state = %d AND "
        "length(data) < 24", /* not the prepared message */
        BIDE_TRANSACTION_DECIDED, claim, id, BIDE_TRANSACTION_PREPARED);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_changes(db), 1);
    sqlite3_close(db);
}

/* However long the lease is. */
static void test_a_commit_waits_for_another_only_so_long(void **state)
{
    struct place *place = *state;
    bide_producer *producer = open_producer(place, 100), *patient = open_producer(place, SOON_MS);
    bide_error error;
    prepare(patient, "o");
    decide(place, "o", INT64_C(100) * 24 * 3600 * 1000);
    assert_int_equal(bide_transaction_commit(producer, "o", &error), BIDE_E_TIMEOUT);
    assert_non_null(strstr(error.text, "whether another process has sent its message is not known yet"));
    assert_true(is_in(patient, "o", "committing"));
    bide_producer_close(producer);
    bide_producer_close(patient);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
    CASE(test_a_thread_that_waits_to_send_has_not_decided),
    CASE(test_a_commit_waits_for_another_only_so_long),
};

UNIT_MAIN(tests)
