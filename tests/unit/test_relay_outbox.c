/* An outbox and its relay: what was committed is carried, whatever becomes of the database and of the target.
 */
#include "unit/relay_stage.h"

#define OUTBOX "outbox+sqlite:shop.db"

/* ---- what is carried ---- */

static void only_what_was_committed(void **state)
{
    struct stage *stage = *state;
    static const char *const modes[] = {"PRAGMA journal_mode = DELETE", "PRAGMA journal_mode = WAL"};
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    char id[16];
    for (size_t mode = 0; mode < COUNT_OF(modes); mode++) {
        sql(stage, modes[mode]);
        for (int i = 0; i < 20; i++) {
            snprintf(id, sizeof id, "m%zu-%02d", mode, i);
            sql(stage, "BEGIN");
            put(stage, id, "x");
            sql(stage, i % 5 == 4 ? "ROLLBACK" : "COMMIT");
        }
        go_until(relay, 16 * (mode + 1));
    }
    go_until_rows(relay, stage, 0, "1");
    for (size_t i = 0; i < 32; i++) {
        snprintf(id, sizeof id, "m%zu-%02zu", i / 16, i % 16 + i % 16 / 4); /* without each fifth, in order */
        assert_string_equal(target.seen[i].id, id);
        assert_string_equal(target.seen[i].queue, "slow"); /* its handler's */
    }
    assert_int_equal(atomic_load(&stage->metrics.carried), 32);
    assert_int_equal(atomic_load(&stage->metrics.active), 1);
    assert_int_equal(atomic_load(&stage->metrics.oldest_ms), 0);
    assert_int_equal(bide_relay_destroy(relay), 32);
}

static void all_that_a_row_says(void **state)
{
    struct stage *stage = *state;
    const bide_outbox_message message = {.type = "ping",
        .id = "a",
        .queue = "q",
        .body = "\0b",
        .body_size = 2,
        .content_type = "text/plain",
        .headers = "{\"a\": \"1\"}",
        .delay_ms = 3600 * 1000,
        .expires_after_ms = 1000};
    char made[BIDE_OUTBOX_ID_SIZE] = "?";
    int64_t before_ms = bide_wall_ms(bide_clock_system());
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    assert_int_equal(bide_outbox_sqlite_send(stage->db, &message, made), SQLITE_OK);
    assert_string_equal(made, ""); /* it has one */
    assert_int_equal(
        bide_outbox_sqlite_send(stage->db, &(const bide_outbox_message){.type = "ping"}, made), SQLITE_OK);
    assert_int_equal(strlen(made), 32);
    sql(stage, "INSERT INTO bide_outbox (type, body) VALUES ('ping', 'by hand')");
    sql(stage, "INSERT INTO bide_outbox (type, body) VALUES ('ping', 42)");
    sql(stage, "INSERT INTO bide_outbox (type, queue) VALUES ('ping', '@logs')");
    go_until(relay, 5);
    const struct seen *seen = target.seen;
    assert_string_equal(seen[0].id, "a");
    assert_string_equal(seen[0].queue, "q");
    assert_string_equal(seen[0].header, "1");
    assert_int_equal(seen[0].due_ms, seen[0].sent_ms + 3600 * 1000);
    assert_true(seen[0].sent_ms >= before_ms && seen[0].sent_ms <= bide_wall_ms(bide_clock_system()));
    assert_int_equal(seen[0].attempt, 1);
    assert_string_equal(seen[1].id, made);
    assert_string_equal(seen[1].queue, "default");
    assert_int_equal(seen[1].due_ms, seen[1].sent_ms);
    assert_string_equal(seen[2].body, "by hand");
    assert_int_equal(strlen(seen[2].id), 32);
    assert_string_equal(seen[3].body, "42");
    assert_string_equal(seen[4].queue, "@logs"); /* to a topic */
    bide_relay_destroy(relay);
}

/* A row without a queue goes where `bide send` puts its type: to the topic, where its handler has a
 * subscription. Every other subscription gets it, too. */
static void a_handler_that_is_on_a_topic(void **state)
{
    struct stage *stage = *state;
    bide_config_destroy(stage->config);
    stage->config = load("handlers = ( { type = \"mail\"; plugin = \"p\"; on = \"geo@logs\"; } );");
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    put(stage, "a", "x");
    go_until(relay, 1);
    assert_string_equal(target.seen[0].queue, "@logs");
    bide_relay_destroy(relay);
}

static void text_of_an_utf16_database(void **state)
{
    struct stage *stage = *state;
    sql(stage, "PRAGMA encoding = 'UTF-16'; CREATE TABLE work (n)");
    put(stage, "a", "binary");
    sql(stage, "INSERT INTO bide_outbox (id, type, body) VALUES ('b', 'mail', 'gr\xC3\xBC\xC3\x9F')");
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    go_until(relay, 2);
    assert_string_equal(target.seen[0].body, "binary");
    assert_string_equal(target.seen[1].body, "gr\xC3\xBC\xC3\x9F");
    go_until_rows(relay, stage, 0, "1");
    bide_relay_destroy(relay);
}

