/* A broker as the source of a relay: what its receiver hands out is carried. Here its file is SQLite's. */
#include "broker/adapters.h"
#include "unit/relay_stage.h"

#define FILE_URL "sqlite:spool.db"

static struct bide_broker_options spool_options(struct stage *stage, struct bide_url *url)
{
    if (!url->scheme)
        assert_int_equal(bide_url_parse(FILE_URL, url, NULL), BIDE_OK);
    return (struct bide_broker_options){.url = url,
        .name_space = "bide",
        .base_dir = stage->config->dir,
        .timeout_ms = SOON_MS,
        .max_body = 4096,
        .clock = bide_clock_system()};
}

static void store(struct stage *stage, const char *id, const char *queue, const char *body, int64_t delay_ms)
{
    struct bide_url url = {0};
    const struct bide_broker_options options = spool_options(stage, &url);
    struct bide_sender *sender;
    struct bide_message *message;
    enum bide_sent result = BIDE_SENT_UNKNOWN;
    assert_int_equal(bide_sqlite_adapter.open_sender(&options, &sender, NULL), BIDE_OK);
    assert_int_equal(bide_message_create("ping", &message, NULL), BIDE_OK);
    assert_int_equal(bide_message_set_id(message, id, NULL), BIDE_OK);
    assert_int_equal(bide_message_set_queue(message, queue, NULL), BIDE_OK);
    assert_int_equal(bide_message_set_body(message, body, strlen(body), NULL), BIDE_OK);
    assert_int_equal(bide_message_set_delay_ms(message, delay_ms, NULL), BIDE_OK);
    assert_int_equal(bide_message_stamp(message, "default", bide_clock_system(), NULL), BIDE_OK);
    assert_int_equal(bide_sender_send(sender, &message, 1, &result, NULL), BIDE_OK);
    bide_message_destroy(message);
    bide_sender_destroy(sender);
    bide_url_clear(&url);
}

/* What the file says of all its queues together. */
static struct bide_queue_stats counts(struct stage *stage)
{
    struct bide_url url = {0};
    const struct bide_broker_options options = spool_options(stage, &url);
    struct bide_broker_stats stats = {0};
    struct bide_queue_stats sum = {0};
    struct bide_admin *admin;
    assert_int_equal(bide_sqlite_adapter.open_admin(&options, &admin, NULL), BIDE_OK);
    assert_int_equal(admin->ops->stats(admin, &stats, NULL), BIDE_OK);
    for (size_t i = 0; i < stats.n_queues; i++) {
        sum.ready += stats.queues[i].ready;
        sum.delayed += stats.queues[i].delayed;
        sum.in_flight += stats.queues[i].in_flight;
        sum.dead += stats.queues[i].dead;
    }
    bide_broker_stats_clear(&stats);
    bide_admin_destroy(admin);
    bide_url_clear(&url);
    return sum;
}

static void assert_empty(struct stage *stage, int64_t dead)
{
    struct bide_queue_stats sum = counts(stage);
    assert_int_equal(sum.ready + sum.delayed + sum.in_flight, 0);
    assert_int_equal(sum.dead, dead);
}

/* Those that are due in an hour go at once, and keep their due time: the target holds them. */
static void in_order_and_ahead(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, FILE_URL);
    char id[16];
    for (int i = 0; i < 10; i++) {
        snprintf(id, sizeof id, "%03d", i);
        store(stage, id, "default", "x", i < 5 ? 0 : (20 - i) * 1000 * 1000);
    }
    go_until(relay, 10);
    for (int i = 0; i < 10; i++) { /* by due time, then as they came */
        snprintf(id, sizeof id, "%03d", i < 5 ? i : 14 - i);
        assert_string_equal(target.seen[i].id, id);
        assert_true(i < 5 || target.seen[i].due_ms > target.seen[i].sent_ms + 10000 * 1000);
    }
    bide_relay_destroy(relay);
    assert_empty(stage, 0);
}

static void queues_that_come_later(void **state)
{
    struct stage *stage = *state;
    store(stage, "a", "one", "x", 0);
    struct bide_relay *relay = make_relay(stage, FILE_URL);
    go_until(relay, 1);
    assert_int_equal(target.n_queues, 3); /* `default`, `slow` of the configuration */
    store(stage, "b", "two", "x", 0);
    go_until(relay, 2);
    assert_string_equal(target.seen[1].queue, "two");
    assert_int_equal(target.n_queues, 4); /* the target is told before the first message comes */
    bide_relay_destroy(relay);
    assert_empty(stage, 0);
}

static int64_t ahead_us;

static int64_t mono_ahead_us(const struct bide_clock *clock)
{
    (void)clock;
    return bide_mono_us(bide_clock_system()) + ahead_us;
}

static int64_t wall_us(const struct bide_clock *clock)
{
    (void)clock;
    return bide_wall_us(bide_clock_system());
}

