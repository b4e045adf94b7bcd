/* What the retention does not allow to stay is dropped, and nothing else. */
#include <string.h>

#include "base/alloc.h"
#include "contract/cases.h"

enum { HOUR_MS = 3600 * 1000, LETTERS_MAX = 1000 };

/* n letters of a queue, ids first …: they died one after another, each an hour after the one before, the last
 * an hour ago. */
static void bury(struct fixture *fixture, size_t queue, size_t first, size_t n)
{
    struct bide_admin *admin = fixture_admin(fixture);
    struct bide_message *messages[LETTERS_MAX];
    struct bide_dead_letter letters[LETTERS_MAX];
    bide_error error;
    assert_true(n <= LETTERS_MAX);
    for (size_t i = 0; i < n; i++) {
        messages[i] = fixture_message(fixture, first + i, 0);
        assert_ok(bide_message_set_queue(messages[i], fixture->queues[queue], &error), &error);
        assert_ok(bide_message_stamp(messages[i], "default", fixture->options.clock, &error), &error);
        letters[i] = (struct bide_dead_letter){
            messages[i], BIDE_REASON_REJECTED, now_ms() - (int64_t)(n - i) * HOUR_MS};
    }
    assert_ok(admin->ops->dead_add(admin, letters, n, &error), &error);
    for (size_t i = 0; i < n; i++)
        bide_message_destroy(messages[i]);
    fixture_expect_counts(fixture, queue, 0, 0, 0, (int64_t)n);
}

static uint64_t trim(struct fixture *fixture, int64_t older_than_ms, int64_t max_count)
{
    struct bide_admin *admin = fixture_admin(fixture);
    const struct bide_dead_bounds bounds = {older_than_ms ? now_ms() - older_than_ms : 0, max_count};
    bide_error error;
    uint64_t n = 99;
    assert_ok(admin->ops->dead_trim(admin, &bounds, NULL, NULL, &n, &error), &error);
    return n;
}

/* Those of the first queue, the newest first. A RabbitMQ returns the letter that a trim has looked at last a
 * moment after the trim: the counts are awaited first. */
static void expect_left(struct fixture *fixture, size_t newest, size_t n)
{
    struct listed listed;
    fixture_expect_counts(fixture, 0, 0, 0, 0, (int64_t)n);
    list_dead(fixture, (struct bide_dead_filter){0}, &listed);
    assert_int_equal(listed.n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(fixture_index(fixture, listed.ids[i]), newest - i);
    listed_clear(&listed);
}

static void nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(trim(fixture, HOUR_MS, 1), 0);
    bury(fixture, 0, 0, 3);
    assert_int_equal(trim(fixture, 0, 0), 0);
    assert_int_equal(trim(fixture, 4 * HOUR_MS, 3), 0);
    expect_left(fixture, 2, 3);
}

static void by_age(void **state)
{
    struct fixture *fixture = *state;
    bury(fixture, 0, 0, 5);
    bury(fixture, 1, 10, 2);
    assert_int_equal(trim(fixture, 3 * HOUR_MS + HOUR_MS / 2, 0), 2);
    expect_left(fixture, 4, 3);
    fixture_expect_counts(fixture, 1, 0, 0, 0, 2);
    assert_int_equal(trim(fixture, 3 * HOUR_MS + HOUR_MS / 2, 0), 0);
    assert_int_equal(trim(fixture, HOUR_MS / 2, 0), 5);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
    fixture_expect_counts(fixture, 1, 0, 0, 0, 0);
}

/* Of each queue: a flood in one does not push out those of another, though they are older. */
static void by_number(void **state)
{
    struct fixture *fixture = *state;
    bury(fixture, 1, 10, 3);
    bury(fixture, 0, 0, 7);
    assert_int_equal(trim(fixture, 0, 3), 4);
    expect_left(fixture, 6, 3);
    fixture_expect_counts(fixture, 1, 0, 0, 0, 3);
    assert_int_equal(trim(fixture, 0, 3), 0);
}

