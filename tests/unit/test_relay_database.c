/* The database of an outbox changes, is locked, is no database; and of several relays one has its turn. */
#include <pthread.h>
#include <sys/resource.h>

#include "relay/turn.h"
#include "unit/relay_stage.h"

#define OUTBOX "outbox+sqlite:shop.db"

/* ---- a database that changes ---- */

static void neither_file_nor_table_yet(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    struct bide_source *source = make_source(stage, OUTBOX);
    struct bide_source_depth depth = {9, 9, 9};
    assert_int_equal(unlink("shop.db") == 0 || access("shop.db", F_OK) != 0, 1);
    for (int i = 0; i < 3; i++)
        go(relay, 0);
    assert_int_equal(source->ops->look(source, &depth, NULL), BIDE_OK);
    assert_int_equal(depth.waiting, 0);
    sqlite3_close(stage->db);
    assert_int_equal(sqlite3_open("shop.db", &stage->db), SQLITE_OK);
    sql(stage, "CREATE TABLE work (n)");
    for (int i = 0; i < 3; i++)
        go(relay, 0);
    put(stage, "a", "x");
    put(stage, "b", "x");
    sql(stage, "UPDATE bide_outbox SET sent_ms = sent_ms - 5000");
    assert_int_equal(source->ops->look(source, &depth, NULL), BIDE_OK);
    assert_int_equal(depth.waiting, 2);
    assert_true(depth.oldest_ms >= 5000 && depth.oldest_ms < 5000 + SOON_MS);
    go_until(relay, 2);
    assert_int_equal(atomic_load(&stage->metrics.source_away), 0);
    source->ops->destroy(source, NULL, 0);
    bide_relay_destroy(relay);
}

static void replaced_and_dropped(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    put(stage, "a", "x");
    go_until(relay, 1);
    sqlite3_close(stage->db);
    assert_int_equal(unlink("shop.db"), 0);
    (void)unlink("shop.db-wal");
    assert_int_equal(sqlite3_open("shop.db", &stage->db), SQLITE_OK);
    put(stage, "b", "x");
    go_until(relay, 2);
    go_until_rows(relay, stage, 0, "1");
    sql(stage, "DROP TABLE bide_outbox");
    go(relay, 0);
    put(stage, "c", "x");
    go_until(relay, 3);
    assert_string_equal(target.seen[2].id, "c");
    bide_relay_destroy(relay);
}

/* While the application's transaction has the write lock, nothing can be removed, and nothing is sent twice.
 */
static void a_long_transaction(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    sql(stage, "PRAGMA journal_mode = WAL");
    put(stage, "a", "x");
    sql(stage, "BEGIN IMMEDIATE");
    put(stage, "b", "x");
    go_until(relay, 1);
    for (int i = 0; i < 3; i++)
        go(relay, 1000);
    assert_int_equal(atomic_load(&stage->metrics.source_away), 0); /* nothing to be told of */
    sql(stage, "COMMIT");
    go_until(relay, 2);
    go_until_rows(relay, stage, 0, "1");
    assert_string_equal(target.seen[1].id, "b");
    bide_relay_destroy(relay);
}

/* A relay that is told to end removes what is confirmed, as soon as it can. */
static void *commits_soon(void *base)
{
    struct stage *stage = base;
    poll(NULL, 0, 300);
    sql(stage, "COMMIT");
    return NULL;
}

static void ends_while_the_database_is_locked(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    pthread_t application;
    sql(stage, "PRAGMA journal_mode = WAL");
    put(stage, "a", "x");
    sql(stage, "BEGIN IMMEDIATE");
    go_until(relay, 1);
    assert_int_equal(pthread_create(&application, NULL, commits_soon, stage), 0);
    bide_relay_destroy(relay);
    pthread_join(application, NULL);
    assert_int_equal(rows(stage, "1"), 0);
}

static void no_database_at_all(void **state)
{
    struct stage *stage = *state;
    write_file("no.db",
        "this is a text, not a database, and it is longer than a header of one would be, so that "
        "nobody takes it for one that has only just begun");
    struct bide_relay *relay = make_relay(stage, "outbox+sqlite:no.db");
    go(relay, 0);
    assert_int_equal(atomic_load(&stage->metrics.source_away), 1);
    bide_relay_destroy(relay);
}

