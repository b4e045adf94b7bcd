#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sqlite3.h>

#include "broker/broker.h"
#include "contract_store/cases.h"

/* What happens to the file of a SQLite store. */

enum { HALF_HOUR_US = 1800 * 1000 * 1000 };

static void shell(const char *format, const char *path)
{
    char command[800];
    snprintf(command, sizeof command, format, path, path, path);
    assert_int_equal(system(command), 0);
}

/* Runs SQL in the store's file, as somebody else would. */
static void sql(struct fixture *fixture, const char *text)
{
    sqlite3 *db;
    char *complaint = NULL, filled[400];
    snprintf(filled, sizeof filled, text, fixture->name_space);
    assert_int_equal(sqlite3_open(fixture->url.path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, SOON_MS);
    if (sqlite3_exec(db, filled, NULL, NULL, &complaint) != SQLITE_OK)
        fail_msg("%s: %s", filled, complaint);
    sqlite3_close(db);
}

static bide_code try_to_write(struct fixture *fixture, const char *key, bide_error *error)
{
    struct bide_store_operation operation = turn(key, 1, 1, "x");
    struct bide_store_letter letter = {.operations = &operation, .n = 1};
    bide_code code = bide_store_apply(fixture->store, &letter, 1, error);
    assert_int_equal(letter.code, code);
    letter_forget(&operation, 1);
    return code;
}

static void write_and_read(struct fixture *fixture, const char *key)
{
    assert_true(apply(fixture->store, turn(key, 1, 1, "x"))->changed);
    assert_fact(fixture->store, key, 1, "x");
}

static void an_older_file_is_restored(void **state)
{
    struct fixture *fixture = *state;
    write_and_read(fixture, "a");
    shell("sqlite3 '%s' \"VACUUM INTO '%s-copy'\"", fixture->url.path);
    write_and_read(fixture, "b");
    shell("rm -f '%1$s-wal' '%1$s-shm' && mv '%1$s-copy' '%1$s'", fixture->url.path);
    assert_fact(fixture->store, "a", 1, "x");
    assert_fact(fixture->store, "b", 0, NULL);
    write_and_read(fixture, "b");
    assert_fact(fixture_other(fixture), "b", 1, "x");
}

static void show_none(void *user, const struct bide_store_fact *fact)
{
    (void)user;
    (void)fact;
}

/* Who looks at the restored file first must not be left with a file that only looks. */
static void an_older_file_is_restored_and_scanned(void **state)
{
    struct fixture *fixture = *state;
    struct bide_store_cursor cursor = {0};
    bide_error error;
    write_and_read(fixture, "a");
    shell("sqlite3 '%s' \"VACUUM INTO '%s-copy'\"", fixture->url.path);
    shell("rm -f '%1$s-wal' '%1$s-shm' && mv '%1$s-copy' '%1$s'", fixture->url.path);
    assert_ok(bide_store_scan(fixture->store, "scope", "", 20, &cursor, show_none, NULL, &error), &error);
    assert_true(apply(fixture->store, acquire("k", "a", 1))->ok);
}

static void the_file_is_removed(void **state)
{
    struct fixture *fixture = *state;
    write_and_read(fixture, "a");
    assert_true(apply(fixture->store, acquire("k", "a", 1))->ok);
    shell("rm -f '%1$s' '%1$s-wal' '%1$s-shm' '%1$s-lock'", fixture->url.path);
    assert_fact(fixture->store, "a", 0, NULL);
    write_and_read(fixture, "a");
    assert_true(apply(fixture->store, acquire("k", "a", 1))->changed);
}

/* The holder's lock was in the file that is gone: it must not look dead for that. */
static void the_side_file_is_removed(void **state)
{
    struct fixture *fixture = *state;
    assert_true(apply(fixture->store, acquire("k", "a", 1))->ok);
    apply(fixture_other(fixture), get("a"));
    shell("rm -f '%s-lock'", fixture->url.path);
    assert_true(apply(fixture->store, acquire("k", "a", 1))->ok);
    assert_false(apply(fixture->other, acquire("k", "b", 1))->ok);
    assert_true(apply(fixture->store, release("k", "a"))->changed);
}

static void a_newer_version_is_refused(void **state)
{
    struct fixture *fixture = *state;
    bide_error error;
    write_and_read(fixture, "a");
    sql(fixture, "UPDATE \"%s_store_version\" SET version = 99");
    bide_store_destroy(fixture->store);
    assert_ok(bide_store_open(&fixture->options, &fixture->store, &error), &error);
    assert_int_equal(try_to_write(fixture, "b", &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "version 99"));
    sql(fixture, "UPDATE \"%s_store_version\" SET version = 1");
    write_and_read(fixture, "b");
}

static void another_program_locks_the_file(void **state)
{
    struct fixture *fixture = *state;
    sqlite3 *db;
    bide_error error;
    write_and_read(fixture, "a");
    assert_int_equal(sqlite3_open(fixture->url.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    bide_store_destroy(fixture->store);
    fixture->options.timeout_ms = 200;
    assert_ok(bide_store_open(&fixture->options, &fixture->store, &error), &error);
    assert_int_equal(try_to_write(fixture, "b", &error), BIDE_E_TIMEOUT);
    assert_fact(fixture->store, "a", 1, "x"); /* reading does not wait for writers */
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    write_and_read(fixture, "b");
}

static void there_is_no_room(void **state)
{
    struct fixture *fixture = *state;
    static char bytes[BIDE_STORE_DATA_MAX];
    struct rlimit before, small;
    bide_error error;
    write_and_read(fixture, "a");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 512 * 1024;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct bide_store_operation operation = turn("b", 1, 1, "");
    operation.turn.data = (struct bide_slice){bytes, sizeof bytes};
    struct bide_store_letter letter = {.operations = &operation, .n = 1};
    bide_code code = bide_store_apply(fixture->store, &letter, 1, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(code, BIDE_E_BROKER);
    assert_non_null(strstr(error.text, "no room"));
    assert_fact(fixture->store, "b", 0, NULL);
    write_and_read(fixture, "c");
}

/* A broker in the same file has its own tables and its own version, whoever made the file. */
static void lives_beside_a_broker(void **state)
{
    struct fixture *fixture = *state;
    const struct bide_adapter *adapter;
    const char *queue = "default";
    struct bide_broker_options options = {.url = &fixture->url,
        .name_space = fixture->name_space,
        .queues = &queue,
        .n_queues = 1,
        .timeout_ms = SOON_MS,
        .max_body = 1000,
        .clock = bide_clock_system()};
    struct bide_message *message = NULL;
    struct bide_sender *sender = NULL;
    enum bide_sent result = BIDE_SENT_UNKNOWN;
    bide_error error;
    write_and_read(fixture, "a");
    assert_ok(bide_adapter_find(&fixture->url, &adapter, &error), &error);
    assert_ok(adapter->open_sender(&options, &sender, &error), &error);
    assert_ok(bide_message_create("job", &message, &error), &error);
    assert_ok(bide_message_stamp(message, "default", bide_clock_system(), &error), &error);
    for (int i = 0; i < 20; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        assert_ok(bide_sender_send(sender, &message, 1, &result, &error), &error);
        write_and_read(fixture, key);
    }
    bide_message_destroy(message);
    bide_sender_destroy(sender);
    assert_fact(fixture_other(fixture), "k19", 1, "x");
}

/* What a person may have done to the tables: nothing that is read is believed. */
static void rows_are_spoilt_by_hand(void **state)
{
    struct fixture *fixture = *state;
    write_and_read(fixture, "a");
    apply(fixture->store, meter("rate", 1, HALF_HOUR_US, 0));
    apply(fixture->store, arrive("set", 1, 3));
    sql(fixture, "UPDATE \"%s_store_fact\" SET state = -7, data = NULL WHERE key = 'a'");
    sql(fixture, "UPDATE \"%s_store_fact\" SET data = zeroblob(5000) WHERE key = 'rate'");
    sql(fixture, "UPDATE \"%s_store_tally\" SET bits = zeroblob(5000), members = -5, total = 'x'");
    assert_true(apply(fixture->store, get("a"))->state < BIDE_STORE_STATES);
    assert_true(apply(fixture->store, meter("rate", 1, HALF_HOUR_US, 0))->ok);
    assert_true(apply(fixture->store, arrive("set", 1, 3))->changed);
    assert_true(apply(fixture->store, turn("a", BIDE_STORE_ANY, 2, "y"))->changed);
    assert_fact(fixture->store, "a", 2, "y");
}

static int64_t rows_of(struct fixture *fixture, const char *table)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    char text[128];
    snprintf(text, sizeof text, "SELECT count(*) FROM \"%s_store_%s\"", fixture->name_space, table);
    assert_int_equal(sqlite3_open(fixture->url.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return n;
}

/* Nothing grows for ever: what has lapsed is deleted, also in scopes that nobody asks for again. */
static void what_has_lapsed_is_deleted(void **state)
{
    struct fixture *fixture = *state;
    char key[16];
    int64_t wait_ms;
    bide_error error;
    apply(fixture->store, in_scope(close_scope(BRIEF_MS), "flow"));
    for (int i = 0; i < 1200; i++) {
        snprintf(key, sizeof key, "k%d", i);
        apply(fixture->store, lasting(turn(key, 1, 1, "x"), BRIEF_MS));
        if (i % 10 == 0) {
            apply(fixture->store, in_scope(lasting(turn(key, 1, 1, "x"), 0), "flow"));
            apply(fixture->store, in_scope(lasting(arrive(key, 1, 0), 0), "flow"));
        }
    }
    struct deadline deadline = deadline_in_ms(SOON_MS);
    while (rows_of(fixture, "fact") + rows_of(fixture, "tally") + rows_of(fixture, "scope") > 0 &&
           !deadline_passed(&deadline)) {
        assert_ok(bide_store_tend(fixture->store, &wait_ms, &error), &error);
        deadline_nap(&deadline);
    }
    assert_int_equal(rows_of(fixture, "fact"), 0);
    assert_int_equal(rows_of(fixture, "tally"), 0);
    assert_int_equal(rows_of(fixture, "scope"), 0);
}

static const struct CMUnitTest cases[] = {
    CASE("fault/an-older-file-is-restored", an_older_file_is_restored),
    CASE("fault/an-older-file-is-restored-and-scanned", an_older_file_is_restored_and_scanned),
    CASE("fault/the-file-is-removed", the_file_is_removed),
    CASE("fault/the-side-file-is-removed", the_side_file_is_removed),
    CASE("fault/a-newer-version-is-refused", a_newer_version_is_refused),
    CASE("fault/another-program-locks-the-file", another_program_locks_the_file),
    CASE("fault/there-is-no-room", there_is_no_room),
    CASE("fault/lives-beside-a-broker", lives_beside_a_broker),
    CASE("fault/rows-are-spoilt-by-hand", rows_are_spoilt_by_hand),
    CASE("lapse/what-has-lapsed-is-deleted", what_has_lapsed_is_deleted),
};
CASE_GROUP(sqlite_fault_cases, cases);
