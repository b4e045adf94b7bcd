/* The SQLite adapter's dead letters and exports while others work on the same file: SQLite gives the number
 * of the newest row again once that is gone, and only what was chosen may be touched. */
#include "sqlite_place.h"

enum { LETTERS = 300 /* more than one transaction treats */ };

#define LETTER_COLUMNS "bide_dead(id, type, queue, reason, attempts, died_ms)"

static void bury(const struct place *place)
{
    char sql[512];
    bide_sender_destroy(open_sender(place)); /* makes the tables */
    snprintf(sql, sizeof sql,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
        "INSERT INTO " LETTER_COLUMNS " SELECT 'old' || i, 'job', 'default', 'rejected', 1, i FROM n",
        (int)LETTERS);
    meddle(place, sql);
}

/* The newest letter is gone, and another one has its number. */
static void replace_newest(const struct place *place)
{
    meddle(place, "BEGIN IMMEDIATE; DELETE FROM bide_dead WHERE seq = (SELECT max(seq) FROM bide_dead);"
                  "INSERT INTO " LETTER_COLUMNS " VALUES('new', 'job', 'default', 'rejected', 1, 999999);"
                  "COMMIT");
}

static bool replace_at_first(void *user, uint64_t done, uint64_t total)
{
    assert_int_equal(total, LETTERS);
    if (done < total && ask(user, "SELECT count(*) FROM bide_dead WHERE id = 'new'") == 0)
        replace_newest(user);
    return true;
}

typedef bide_code treat(struct bide_admin *admin, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error);

static void expect_new_left(struct place *place, bool retry)
{
    struct bide_admin *admin;
    bide_error error;
    uint64_t n;
    bury(place);
    assert_ok(bide_sqlite_open_admin(&place->options, &admin, &error), &error);
    treat *work = retry ? admin->ops->dead_retry : admin->ops->dead_drop;
    assert_ok(work(admin, &(struct bide_dead_filter){0}, replace_at_first, place, &n, &error), &error);
    assert_int_equal(n, LETTERS - 1);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_dead WHERE id = 'new'"), 1);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_dead"), 1);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message"), retry ? LETTERS - 1 : 0);
    bide_admin_destroy(admin);
}

static void test_dropped_while_others_die(void **state)
{
    expect_new_left(*state, false);
}

static void test_retried_while_others_die(void **state)
{
    expect_new_left(*state, true);
}

/* ---- export ---- */

struct visit {
    const struct place *place;
    void (*meddle)(const struct place *place);
    size_t visited, new_ones;
};

static bide_code carry_all(void *user, struct bide_export *batch, size_t n, bide_error *error)
{
    struct visit *visit = user;
    (void)error;
    for (size_t i = 0; i < n; i++) {
        visit->new_ones += strcmp(batch[i].message->id, "new") == 0;
        batch[i].carried = true;
    }
    if (visit->visited == 0)
        visit->meddle(visit->place);
    visit->visited += n;
    return BIDE_OK;
}

static void export_all(const struct place *place, void (*meddle_with)(const struct place *place))
{
    struct visit visit = {.place = place, .meddle = meddle_with};
    struct bide_admin *admin;
    bide_error error;
    assert_ok(bide_sqlite_open_admin(&place->options, &admin, &error), &error);
    assert_ok(admin->ops->export_each(admin, NULL, carry_all, &visit, &error), &error);
    assert_int_equal(visit.new_ones, 1); /* carried, before it was deleted */
    bide_admin_destroy(admin);
}

static void test_letters_exported_while_others_die(void **state)
{
    struct place *place = *state;
    bury(place);
    export_all(place, replace_newest);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_dead"), 0);
}

/* The export was taken for dead: somebody ran its message, and a new one has that one's number. */
static void replace_message(const struct place *place)
{
    meddle(place, "BEGIN IMMEDIATE; DELETE FROM bide_claim; DELETE FROM bide_message;"
                  "INSERT INTO bide_message(id, type, queue, due_ms) VALUES('new', 'job', 'default', 1);"
                  "INSERT INTO bide_waiting SELECT queue, due_ms, seq FROM bide_message; COMMIT");
}

static void test_exported_while_taken_for_dead(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    send_ok(sender, "old", 0);
    export_all(place, replace_message);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message"), 0);
    bide_sender_destroy(sender);
}

/* ---- a worker that was taken for dead ---- */

/* Its message was run by another one, and a new message, which it has in hand, has the number. */
static void test_settled_after_taken_for_dead(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_receiver *receiver = open_receiver(place);
    struct bide_receiver_stats stats;
    send_ok(sender, "old", 0);
    struct bide_delivery *old = take_one(receiver, SOON_MS);
    meddle(place, "DELETE FROM bide_worker");
    replace_message(place);
    struct bide_delivery *new = take_one(receiver, SOON_MS);
    assert_string_equal(new->message->id, "new");
    ack(receiver, old);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message WHERE id = 'new'"), 1);
    ack(receiver, new);
    receiver->ops->stats(receiver, &stats);
    assert_int_equal(stats.lost, 1);
    assert_int_equal(stats.settled, 1);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message"), 0);
    bide_receiver_destroy(receiver);
    bide_sender_destroy(sender);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
static const struct CMUnitTest tests[] = {
    CASE(test_dropped_while_others_die),
    CASE(test_retried_while_others_die),
    CASE(test_letters_exported_while_others_die),
    CASE(test_exported_while_taken_for_dead),
    CASE(test_settled_after_taken_for_dead),
};

UNIT_MAIN(tests)
