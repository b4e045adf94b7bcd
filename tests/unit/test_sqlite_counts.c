/* The SQLite adapter's counters: exact at any time, whatever was done, and not slower for many; and a file of
 * an earlier version. */
#include <time.h>

#include "sqlite_place.h"
#include "support/fake_clock.h"

static struct bide_queue_stats look(const struct place *place)
{
    struct bide_admin *admin;
    struct bide_broker_stats stats;
    bide_error error;
    assert_ok(bide_sqlite_open_admin(&place->options, &admin, &error), &error);
    assert_ok(admin->ops->stats(admin, &stats, &error), &error);
    struct bide_queue_stats row = stats.queues[0];
    bide_broker_stats_clear(&stats);
    bide_admin_destroy(admin);
    return row;
}

static void expect(const struct place *place, int64_t ready, int64_t delayed, int64_t in_flight, int64_t dead)
{
    struct bide_queue_stats row = look(place);
    if (row.ready != ready || row.delayed != delayed || row.in_flight != in_flight || row.dead != dead)
        fail_msg("ready %d, delayed %d, in flight %d, dead %d", (int)row.ready, (int)row.delayed,
            (int)row.in_flight, (int)row.dead);
}

/* What the rows themselves say. */
static void expect_exact(const struct place *place)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM bide_waiting WHERE due_ms <= %lld",
        (long long)bide_wall_ms(place->options.clock));
    int64_t waiting = ask(place, "SELECT count(*) FROM bide_waiting"), ready = ask(place, sql);
    expect(place, ready, waiting - ready, ask(place, "SELECT count(*) FROM bide_claim"),
        ask(place, "SELECT count(*) FROM bide_dead"));
}

/* Many transactions of every kind at random, while the clock goes on and is set back. */
static void test_exact(void **state)
{
    enum { ROUNDS = 400 };
    struct place *place = *state;
    struct fake_clock fake;
    uint64_t random = 11;
    fake_clock_init(&fake, bide_wall_ms(bide_clock_system()));
    struct bide_sender *sender = open_sender(place);
    place->options.clock = &fake.clock;
    struct bide_receiver *receiver = open_receiver(place);
    struct bide_delivery *held[BATCH];
    size_t n = 0;
    for (int round = 0; round < ROUNDS; round++) {
        bide_error error;
        size_t more = 0;
        uint64_t dice = next_random(&random);
        int64_t now_ms = bide_wall_ms(&fake.clock), later_ms = (int64_t)(dice >> 8) % 2000;
        if (dice % 3 == 0)
            send_ok(sender, "m", later_ms % 4 == 0 ? 0 : later_ms);
        else if (dice % 3 == 1 && n < BATCH)
            assert_ok(receiver->ops->receive(receiver, held + n, 1, &more, &error), &error);
        else if (n > 0)
            settle(receiver, (struct bide_settlement){.delivery = held[--n],
                                 .verdict = (enum bide_verdict)(dice / 3 % 4),
                                 .reason = BIDE_REASON_REJECTED,
                                 .attempt = 2,
                                 .due_ms = now_ms + later_ms});
        n += more;
        if (dice % 7 == 0)
            fake_clock_advance_ms(&fake, later_ms / 4);
        if (dice % 41 == 0)
            fake_clock_jump_ms(&fake, -later_ms);
        if (unsettled(receiver) == 0)
            expect_exact(place);
    }
    flush(receiver);
    expect_exact(place);
    forget_all(receiver, held, n);
    bide_receiver_destroy(receiver);
    expect_exact(place);
    bide_sender_destroy(sender);
}

static void test_letters_and_exports(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_receiver *receiver = open_receiver(place);
    struct bide_admin *admin;
    bide_error error;
    uint64_t n;
    for (int i = 0; i < 5; i++) {
        send_ok(sender, "m", 0);
        settle(receiver, (struct bide_settlement){.delivery = take_one(receiver, SOON_MS),
                             .verdict = BIDE_VERDICT_DEAD,
                             .reason = BIDE_REASON_REJECTED,
                             .attempt = 1});
        flush(receiver);
    }
    bide_receiver_destroy(receiver);
    expect(place, 0, 0, 0, 5);
    assert_ok(bide_sqlite_open_admin(&place->options, &admin, &error), &error);
    const struct bide_dead_filter one = {.limit = 1, .reason = BIDE_REASON_REJECTED};
    assert_ok(admin->ops->dead_drop(admin, &one, NULL, NULL, &n, &error), &error);
    expect(place, 0, 0, 0, 4);
    assert_ok(admin->ops->dead_retry(admin, &one, NULL, NULL, &n, &error), &error);
    expect(place, 1, 0, 0, 3);
    bide_admin_destroy(admin);
    bide_sender_destroy(sender);
}