/* A path that cannot be followed (a loop here; a folder that this user may not enter) is a failure, and no
 * database that is not there yet. */
static void a_path_that_cannot_be_followed(void **state)
{
    struct stage *stage = *state;
    assert_int_equal(symlink("loop.db", "loop.db"), 0);
    struct bide_relay *relay = make_relay(stage, "outbox+sqlite:loop.db");
    go(relay, 0);
    assert_int_equal(atomic_load(&stage->metrics.source_away), 1);
    bide_relay_destroy(relay);
}

/* A number is given again once its row is deleted: a row that came in its place must not go with it. */
static void a_number_that_is_given_again(void **state)
{
    struct stage *stage = *state;
    struct bide_source *source = make_source(stage, OUTBOX);
    struct bide_taken items[4];
    size_t n = 0;
    bool mine;
    put(stage, "a", "x");
    assert_int_equal(source->ops->claim(source, &mine, NULL), BIDE_OK);
    assert_int_equal(source->ops->take(source, items, 4, &n, NULL), BIDE_OK);
    assert_int_equal(n, 1);
    sql(stage, "DELETE FROM bide_outbox");
    put(stage, "b", "x");
    assert_int_equal(rows(stage, "seq = 1"), 1);
    items[0].end = BIDE_TAKEN_DONE;
    assert_int_equal(source->ops->settle(source, items, 1, NULL), BIDE_OK);
    assert_int_equal(rows(stage, "id = 'b'"), 1);
    source->ops->destroy(source, NULL, 0);
}

/* A migration of the application's own made the table, and its key is not the rows' number. */
static void a_table_of_ones_own(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    sql(stage,
        "CREATE TABLE bide_outbox (seq BIGINT PRIMARY KEY, id VARCHAR(99), type TEXT, queue TEXT, body BLOB, "
        "content_type TEXT, headers TEXT, due_ms BIGINT, expires_ms BIGINT, sent_ms BIGINT, refused TEXT)");
    sql(stage, "INSERT INTO bide_outbox (id, type) VALUES ('a', 'ping'), ('b', 'no type'), ('c', 'ping')");
    go_until(relay, 2);
    go_until_rows(relay, stage, 0, "refused IS NULL");
    assert_int_equal(rows(stage, "id = 'b'"), 1);
    assert_string_equal(target.seen[0].id, "a");
    assert_string_equal(target.seen[1].id, "c");
    assert_int_equal(target.n, 2);
    bide_relay_destroy(relay);
}

/* Messages go into the connection's main database, also where another one with it has such a table. */
static void an_attached_database(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    sql(stage, "ATTACH 'other.db' AS other");
    sql(stage, "CREATE TABLE other.bide_outbox (id)");
    sql(stage, "CREATE TEMP TABLE bide_outbox (id)");
    put(stage, "a", "x");
    go_until(relay, 1);
    bide_relay_destroy(relay);
}

/* Times that an application made up: 292 million years ahead. */
static void a_time_of_sending_that_is_none(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    assert_int_equal(bide_outbox_sqlite_make_table(stage->db), SQLITE_OK);
    sql(stage, "INSERT INTO bide_outbox (type, due_ms, sent_ms) VALUES ('ping', 1, 9223372036854775807)");
    go_until(relay, 1);
    go_until_rows(relay, stage, 0, "1");
    bide_relay_destroy(relay);
}

/* ---- whose turn it is ---- */

static void another_relay_takes_over(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *first = make_relay(stage, OUTBOX), *second;
    put(stage, "a", "x");
    go_until(first, 1);
    assert_int_equal(symlink("shop.db", "link.db"), 0);
    second = make_relay(stage, "outbox+sqlite:link.db");
    put(stage, "b", "x");
    for (int i = 0; i < 20; i++)
        go(second, 1000);
    assert_int_equal(target.n, 1);
    bide_relay_destroy(first);
    struct deadline soon = deadline_in_ms(SOON_MS);
    while (target.n < 2 && !deadline_passed(&soon))
        go(second, deadline_left_us(&soon));
    assert_string_equal(target.seen[1].id, "b");
    bide_relay_destroy(second);
}

