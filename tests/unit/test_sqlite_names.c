/* The SQLite adapter and the names of its files: links, and a lock file that goes away. Whoever uses one
 * database must meet the others in one lock file. */
#include <pthread.h>
#include <sys/stat.h>

#include "broker/sqlite/lock.h"
#include "sqlite_place.h"

enum { MESSAGES = 4, NOTHING_MS = 100 };

/* Options with another path to a database; `place` and `url` must live on. */
static struct place at_name(const struct place *place, const char *name)
{
    struct place other = *place;
    char text[TEMP_DIR_PATH + 64];
    bide_error error;
    snprintf(other.path, sizeof other.path, "%s/%s", place->dir.path, name);
    snprintf(text, sizeof text, "sqlite:%s", other.path);
    assert_ok(bide_url_parse(text, &other.url, &error), &error);
    return other;
}

static struct bide_receiver *receiver_at(struct place *place)
{
    place->options.url = &place->url;
    return open_receiver(place);
}

static void send_some(const struct place *place)
{
    struct bide_sender *sender = open_sender(place);
    char id[16];
    for (int i = 0; i < MESSAGES; i++) {
        snprintf(id, sizeof id, "m%d", i);
        send_ok(sender, id, 0);
    }
    bide_sender_destroy(sender);
}

static void ack_all(struct bide_receiver *receiver, struct bide_delivery **deliveries, size_t n)
{
    struct bide_receiver_stats stats;
    for (size_t i = 0; i < n; i++)
        settle(receiver, (struct bide_settlement){.delivery = deliveries[i], .verdict = BIDE_VERDICT_ACK});
    flush(receiver);
    receiver->ops->stats(receiver, &stats);
    assert_int_equal(stats.settled, n);
    assert_int_equal(stats.lost, 0);
}

/* ---- links ---- */

/* A second worker that comes by a symbolic link sees that the first one lives. */
static void test_symbolic_link(void **state)
{
    struct place *place = *state, link = at_name(place, "link.db");
    struct bide_delivery *deliveries[BATCH], *none[BATCH];
    send_some(place);
    assert_int_equal(symlink("bide.db", link.path), 0);
    struct bide_receiver *one = open_receiver(place);
    assert_int_equal(take(one, deliveries, MESSAGES, SOON_MS), MESSAGES);
    struct bide_receiver *other = receiver_at(&link);
    assert_int_equal(take(other, none, BATCH, NOTHING_MS), 0);
    ack_all(one, deliveries, MESSAGES);
    bide_receiver_destroy(other);
    bide_receiver_destroy(one);
    bide_url_clear(&link.url);
}