/* Somebody edited the file: the next worker counts anew. */
static void test_edited(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    for (int i = 0; i < 3; i++)
        send_ok(sender, "m", 60 * 1000);
    meddle(place, "DELETE FROM bide_waiting WHERE seq = 2; DELETE FROM bide_message WHERE seq = 2");
    bide_receiver_destroy(open_receiver(place));
    expect(place, 0, 2, 0, 0);
    send_ok(sender, "m", 0);
    expect(place, 1, 2, 0, 0);
    bide_sender_destroy(sender);
}

/* A worker of an older version goes on beside one that has upgraded the file, and counts nothing. */
static void test_older_beside(void **state)
{
    static const char many[] =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
        "INSERT INTO bide_message(seq, id, type, queue, due_ms) "
        "SELECT i, 'm', 'job', 'default', 1 FROM n;"
        "INSERT INTO bide_waiting SELECT queue, due_ms, seq FROM bide_message WHERE seq <= 3000;";
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    meddle(place, many);
    send_ok(sender, "m", 0);
    expect(place, 3001, 0, 0, 0);
    meddle(place, "DELETE FROM bide_waiting WHERE seq <= 3000; DELETE FROM bide_message WHERE seq <= 3000");
    struct bide_receiver *receiver = open_receiver(place);
    expect(place, 1, 0, 0, 0); /* a worker that starts has counted */
    meddle(place, many);
    send_ok(sender, "m", 0);
    ack(receiver, take_one(receiver, SOON_MS));
    meddle(place, "DELETE FROM bide_waiting WHERE seq <= 2990; DELETE FROM bide_message WHERE seq <= 2990");
    struct bide_delivery *rest[BATCH];
    size_t n = take(receiver, rest, 12, SOON_MS);
    expect(place, 0, 0, 12, 0); /* and one that finds the queue empty knows */
    forget_all(receiver, rest, n);
    bide_receiver_destroy(receiver);
    expect(place, 12, 0, 0, 0);
    bide_sender_destroy(sender);
}

/* Rows that the counters know are not counted. */
static int64_t cpu_us_of_a_look(const struct place *place, int rows)
{
    char sql[1024];
    int64_t now_ms = bide_wall_ms(place->options.clock);
    snprintf(sql, sizeof sql,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
        "INSERT INTO bide_waiting SELECT 'default', %lld + (i %% 2) * 3600000, i FROM n;"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
        "INSERT INTO bide_dead(id, type, queue, reason, attempts, died_ms) "
        "SELECT 'd', 'job', 'default', 'rejected', 1, i FROM n;"
        "DELETE FROM bide_count;"
        "INSERT INTO bide_count VALUES('default', %d, %d, %lld, 9223372036854775807, %d)",
        rows, (long long)now_ms, rows, rows, rows / 2, (long long)now_ms, rows);
    meddle(place, sql);
    clock_t before = clock();
    struct bide_queue_stats row = look(place);
    int64_t took_us = (int64_t)(clock() - before) * 1000000 / CLOCKS_PER_SEC;
    assert_int_equal(row.ready, rows / 2);
    assert_int_equal(row.delayed, rows - rows / 2);
    assert_int_equal(row.dead, rows);
    return took_us;
}

static void test_many(void **state)
{
    enum {
        ROWS = 100000,
        LONGEST_US = 100 * 1000 /* counting them takes a few ms each */
    };
    struct place *place = *state;
    bide_sender_destroy(open_sender(place));
    assert_between(cpu_us_of_a_look(place, ROWS), 0, LONGEST_US);
}

/* ---- a file of the version before ---- */