/* ---- what is refused ---- */

static const char *const bad_rows[] = {
    "'ping', 'b1', 'q', NULL, '[1]'",
    "'ping', 'b2', 'q', NULL, '{\"a\": 1}'",
    "'ping', 'b3', 'q', NULL, '{\"bide-x\": \"1\"}'",
    "'ping', 'b4', 'q', NULL, 'no JSON'",
    "'ping', 'b5', '9', NULL, NULL",
    "'no type', 'b6', 'q', NULL, NULL",
    "'', 'b7', 'q', NULL, NULL",
    "'ping', '', 'q', NULL, NULL",
    "'ping', 'b9' || char(0) || 'x', 'q', NULL, NULL",
    "'ping', 'b10', 'q', zeroblob(2000), NULL",
    "'ping', 'b11', 'q', printf('%2000d', 1), NULL",
};

static void bad_rows_stay_with_a_reason(void **state)
{
    struct stage *stage = *state;
    char text[300];
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    assert_int_equal(bide_outbox_sqlite_make_table(stage->db), SQLITE_OK);
    for (size_t i = 0; i < COUNT_OF(bad_rows); i++) {
        snprintf(text, sizeof text, "INSERT INTO bide_outbox (type, id, queue, body, headers) VALUES (%s)",
            bad_rows[i]);
        sql(stage, text);
    }
    sql(stage, "INSERT INTO bide_outbox (type, id, due_ms) VALUES ('ping', 'far', 9000000000000000)");
    sql(stage, "INSERT INTO bide_outbox (type, id, expires_ms) VALUES ('ping', 'past', -1)");
    put(stage, "good", "x");
    go_until(relay, 1);
    assert_string_equal(target.seen[0].id, "good");
    go_until_rows(relay, stage, COUNT_OF(bad_rows) + 2, "length(refused) > 5");
    assert_int_equal(rows(stage, "1"), COUNT_OF(bad_rows) + 2);
    assert_int_equal(atomic_load(&stage->metrics.refused), COUNT_OF(bad_rows) + 2);
    sql(stage, "UPDATE bide_outbox SET refused = NULL, queue = 'q' WHERE id = 'b5'"); /* mended */
    go_until(relay, 2);
    assert_string_equal(target.seen[1].id, "b5");
    bide_relay_destroy(relay);
}

static void what_the_target_refuses_blocks_nothing(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    target.refused = "no";
    put(stage, "a", "x");
    put(stage, "b", "no");
    put(stage, "c", "no");
    put(stage, "d", "x");
    go_until(relay, 2);
    go_until_rows(relay, stage, 2, "refused = 'too large for it' AND id IN ('b', 'c')");
    assert_int_equal(rows(stage, "1"), 2);
    bide_relay_destroy(relay);
}

/* ---- a target that fails ---- */

static void a_target_that_is_away(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    char id[16];
    put(stage, "000", "x");
    target.away = 3;
    go(relay, 0);
    assert_int_equal(atomic_load(&stage->metrics.target_away), 1);
    assert_true(atomic_load(&stage->metrics.oldest_ms) > 0);
    for (int i = 1; i < 10; i++) {
        snprintf(id, sizeof id, "%03d", i);
        put(stage, id, "x");
    }
    target.halved = 1;
    go_until(relay, 10);
    for (size_t i = 0; i < 10; i++) {
        snprintf(id, sizeof id, "%03zu", i);
        assert_string_equal(target.seen[i].id, id);
    }
    go_until_rows(relay, stage, 0, "1");
    assert_int_equal(atomic_load(&stage->metrics.target_away), 0);
    bide_relay_destroy(relay);
}

/* What is confirmed of a batch is not sent again; what is not is sent again, with its id. */
static void answers_that_are_lost(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    for (int i = 0; i < 4; i++)
        put(stage, (const char *[]){"a", "b", "c", "d"}[i], "x");
    target.halved = 1;
    go_until(relay, 4);
    go_until_rows(relay, stage, 0, "1");
    put(stage, "e", "x");
    target.lost_answers = 1;
    go_until(relay, 6);
    assert_string_equal(target.seen[4].id, "e");
    assert_string_equal(target.seen[5].id, "e");
    bide_relay_destroy(relay);
}

/* A target that stores and does not answer (an alarm, a line that is cut) gets a batch once, then one message
 * at a time until it answers again. */
static void answers_that_are_lost_for_long(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    char id[16];
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof id, "%03d", i);
        put(stage, id, "x");
    }
    target.lost_answers = 5;
    go_until(relay, 50 + 4 + 50);
    for (size_t i = 50; i < 55; i++)
        assert_string_equal(target.seen[i].id, "000");
    for (size_t i = 55; i < 104; i++) {
        snprintf(id, sizeof id, "%03zu", i - 54);
        assert_string_equal(target.seen[i].id, id); /* in their order */
    }
    go_until_rows(relay, stage, 0, "1");
    assert_int_equal(target.n, 104);
    bide_relay_destroy(relay);
}