static void by_both(void **state)
{
    struct fixture *fixture = *state;
    bury(fixture, 0, 0, 6);
    bury(fixture, 1, 10, 4);
    assert_int_equal(trim(fixture, 3 * HOUR_MS + HOUR_MS / 2, 2), 6);
    expect_left(fixture, 5, 2);
    fixture_expect_counts(fixture, 1, 0, 0, 0, 2);
}

/* What is not dead, and what dies like any other, is not touched. */
static void others_stay(void **state)
{
    struct fixture *fixture = *state;
    bury(fixture, 0, 0, 2);
    fixture_fill(fixture, 0, 10, 3, 0);
    assert_int_equal(trim(fixture, HOUR_MS / 2, 0), 2);
    fixture_expect_counts(fixture, 0, 3, 0, 0, 0);
    struct hand *hand = hand_open(fixture);
    hand_take(hand, 3, SOON_MS);
    hand_settle_all(hand, &(struct bide_settlement){
                              .verdict = BIDE_VERDICT_DEAD, .reason = BIDE_REASON_REJECTED, .attempt = 1});
    fixture_expect_counts(fixture, 0, 0, 0, 0, 3);
    assert_int_equal(trim(fixture, HOUR_MS / 2, 3), 0);
    assert_int_equal(trim(fixture, 0, 1), 2);
    assert_int_equal(retry_dead(fixture, (struct bide_dead_filter){0}), 1);
    hand_take(hand, 1, SOON_MS);
    hand_ack_all(hand);
}

static bool interrupt(void *user, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    ++*(size_t *)user;
    return false;
}

static void many_and_interrupted(void **state)
{
    struct fixture *fixture = *state;
    struct bide_admin *admin = fixture_admin(fixture);
    const struct bide_dead_bounds bounds = {now_ms() - HOUR_MS / 2, 0};
    size_t calls = 0;
    uint64_t n;
    bide_error error;
    bury(fixture, 0, 0, LETTERS_MAX);
    assert_ok(admin->ops->dead_trim(admin, &bounds, interrupt, &calls, &n, &error), &error);
    assert_int_equal(calls, 1);
    assert_true(n > 0 && n < LETTERS_MAX);
    fixture_expect_counts(fixture, 0, 0, 0, 0, (int64_t)(LETTERS_MAX - n));
    assert_int_equal(trim(fixture, HOUR_MS / 2, 0), LETTERS_MAX - n);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

struct other {
    struct fixture *fixture;
    struct bide_admin *admin;
    uint64_t n;
};

static bool trim_too(void *user, uint64_t done, uint64_t total)
{
    struct other *other = user;
    const struct bide_dead_bounds bounds = {.max_count = 100};
    bide_error error;
    uint64_t n = 0;
    (void)done;
    (void)total;
    assert_ok(other->admin->ops->dead_trim(other->admin, &bounds, NULL, NULL, &n, &error), &error);
    other->n += n;
    return true;
}

/* As many as may stay do stay, however the steps of both fall. */
static void two_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct bide_admin *admin = fixture_admin(fixture);
    const struct bide_dead_bounds bounds = {.max_count = 100};
    struct other other = {.fixture = fixture};
    bide_error error;
    uint64_t n = 0;
    bury(fixture, 0, 0, LETTERS_MAX);
    assert_ok(fixture->adapter->open_admin(&fixture->options, &other.admin, &error), &error);
    assert_ok(admin->ops->dead_trim(admin, &bounds, trim_too, &other, &n, &error), &error);
    bide_admin_destroy(other.admin);
    n += trim(fixture, 0, 100); /* what one of them had in its hands did not count for the other */
    assert_int_equal(n + other.n, LETTERS_MAX - 100);
    expect_left(fixture, LETTERS_MAX - 1, 100);
}

static const struct CMUnitTest cases[] = {
    CASE("trim/nothing", nothing),
    CASE("trim/by-age", by_age),
    CASE("trim/by-number", by_number),
    CASE("trim/by-both", by_both),
    CASE("trim/others-stay", others_stay),
    CASE("trim/many-and-interrupted", many_and_interrupted),
    CASE_OF_SERVERS("trim/two-at-once", two_at_once),
};
CASE_GROUP(dead_trim_cases, cases);