/* Takes what there is, and is done with it. Was there one of this queue? */
static bool takes_from(struct bide_source *source, const char *queue)
{
    struct bide_taken items[BIDE_RELAY_BATCH];
    bide_error error = {0};
    bool found = false;
    size_t n = 0;
    struct deadline deadline = deadline_in_ms(SOON_MS);
    while (n == 0 && !deadline_passed(&deadline))
        if (source->ops->take(source, items, BIDE_RELAY_BATCH, &n, &error) != BIDE_OK)
            fail_msg("%s", error.text);
    assert_int_not_equal(n, 0);
    for (size_t i = 0; i < n; i++) {
        found = found || strcmp(items[i].message->queue, queue) == 0;
        items[i].end = BIDE_TAKEN_DONE;
    }
    assert_int_equal(source->ops->settle(source, items, n, &error), BIDE_OK);
    return found;
}

/* The known one never runs dry: a new one is found all the same. */
static void a_new_queue_beside_a_busy_one(void **state)
{
    static const struct bide_clock clock = {wall_us, mono_ahead_us};
    struct stage *stage = *state;
    const struct bide_source_options options = {
        .config = stage->config, .url = FILE_URL, .clock = &clock, .timeout_ms = SOON_MS};
    struct bide_source *source;
    bool mine = false, found = false;
    store(stage, "a", "default", "x", 0);
    assert_int_equal(bide_source_create(&options, &source, NULL), BIDE_OK);
    assert_int_equal(source->ops->claim(source, &mine, NULL), BIDE_OK);
    assert_true(mine && takes_from(source, "default"));
    store(stage, "b", "new", "x", 0);
    for (int i = 0; i < 10 && !found; i++) {
        store(stage, "c", "default", "x", 0);
        ahead_us += 3 * 1000 * 1000;
        found = takes_from(source, "new");
    }
    assert_true(found);
    source->ops->destroy(source, NULL, 0);
}

static void refused_ones_become_dead_letters(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, FILE_URL);
    char large[3000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    target.refused = "no";
    store(stage, "a", "default", "no", 0);
    store(stage, "b", "default", large, 0); /* more than worker.max_body */
    store(stage, "c", "default", "x", 0);
    go_until(relay, 1);
    assert_string_equal(target.seen[0].id, "c");
    bide_relay_destroy(relay);
    assert_empty(stage, 2);
    assert_int_equal(atomic_load(&stage->metrics.refused), 2);
}

/* Nothing is given back while the target is away for a moment, and all of it when the relay ends. */
static void a_target_that_is_away(void **state)
{
    struct stage *stage = *state;
    struct bide_relay *relay = make_relay(stage, FILE_URL);
    for (int i = 0; i < 4; i++)
        store(stage, (const char *[]){"a", "b", "c", "d"}[i], "default", "x", 0);
    target.away = 2;
    target.halved = 1;
    go_until(relay, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(target.seen[i].id[0], 'a' + i);
    store(stage, "e", "default", "x", 0);
    target.away = 1000000;
    while (atomic_load(&stage->metrics.target_away) == 0)
        go(relay, 10000);
    bide_relay_destroy(relay);
    assert_int_equal(counts(stage).ready, 1);
}

/* Its receiver is gone with what it had in hand; another relay carries that. */
static void one_that_dies(void **state)
{
    struct stage *stage = *state;
    struct bide_source *first = make_source(stage, FILE_URL);
    struct bide_taken items[4];
    struct deadline soon = deadline_in_ms(SOON_MS);
    size_t n = 0;
    bool mine = false;
    store(stage, "a", "default", "x", 0);
    assert_int_equal(first->ops->claim(first, &mine, NULL), BIDE_OK);
    while (n == 0 && !deadline_passed(&soon))
        assert_int_equal(first->ops->take(first, items, 4, &n, NULL), BIDE_OK);
    struct bide_relay *second = make_relay(stage, FILE_URL);
    for (int i = 0; i < 10; i++)
        go(second, 1000);
    assert_int_equal(target.n, 0);
    first->ops->destroy(first, items, n);
    go_until(second, 1);
    bide_relay_destroy(second);
    assert_empty(stage, 0);
}

/* By another name it is the same file. */
static void no_circle(void **state)
{
    struct stage *stage = *state;
    struct bide_url url = {0};
    store(stage, "a", "default", "x", 0);
    assert_int_equal(symlink("spool.db", "link.db"), 0);
    assert_int_equal(bide_url_parse("sqlite:link.db", &url, NULL), BIDE_OK);
    const struct bide_broker_options to = spool_options(stage, &url);
    struct bide_relay *relay = make_relay_to(stage, FILE_URL, &bide_sqlite_adapter, &to);
    struct deadline soon = deadline_in_ms(SOON_MS);
    while (atomic_load(&stage->metrics.target_away) == 0 && !deadline_passed(&soon))
        go(relay, 10000);
    assert_int_equal(atomic_load(&stage->metrics.target_away), 1);
    assert_int_equal(bide_relay_destroy(relay), 0);
    assert_int_equal(counts(stage).ready, 1);
    bide_url_clear(&url);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, raise_stage, strike_stage)

static const struct CMUnitTest tests[] = {
    CASE(in_order_and_ahead),
    CASE(queues_that_come_later),
    CASE(a_new_queue_beside_a_busy_one),
    CASE(refused_ones_become_dead_letters),
    CASE(a_target_that_is_away),
    CASE(one_that_dies),
    CASE(no_circle),
};

UNIT_MAIN(tests)
