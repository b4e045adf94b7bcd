/* bide/once_sqlite.h: the id and the work are there, or neither. */
#include "bide/once_sqlite.h"
#include "message/message.h"
#include "unit/unit.h"

static sqlite3 *db;
static bide_message *message;

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE work (n)", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(bide_message_create("pay", &message, NULL), BIDE_OK);
    assert_int_equal(bide_message_set_id(message, "1", NULL), BIDE_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bide_message_destroy(message);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return 0;
}

static int64_t rows_of(const char *table)
{
    char sql[64];
    sqlite3_stmt *count;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &count, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(count), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(count, 0);
    sqlite3_finalize(count);
    return n;
}

/* Does the work unless it is done; it ends with this code. */
static bide_code work(bide_code ends)
{
    bool is_done;
    bide_code code = bide_once_sqlite_begin(db, message, &is_done, NULL);
    if (code != BIDE_OK || is_done)
        return code;
    assert_int_equal(bide_once_sqlite_run(db, "INSERT INTO work VALUES (1)", NULL), BIDE_OK);
    return bide_once_sqlite_end(db, ends, NULL);
}

static void test_the_work_is_done_once(void **state)
{
    (void)state;
    assert_int_equal(work(BIDE_E_BROKER), BIDE_E_BROKER);
    assert_int_equal(rows_of("work"), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(work(BIDE_OK), BIDE_OK);
    assert_int_equal(rows_of("work"), 1);
    assert_int_not_equal(sqlite3_get_autocommit(db), 0);
}

/* A batch with one that is done already, and with a copy; the work fails once. */
static void test_a_batch_is_done_once(void **state)
{
    (void)state;
    bide_message *other;
    bool is_done[3];
    assert_int_equal(work(BIDE_OK), BIDE_OK);
    assert_int_equal(bide_message_create("pay", &other, NULL), BIDE_OK);
    assert_int_equal(bide_message_set_id(other, "2", NULL), BIDE_OK);
    const bide_message *batch[] = {message, other, other};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bide_once_sqlite_begin_many(db, batch, 3, is_done, NULL), BIDE_OK);
        assert_true(is_done[0] && is_done[2]);
        assert_int_equal(is_done[1], i == 2);
        assert_int_equal(bide_once_sqlite_end(db, i == 0 ? BIDE_E_BROKER : BIDE_OK, NULL),
            i == 0 ? BIDE_E_BROKER : BIDE_OK);
    }
    assert_int_equal(rows_of("bide_once"), 2);
    bide_message_destroy(other);
}

/* The copies that two subscriptions get of one message. */
static void test_each_subscription_does_the_work(void **state)
{
    (void)state;
    bool is_done[3];
    struct bide_message geo = *message, errors = *message;
    geo.queue = (char[]){"geo@logs"};
    errors.queue = (char[]){"errors@logs"};
    const bide_message *batch[] = {&geo, &errors, &geo};
    assert_int_equal(bide_once_sqlite_begin_many(db, batch, 3, is_done, NULL), BIDE_OK);
    assert_true(!is_done[0] && !is_done[1] && is_done[2]);
    assert_int_equal(bide_once_sqlite_end(db, BIDE_OK, NULL), BIDE_OK);
}

/* As a row that another program wrote may be. Two such messages are not one. */
static void test_a_message_without_an_id_is_refused(void **state)
{
    bide_error error = {0};
    bide_message *nameless;
    bool is_done;
    (void)state;
    assert_int_equal(bide_message_create("pay", &nameless, NULL), BIDE_OK);
    assert_int_equal(bide_once_sqlite_begin(db, nameless, &is_done, &error), BIDE_E_DATA);
    assert_non_null(strstr(error.text, "no id"));
    assert_int_not_equal(sqlite3_get_autocommit(db), 0);
    bide_message_destroy(nameless);
}

static void test_old_ids_are_forgotten(void **state)
{
    (void)state;
    assert_int_equal(bide_once_sqlite_forget(db, 3600, NULL), BIDE_OK); /* a new database, too */
    assert_int_equal(work(BIDE_OK), BIDE_OK);
    assert_int_equal(bide_once_sqlite_forget(db, 3600, NULL), BIDE_OK);
    assert_int_equal(rows_of("bide_once"), 1);
    assert_int_equal(bide_once_sqlite_run(db, "UPDATE bide_once SET at = at - 7200", NULL), BIDE_OK);
    assert_int_equal(bide_once_sqlite_forget(db, 3600, NULL), BIDE_OK);
    assert_int_equal(rows_of("bide_once"), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(test_the_work_is_done_once),
    CASE(test_a_batch_is_done_once),
    CASE(test_each_subscription_does_the_work),
    CASE(test_a_message_without_an_id_is_refused),
    CASE(test_old_ids_are_forgotten),
};

UNIT_MAIN(tests)