/* The lock stands beside the file that a link leads to, also where that is yet to be made. */
static void test_link_to_nothing(void **state)
{
    struct place *place = *state, link = at_name(place, "link.db");
    char path[TEMP_DIR_PATH + 64];
    assert_int_equal(symlink("bide.db", link.path), 0);
    link.options.url = &link.url;
    send_some(&link);
    snprintf(path, sizeof path, "%s-lock", place->path);
    assert_int_equal(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s-lock", link.path);
    assert_int_not_equal(access(path, F_OK), 0);
    bide_url_clear(&link.url);
}

/* A worker follows a link that leads to another file now, as senders do. */
static void test_link_led_elsewhere(void **state)
{
    struct place *place = *state, link = at_name(place, "link.db");
    assert_int_equal(symlink("bide.db", link.path), 0);
    struct bide_receiver *receiver = receiver_at(&link);
    assert_int_equal(unlink(link.path), 0);
    assert_int_equal(symlink("new.db", link.path), 0);
    struct bide_sender *sender = open_sender(&link);
    send_ok(sender, "new", 0);
    ack(receiver, take_one(receiver, SOON_MS));
    bide_receiver_destroy(receiver);
    bide_sender_destroy(sender);
    bide_url_clear(&link.url);
}

static void expect_refusal(const struct place *place)
{
    struct bide_sender *sender;
    struct bide_receiver *receiver;
    bide_error error;
    assert_int_equal(bide_sqlite_open_sender(&place->options, &sender, &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "hard links"));
    assert_int_equal(bide_sqlite_open_receiver(&place->options, &receiver, &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "hard links"));
}

static void note_error(void *user, const struct bide_finding *finding)
{
    *(bool *)user |= finding->severity == BIDE_FINDING_ERROR && strstr(finding->text, "hard links");
}

/* Each name of a file has its own log: what is stored by one is not seen, and overwritten, by the other. */
static void test_hard_link(void **state)
{
    struct place *place = *state, second = at_name(place, "second.db");
    struct bide_admin *admin;
    struct bide_delivery *deliveries[BATCH];
    bide_error error;
    bool found = false;
    second.options.url = &second.url;
    send_some(place);
    assert_int_equal(link(place->path, second.path), 0);
    expect_refusal(place);
    expect_refusal(&second);
    assert_ok(bide_sqlite_open_admin(&place->options, &admin, &error), &error);
    assert_ok(admin->ops->verify(admin, note_error, &found, &error), &error);
    assert_true(found);
    bide_admin_destroy(admin);
    assert_int_equal(unlink(second.path), 0);
    struct bide_receiver *receiver = open_receiver(place);
    assert_int_equal(take(receiver, deliveries, MESSAGES, SOON_MS), MESSAGES);
    ack_all(receiver, deliveries, MESSAGES);
    bide_receiver_destroy(receiver);
    bide_url_clear(&second.url);
}

/* ---- the lock file goes away ---- */

static void test_lock_renamed(void **state)
{
    struct place *place = *state;
    struct bide_delivery *deliveries[BATCH], *none[BATCH];
    char path[TEMP_DIR_PATH + 64], away[TEMP_DIR_PATH + 64];
    send_some(place);
    struct bide_receiver *one = open_receiver(place);
    assert_int_equal(take(one, deliveries, MESSAGES, SOON_MS), MESSAGES);
    snprintf(path, sizeof path, "%s-lock", place->path);
    snprintf(away, sizeof away, "%s-away", place->path);
    assert_int_equal(rename(path, away), 0);
    struct bide_receiver *other = open_receiver(place);
    assert_int_equal(take(other, none, BATCH, NOTHING_MS), 0); /* the first had no chance to notice yet */
    ack_all(one, deliveries, MESSAGES);
    assert_int_equal(take(other, none, BATCH, NOTHING_MS), 0);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_worker"), 2);
    bide_receiver_destroy(other);
    bide_receiver_destroy(one);
}

/* Somebody removed the lock file, the first worker was taken for dead, and the second one has its number. */
static void test_number_taken(void **state)
{
    struct place *place = *state;
    struct bide_delivery *deliveries[BATCH], *none[BATCH];
    char path[TEMP_DIR_PATH + 64];
    send_some(place);
    struct bide_receiver *one = open_receiver(place);
    snprintf(path, sizeof path, "%s-lock", place->path);
    assert_int_equal(unlink(path), 0);
    meddle(place, "DELETE FROM bide_worker");
    struct bide_receiver *other = open_receiver(place);
    assert_int_equal(take(other, deliveries, MESSAGES, SOON_MS), MESSAGES);
    bide_receiver_destroy(one);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_claim"), MESSAGES);
    assert_int_equal(take(other, none, BATCH, NOTHING_MS), 0);
    ack_all(other, deliveries, MESSAGES);
    bide_receiver_destroy(other);
}

struct sending {
    struct bide_sender *sender;
    bide_code code;
    bide_error error;
};

static void *send_in_thread(void *user)
{
    struct sending *sending = user;
    sending->code = send_one(sending->sender, "once", 0, 16, &sending->error);
    return NULL;
}

static bool front_is_held(void *lock)
{
    return bide_sqlite_lock_is_held(lock, BIDE_SQLITE_FRONT);
}

static void await_front(const struct place *place)
{
    struct bide_sqlite_lock lock;
    char path[TEMP_DIR_PATH + 64];
    bide_error error;
    snprintf(path, sizeof path, "%s-lock", place->path);
    assert_ok(bide_sqlite_lock_open_to_look(&lock, path, &error), &error);
    assert_true(wait_until(front_is_held, &lock, SOON_MS));
    bide_sqlite_lock_close(&lock);
}

static void test_lock_removed_in_send(void **state)
{
    struct place *place = *state;
    struct sending sending = {.sender = open_sender(place)};
    char path[TEMP_DIR_PATH + 64];
    pthread_t thread;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(pthread_create(&thread, NULL, send_in_thread, &sending), 0);
    await_front(place);
    snprintf(path, sizeof path, "%s-lock", place->path);
    assert_int_equal(unlink(path), 0);
    sqlite3_close(db);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ok(sending.code, &sending.error);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message"), 1);
    bide_sender_destroy(sending.sender);
}

/* ---- workers without a row, claims without a worker ---- */

static void test_row_removed(void **state)
{
    struct place *place = *state;
    struct bide_delivery *deliveries[BATCH];
    struct bide_receiver *receiver = open_receiver(place);
    meddle(place, "DELETE FROM bide_worker");
    send_some(place);
    assert_int_equal(take(receiver, deliveries, MESSAGES, SOON_MS), MESSAGES);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_worker"), 1);
    ack_all(receiver, deliveries, MESSAGES);
    bide_receiver_destroy(receiver);
}

static void test_claims_without_worker(void **state)
{
    struct place *place = *state;
    struct bide_delivery *deliveries[BATCH];
    send_some(place);
    meddle(place, "INSERT INTO bide_claim SELECT seq, 77 FROM bide_message; DELETE FROM bide_waiting");
    struct bide_receiver *receiver = open_receiver(place);
    assert_int_equal(take(receiver, deliveries, MESSAGES, SOON_MS), MESSAGES);
    ack_all(receiver, deliveries, MESSAGES);
    bide_receiver_destroy(receiver);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
static const struct CMUnitTest tests[] = {
    CASE(test_symbolic_link),
    CASE(test_link_to_nothing),
    CASE(test_link_led_elsewhere),
    CASE(test_hard_link),
    CASE(test_lock_renamed),
    CASE(test_number_taken),
    CASE(test_lock_removed_in_send),
    CASE(test_row_removed),
    CASE(test_claims_without_worker),
};

UNIT_MAIN(tests)
