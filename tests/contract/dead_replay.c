/* Dead letters come back as new, or are dropped. */
#include <string.h>

#include "base/alloc.h"
#include "contract/cases.h"

/* n messages, dead after 5 attempts. */
static void bury(struct fixture *fixture, struct hand *hand, size_t n)
{
    fixture_fill(fixture, 0, 0, n, 0);
    hand_take(hand, n, MANY_MS);
    while (hand->n > 0)
        hand_give(hand, 0, dead_of(BIDE_REASON_EXHAUSTED, 5, "gave up"));
    hand_flush(hand);
    fixture_expect_counts(fixture, 0, 0, 0, 0, (int64_t)n);
}

static void as_new(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    bury(fixture, hand, 1);
    int64_t before_ms = now_ms();
    assert_int_equal(retry_dead(fixture, (struct bide_dead_filter){0}), 1);
    hand_take(hand, 1, SOON_MS);
    const struct bide_message *got = hand->held[0].delivery->message;
    assert_int_equal(fixture_index(fixture, got->id), 0);
    assert_int_equal(got->attempt, 1);
    assert_string_equal(got->error, "");
    assert_between(got->due_ms, before_ms - 1000, now_ms());
    fixture_expect_counts(fixture, 0, 0, 0, 1, 0);
    hand_ack_all(hand);
    hand_expect_none(hand, QUIET_MS);
}

/* It would be acknowledged unrun, and gone, if an expiry that has passed came with it. */
static void without_an_expiry_that_has_passed(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    int64_t now = now_ms(), expires_ms[] = {now - 1000, now + 3600 * 1000};
    for (size_t i = 0; i < 2; i++) {
        struct bide_message *message = fixture_message(fixture, i, 0);
        message->expires_ms = expires_ms[i];
        fixture_send(fixture, message);
    }
    hand_take(hand, 2, SOON_MS);
    while (hand->n > 0)
        hand_give(hand, 0, dead_of(BIDE_REASON_EXHAUSTED, 5, "gave up"));
    hand_flush(hand);
    assert_int_equal(retry_dead(fixture, (struct bide_dead_filter){0}), 2);
    hand_take(hand, 2, SOON_MS);
    for (size_t i = 0; i < 2; i++) {
        const struct bide_message *got = hand->held[i].delivery->message;
        assert_int_equal(got->expires_ms, fixture_index(fixture, got->id) == 0 ? 0 : expires_ms[1]);
    }
    hand_ack_all(hand);
}

static void then_delays_and_dies_again(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    bury(fixture, hand, 1);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(retry_dead(fixture, (struct bide_dead_filter){0}), 1);
        hand_take(hand, 1, SOON_MS);
        int64_t due_ms = now_ms() + 700;
        hand_give(hand, 0, retry_at(due_ms, 2, "once more"));
        hand_flush(hand);
        hand_take(hand, 1, 2 * SOON_MS);
        assert_int_equal(hand->held[0].delivery->message->attempt, 2);
        assert_between(hand->held[0].handed_ms - due_ms, -hand->landing_ms - 1, LATE_MS);
        hand_give(hand, 0, dead_of(BIDE_REASON_REJECTED, 2, "no"));
        hand_flush(hand);
        fixture_expect_counts(fixture, 0, 0, 0, 0, 1);
    }
}

static void by_id(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    char second[FIXTURE_ID], fourth[FIXTURE_ID];
    bury(fixture, hand, 5);
    const char *ids[] = {fixture_id(fixture, 2, second), "nobody", fixture_id(fixture, 4, fourth)};
    assert_int_equal(retry_dead(fixture, (struct bide_dead_filter){.ids = ids, .n_ids = 3}), 2);
    hand_take(hand, 2, SOON_MS);
    hand_find(hand, second);
    hand_find(hand, fourth);
    fixture_expect_counts(fixture, 0, 0, 0, 2, 3);
    hand_ack_all(hand);
}

static void every_copy_of_an_id(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    char id[FIXTURE_ID];
    for (size_t copy = 0; copy < 3; copy++)
        fixture_fill(fixture, 0, copy / 2, 1, 0); /* 0 twice, 1 once */
    hand_take(hand, 3, SOON_MS);
    while (hand->n > 0)
        hand_give(hand, 0, dead_of(BIDE_REASON_EXHAUSTED, 5, "gave up"));
    hand_flush(hand);
    const char *ids[] = {fixture_id(fixture, 0, id)};
    assert_int_equal(retry_dead(fixture, (struct bide_dead_filter){.ids = ids, .n_ids = 1}), 2);
    hand_take(hand, 2, SOON_MS);
    hand_ack_all(hand);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 1);
}

static void unknown_id(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    const char *ids[] = {"nobody"};
    bury(fixture, hand, 2);
    assert_int_equal(retry_dead(fixture, (struct bide_dead_filter){.ids = ids, .n_ids = 1}), 0);
    assert_int_equal(drop_dead(fixture, (struct bide_dead_filter){.ids = ids, .n_ids = 1}), 0);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 2);
}

static void dropped(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    char id[FIXTURE_ID];
    bury(fixture, hand, 5);
    const char *ids[] = {fixture_id(fixture, 3, id)};
    assert_int_equal(drop_dead(fixture, (struct bide_dead_filter){.ids = ids, .n_ids = 1}), 1);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 4);
    assert_int_equal(drop_dead(fixture, (struct bide_dead_filter){.limit = 1}), 1);
    assert_int_equal(drop_dead(fixture, (struct bide_dead_filter){0}), 3);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
    hand_expect_none(hand, QUIET_MS);
}