static const char version_1[] =
    "PRAGMA journal_mode = WAL;"
    "CREATE TABLE \"bide_message\"(seq INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, "
    "queue TEXT NOT NULL, due_ms INTEGER NOT NULL, attempt INTEGER NOT NULL DEFAULT 1, sent_ms INTEGER, "
    "expires_ms INTEGER, content_type TEXT, headers TEXT, error TEXT, body BLOB);"
    "CREATE TABLE \"bide_waiting\"(queue TEXT NOT NULL, due_ms INTEGER NOT NULL, "
    "seq INTEGER NOT NULL, PRIMARY KEY(queue, due_ms, seq)) WITHOUT ROWID;"
    "CREATE TABLE \"bide_claim\"(seq INTEGER PRIMARY KEY, worker INTEGER NOT NULL);"
    "CREATE TABLE \"bide_worker\"(number INTEGER PRIMARY KEY, name TEXT NOT NULL, host TEXT NOT NULL, "
    "pid INTEGER NOT NULL, started_ms INTEGER NOT NULL);"
    "CREATE TABLE \"bide_dead\"(seq INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, "
    "queue TEXT NOT NULL, reason TEXT NOT NULL, error TEXT, attempts INTEGER NOT NULL, "
    "died_ms INTEGER NOT NULL, due_ms INTEGER, sent_ms INTEGER, expires_ms INTEGER, content_type TEXT, "
    "headers TEXT, body BLOB);"
    "CREATE INDEX \"bide_dead_id\" ON \"bide_dead\"(id);"
    "CREATE INDEX \"bide_dead_queue\" ON \"bide_dead\"(queue);"
    "PRAGMA user_version = 1; PRAGMA application_id = 1651074149;"
    "INSERT INTO bide_message(seq, id, type, queue, due_ms) VALUES(1, 'at once', 'job', 'default', 1), "
    "(2, 'held', 'job', 'default', 1), (3, 'later', 'job', 'default', 4102444800000);"
    "INSERT INTO bide_waiting VALUES('default', 1, 1), ('default', 4102444800000, 3);"
    "INSERT INTO bide_claim VALUES(2, 1); INSERT INTO bide_worker VALUES(1, 'gone', 'host', 1, 1);"
    "INSERT INTO bide_dead(id, type, queue, reason, attempts, died_ms) "
    "VALUES('dead', 'job', 'default', 'rejected', 1, 5)";

static void test_upgraded_by_looking(void **state)
{
    struct place *place = *state;
    meddle(place, version_1);
    expect(place, 2, 1, 0, 1); /* what the dead worker held is as good as ready */
    assert_int_equal(ask(place, "PRAGMA user_version"), 2);
}

static void test_upgraded_by_working(void **state)
{
    struct place *place = *state;
    struct bide_delivery *deliveries[2];
    struct place other = *place;
    meddle(place, version_1);
    struct bide_receiver *receiver = open_receiver(place);
    assert_int_equal(take(receiver, deliveries, 2, SOON_MS), 2);
    for (int i = 0; i < 2; i++)
        ack(receiver, deliveries[i]);
    expect(place, 0, 1, 0, 1);
    bide_receiver_destroy(receiver);
    /* Another namespace's tables in the same file are made, and brought up to date, by who uses them. */
    other.options.name_space = "other";
    struct bide_sender *sender = open_sender(&other);
    send_ok(sender, "m", 0);
    meddle(place, "DROP TABLE other_count; DROP INDEX other_dead_type");
    expect(&other, 1, 0, 0, 0);
    bide_sender_destroy(sender);
}

/* `bide check` looks, and changes nothing. */
static void note_error(void *user, const struct bide_finding *finding)
{
    *(bool *)user |= finding->severity == BIDE_FINDING_ERROR;
}

static void test_verified_as_it_is(void **state)
{
    struct place *place = *state;
    struct bide_admin *admin;
    bide_error error;
    bool found = false;
    meddle(place, version_1);
    assert_ok(bide_sqlite_open_admin(&place->options, &admin, &error), &error);
    assert_ok(admin->ops->verify(admin, note_error, &found, &error), &error);
    assert_false(found);
    assert_int_equal(ask(place, "PRAGMA user_version"), 1);
    bide_admin_destroy(admin);
}

/* ---- namespaces ---- */

static void test_namespaces(void **state)
{
    struct place *place = *state;
    struct bide_broker_options options = place->options;
    struct bide_sender *sender;
    struct bide_admin *admin;
    struct bide_broker_stats stats;
    bide_error error;
    bide_sender_destroy(open_sender(place));
    options.name_space = "Bide";
    assert_int_equal(bide_sqlite_open_sender(&options, &sender, &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "capital letters"));
    assert_ok(bide_sqlite_open_admin(&options, &admin, &error), &error);
    assert_int_equal(admin->ops->stats(admin, &stats, &error), BIDE_E_CONFIG);
    bide_admin_destroy(admin);
    options.name_space = "sqlite";
    assert_int_equal(bide_sqlite_open_sender(&options, &sender, &error), BIDE_E_CONFIG);
    assert_int_equal(bide_sqlite_open_admin(&options, &admin, &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "SQLite keeps"));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
static const struct CMUnitTest tests[] = {
    CASE(test_exact),
    CASE(test_letters_and_exports),
    CASE(test_edited),
    CASE(test_older_beside),
    CASE(test_many),
    CASE(test_upgraded_by_looking),
    CASE(test_upgraded_by_working),
    CASE(test_verified_as_it_is),
    CASE(test_namespaces),
};

UNIT_MAIN(tests)