static struct bide_source *make_source_of(struct stage *stage, const char *queue)
{
    const struct bide_source_options options = {.config = stage->config,
        .url = OUTBOX,
        .queue = queue,
        .clock = bide_clock_system(),
        .timeout_ms = SOON_MS};
    struct bide_source *source = NULL;
    assert_int_equal(bide_source_create(&options, &source, NULL), BIDE_OK);
    return source;
}

static bool claims(struct bide_source *source)
{
    bool mine = false;
    assert_int_equal(source->ops->claim(source, &mine, NULL), BIDE_OK);
    return mine;
}

/* A relay of all queues and one of a single queue would carry that queue's rows twice. */
static void one_of_a_queue_and_one_of_all(void **state)
{
    struct stage *stage = *state;
    struct bide_source *all = make_source_of(stage, NULL), *mail = make_source_of(stage, "mail"),
                       *same = make_source_of(stage, "mail"), *logs = make_source_of(stage, "logs");
    put(stage, "a", "x");
    assert_true(claims(all));
    assert_false(claims(mail));
    all->ops->destroy(all, NULL, 0);
    assert_true(claims(mail));
    assert_true(claims(logs));
    assert_false(claims(same));
    all = make_source_of(stage, NULL);
    assert_false(claims(all));
    mail->ops->destroy(mail, NULL, 0);
    assert_true(claims(same));
    assert_false(claims(all));
    same->ops->destroy(same, NULL, 0);
    logs->ops->destroy(logs, NULL, 0);
    assert_true(claims(all));
    all->ops->destroy(all, NULL, 0);
}

/* Where there is no inotify any more, the turn is asked for once a second. */
static void a_turn_that_nobody_sees_end(void **state)
{
    struct stage *stage = *state;
    struct bide_turn first, second;
    struct rlimit before, tight;
    struct bide_wait wait;
    bool mine = false;
    put(stage, "a", "x");
    assert_int_equal(bide_turn_init(&first, "shop.db", NULL, NULL), BIDE_OK);
    assert_int_equal(bide_turn_init(&second, "shop.db", NULL, NULL), BIDE_OK);
    assert_int_equal(bide_turn_take(&first, 0, &mine, NULL), BIDE_OK);
    assert_true(mine);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)dup(0) + 1; /* for the lock alone */
    assert_int_equal(close((int)tight.rlim_cur - 1), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(bide_turn_take(&second, 0, &mine, NULL), BIDE_OK);
    bide_turn_wait(&second, &wait);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_false(mine);
    assert_int_equal(wait.n_fds, 0);
    assert_true(wait.timeout_us >= 500 * 1000);
    bide_turn_release(&second);
    bide_turn_release(&first);
}

static void a_lock_file_that_is_removed(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    put(stage, "a", "x");
    go_until(relay, 1);
    assert_int_equal(unlink("shop.db-relay"), 0);
    struct deadline soon = deadline_in_ms(SOON_MS);
    while (access("shop.db-relay", F_OK) != 0 && !deadline_passed(&soon))
        go(relay, 10000);
    assert_int_equal(access("shop.db-relay", F_OK), 0);
    put(stage, "b", "x");
    go_until(relay, 2);
    bide_relay_destroy(relay);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, raise_stage, strike_stage)

static const struct CMUnitTest tests[] = {
    CASE(neither_file_nor_table_yet),
    CASE(replaced_and_dropped),
    CASE(a_long_transaction),
    CASE(ends_while_the_database_is_locked),
    CASE(no_database_at_all),
    CASE(a_path_that_cannot_be_followed),
    CASE(a_number_that_is_given_again),
    CASE(a_table_of_ones_own),
    CASE(an_attached_database),
    CASE(a_time_of_sending_that_is_none),
    CASE(another_relay_takes_over),
    CASE(one_of_a_queue_and_one_of_all),
    CASE(a_turn_that_nobody_sees_end),
    CASE(a_lock_file_that_is_removed),
};

UNIT_MAIN(tests)
