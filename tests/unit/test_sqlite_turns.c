/* The SQLite adapter and those who keep its file: nobody waits long for a process that was stopped in the
 * line of writers, or for one that reads for long. */
#include "broker/sqlite/lock.h"
#include "sqlite_place.h"

static void test_stopped_in_line(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_sqlite_lock stopped;
    char path[TEMP_DIR_PATH + 64];
    bide_error error;
    snprintf(path, sizeof path, "%s-lock", place->path);
    stopped.fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(bide_sqlite_lock_try(&stopped, BIDE_SQLITE_FRONT));
    for (int i = 0; i < 20; i++)
        send_ok(sender, "m", 0);
    struct bide_receiver *receiver = open_receiver(place);
    ack(receiver, take_one(receiver, SOON_MS));
    bide_receiver_destroy(receiver);
    assert_ok(send_one(sender, "m", 0, 16, &error), &error);
    bide_sqlite_lock_close(&stopped);
    bide_sender_destroy(sender);
}

/* While somebody reads an old state the log cannot begin anew: it grows, but sending goes on. */
static void test_long_reader(void **state)
{
    enum { SENDS = 600, BODY = 65536, LONGEST_MS = 30000 };
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    sqlite3 *db;
    int64_t longest_ms = 0;
    bide_error error;
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "BEGIN; SELECT count(*) FROM bide_message", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < SENDS; i++) {
        int64_t start_ms = bide_mono_ms(bide_clock_system());
        assert_ok(send_one(sender, "m", 0, BODY, &error), &error);
        int64_t took_ms = bide_mono_ms(bide_clock_system()) - start_ms;
        longest_ms = took_ms > longest_ms ? took_ms : longest_ms;
    }
    assert_between(longest_ms, 0, LONGEST_MS);
    sqlite3_close(db);
    bide_sender_destroy(sender);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
static const struct CMUnitTest tests[] = {
    CASE(test_stopped_in_line),
    CASE(test_long_reader),
};

UNIT_MAIN(tests)