static void many(void **state)
{
    struct fixture *fixture = *state;
    enum { N = 2000 };
    struct hand *hand = hand_open(fixture);
    bool *seen = bide_calloc(N, sizeof *seen);
    bury(fixture, hand, N);
    assert_int_equal(retry_dead(fixture, (struct bide_dead_filter){0}), N);
    hand_take(hand, N, MANY_MS);
    for (size_t i = 0; i < N; i++) {
        size_t index = fixture_index(fixture, hand->held[i].delivery->message->id);
        assert_true(index < N);
        assert_false(seen[index]);
        seen[index] = true;
    }
    bide_free(seen);
    hand_ack_all(hand);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

static bool interrupt(void *user, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    (*(size_t *)user)++;
    return false;
}

/* Wherever it is interrupted, each message is in exactly one of both places. */
static void interrupted(void **state)
{
    struct fixture *fixture = *state;
    enum { N = 3000 };
    struct hand *hand = hand_open(fixture);
    struct bide_admin *admin = fixture_admin(fixture);
    struct bide_dead_filter all = {.queue = fixture->queues[0]};
    bide_error error;
    uint64_t moved = 0;
    size_t calls = 0;
    bury(fixture, hand, N);
    assert_ok(admin->ops->dead_retry(admin, &all, interrupt, &calls, &moved, &error), &error);
    assert_int_equal(calls, 1);
    assert_true(moved < N);
    hand_take(hand, (size_t)moved, MANY_MS);
    hand_expect_none(hand, QUIET_MS);
    hand_ack_all(hand);
    fixture_expect_counts(fixture, 0, 0, 0, 0, (int64_t)(N - moved));
}

enum { SPREAD = 7, HOUR_MS = 3600 * 1000 };

struct dues {
    const struct fixture *fixture;
    int64_t due_ms[SPREAD]; /* by index; 0: it was not seen */
};

static bide_code note_dues(void *user, struct bide_export *batch, size_t n, bide_error *error)
{
    struct dues *dues = user;
    (void)error;
    for (size_t i = 0; i < n; i++) {
        size_t index = fixture_index(dues->fixture, batch[i].message->id);
        assert_true(index < SPREAD);
        assert_false(batch[i].dead);
        assert_int_equal(batch[i].message->attempt, 1);
        dues->due_ms[index] = batch[i].message->due_ms;
        batch[i].carried = true;
    }
    return BIDE_OK;
}

/* Evenly, to the millisecond, the oldest first. `limit`: the adapters may take another way then. */
static void expect_spread(struct fixture *fixture, size_t limit)
{
    struct bide_admin *admin = fixture_admin(fixture);
    struct hand *hand = hand_open(fixture);
    struct dues dues = {.fixture = fixture};
    int64_t from_ms = now_ms() + HOUR_MS;
    bide_error error;
    fixture_fill(fixture, 0, 0, SPREAD, 0);
    hand_take(hand, SPREAD, MANY_MS);
    for (size_t i = 0; i < SPREAD; i++) { /* each dies in a millisecond of its own: their order is known */
        char id[FIXTURE_ID];
        hand_give(hand, hand_find(hand, fixture_id(fixture, i, id)), dead_of(BIDE_REASON_REJECTED, 1, "no"));
        hand_flush(hand);
        hand_serve_for(hand, 2);
    }
    const struct bide_dead_filter filter = {
        .limit = limit, .spread = {.from_ms = from_ms, .over_ms = HOUR_MS, .n = SPREAD}};
    assert_int_equal(retry_dead(fixture, filter), SPREAD);
    hand_expect_none(hand, QUIET_MS);
    hand_close(hand);
    assert_ok(admin->ops->export_each(admin, fixture->queues[0], note_dues, &dues, &error), &error);
    for (size_t i = 0; i < SPREAD; i++)
        assert_int_equal(dues.due_ms[i], from_ms + (int64_t)(i * HOUR_MS / SPREAD));
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

static void spread(void **state)
{
    expect_spread(*state, 0);
}

static void spread_with_a_limit(void **state)
{
    expect_spread(*state, 100);
}

/* What is due within the moment lands like any other delayed message. */
static void spread_lands(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    bury(fixture, hand, 4);
    int64_t from_ms = now_ms();
    const struct bide_dead_filter filter = {.spread = {.from_ms = from_ms, .over_ms = 1200, .n = 4}};
    assert_int_equal(retry_dead(fixture, filter), 4);
    hand_take(hand, 4, SOON_MS);
    for (size_t i = 0; i < hand->n; i++)
        assert_between(hand->held[i].handed_ms - hand->held[i].delivery->message->due_ms,
            -hand->landing_ms - 1, SOON_MS);
    hand_ack_all(hand);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

static const struct CMUnitTest cases[] = {
    CASE("replay/as-new", as_new),
    CASE("replay/without-an-expiry-that-has-passed", without_an_expiry_that_has_passed),
    CASE("replay/then-delays-and-dies-again", then_delays_and_dies_again),
    CASE("replay/by-id", by_id),
    CASE("replay/every-copy-of-an-id", every_copy_of_an_id),
    CASE("replay/unknown-id", unknown_id),
    CASE("replay/dropped", dropped),
    CASE("replay/many", many),
    CASE("replay/interrupted", interrupted),
    CASE("replay/spread", spread),
    CASE("replay/spread-with-a-limit", spread_with_a_limit),
    CASE("replay/spread-lands", spread_lands),
};
CASE_GROUP(dead_replay_cases, cases);