/* RabbitMQ with an alarm takes the first message of a connection, and confirms that one alone. */
static void answers_once_and_no_more(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    struct deadline soon = deadline_in_ms(SOON_MS);
    char id[16];
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof id, "%03d", i);
        put(stage, id, "x");
    }
    target.lost_answers = 1;
    go(relay, 0);
    assert_int_equal(target.n, 50);
    target.answered = 1;
    target.lost_answers = 1;
    while (target.calls < 3 && !deadline_passed(&soon))
        go(relay, deadline_left_us(&soon));
    assert_int_equal(target.n, 50 + 1 + 2);
    go_until(relay, 50 + 1 + 2 + 49);
    go_until_rows(relay, stage, 0, "1");
    bide_relay_destroy(relay);
}

/* Why each of them was refused is asked of a target that answers. */
static void away_while_it_refuses(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    char id[16];
    target.refused = "no";
    target.answered = 2; /* the batch, and the first of those that are refused */
    target.away = 100;
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof id, "%03d", i);
        put(stage, id, "no");
    }
    go(relay, 0);
    assert_int_equal(target.calls, 3); /* each may last for the whole timeout */
    assert_int_equal(atomic_load(&stage->metrics.target_away), 1);
    target.away = 0;
    go_until_rows(relay, stage, 50, "refused IS NOT NULL");
    assert_int_equal(target.n, 0);
    bide_relay_destroy(relay);
}

/* ---- sleeping ---- */

/* Nobody writes: it looks once a second. Somebody writes all the time, but no message: once a millisecond. */
static void it_looks_seldom(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, OUTBOX);
    struct bide_wait wait;
    put(stage, "a", "x");
    go_until(relay, 1);
    struct deadline soon = deadline_in_ms(SOON_MS);
    do {
        go(relay, 10000);
        bide_relay_step(relay, &wait);
    } while (wait.timeout_us < 500 * 1000 && !deadline_passed(&soon));
    assert_true(wait.timeout_us >= 500 * 1000);
    assert_int_equal(wait.n_fds, 1);
    sql(stage, "CREATE TABLE work (n)");
    assert_int_equal(poll(wait.fds, wait.n_fds, SOON_MS), 1);
    bide_relay_step(relay, &wait);
    assert_int_equal(wait.n_fds, 0);
    assert_true(wait.timeout_us <= 1000);
    bide_relay_destroy(relay);
}

/* ---- without memory ---- */

static bool read_one(void *user)
{
    struct stage *stage = user;
    struct bide_source *source = NULL;
    const struct bide_source_options options = {
        .config = stage->config, .url = OUTBOX, .clock = bide_clock_system(), .timeout_ms = SOON_MS};
    struct bide_taken items[2];
    size_t n = 0;
    bool mine = false, done = false;
    bide_error error = {0};
    bide_code code = bide_source_create(&options, &source, &error);
    if (code == BIDE_OK)
        code = source->ops->claim(source, &mine, &error);
    if (code == BIDE_OK)
        code = source->ops->take(source, items, 2, &n, &error);
    if (code == BIDE_OK) {
        done = n == 2 && items[0].message && items[1].why;
        n = n < 2 ? n : 2;
    } else {
        assert_int_equal(code, BIDE_E_NOMEM);
    }
    if (source)
        source->ops->destroy(source, items, n);
    return done;
}

static void no_memory(void **state)
{
    struct stage *stage = *state;
    assert_int_equal(bide_outbox_sqlite_make_table(stage->db), SQLITE_OK);
    sql(stage, "INSERT INTO bide_outbox (type, id, headers) VALUES ('mail', 'a', '{\"a\": \"b\"}')");
    sql(stage, "INSERT INTO bide_outbox (type, id, queue) VALUES ('mail', 'b', '9')");
    assert_true(fail_each_allocation(read_one, stage) > 3);
}

/* ---- URLs ---- */

static void urls_that_are_none(void **state)
{
    struct stage *stage = *state;
    static const char *const urls[] = {
        "outbox+sqlite:", "outbox+sqlite://host/x.db", "outbox+sqlite:x.db?a=1", "outbox:x", "memory:x"};
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        struct bide_source *source = NULL;
        const struct bide_source_options options = {
            .config = stage->config, .url = urls[i], .clock = bide_clock_system()};
        assert_int_equal(bide_source_create(&options, &source, NULL), BIDE_E_CONFIG);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, raise_stage, strike_stage)

static const struct CMUnitTest tests[] = {
    CASE(only_what_was_committed),
    CASE(all_that_a_row_says),
    CASE(a_handler_that_is_on_a_topic),
    CASE(text_of_an_utf16_database),
    CASE(bad_rows_stay_with_a_reason),
    CASE(what_the_target_refuses_blocks_nothing),
    CASE(a_target_that_is_away),
    CASE(answers_that_are_lost),
    CASE(answers_that_are_lost_for_long),
    CASE(answers_once_and_no_more),
    CASE(away_while_it_refuses),
    CASE(it_looks_seldom),
    CASE(no_memory),
    CASE(urls_that_are_none),
};

UNIT_MAIN(tests)
