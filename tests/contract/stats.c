/* Figures per queue and state, and what verify and explain say. */
#include <string.h>

#include "contract/cases.h"
#include "support/deadline.h"

static void every_state(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open_shut(fixture);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
    int64_t delayed_before = fixture_delayed_total(fixture);
    fixture_fill(fixture, 0, 0, 9, 0);
    fixture_fill(fixture, 0, 9, 4, 600 * 1000);
    fixture_fill(fixture, 1, 13, 2, 0);
    fixture_expect_counts(fixture, 0, 9, 4, 0, 0);
    fixture_expect_counts(fixture, 1, 2, 0, 0, 0);
    assert_int_equal(fixture_delayed_total(fixture), delayed_before + 4);
    hand->receiver->ops->limit(hand->receiver, 0, 5);
    hand_take(hand, 5, SOON_MS);
    fixture_expect_counts(fixture, 0, 4, 4, 5, 0);
    hand->receiver->ops->limit(hand->receiver, 0, 0);
    hand_give(hand, 0, dead_of(BIDE_REASON_REJECTED, 1, "no"));
    hand_give(hand, 0, dead_of(BIDE_REASON_REJECTED, 1, "no"));
    hand_give(hand, 0, ACK);
    hand_give(hand, 0, retry_at(now_ms() + 600 * 1000, 2, "later"));
    hand_flush(hand);
    fixture_expect_counts(fixture, 0, 4, 5, 1, 2);
    hand_settle_all(hand, &RELEASE);
    fixture_expect_counts(fixture, 0, 5, 5, 0, 2);
    fixture_expect_counts(fixture, 1, 2, 0, 0, 0);
}

/* Until it is at least so much, or unknown. */
static int64_t oldest_of(struct fixture *fixture, int64_t at_least_ms)
{
    struct deadline deadline = deadline_in_ms(SOON_MS);
    int64_t oldest_ms;
    while ((oldest_ms = fixture_stats(fixture, 0).oldest_ready_ms) != BIDE_UNKNOWN_COUNT &&
           oldest_ms < at_least_ms && !deadline_passed(&deadline))
        deadline_nap(&deadline);
    return oldest_ms;
}

/* `sent_ms`: not later than the oldest was ready. */
static void expect_oldest(struct fixture *fixture, int64_t sent_ms, int64_t at_least_ms)
{
    int64_t oldest_ms = oldest_of(fixture, at_least_ms);
    if (oldest_ms == BIDE_UNKNOWN_COUNT)
        assert_false(fixture_counts_all(fixture));
    else
        assert_between(oldest_ms, at_least_ms, now_ms() - sent_ms + 5);
}

/* For how long the oldest has been due, or unknown: never of one that is delayed, in hand or dead. */
static void oldest_ready(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open_shut(fixture);
    fixture_fill(fixture, 0, 0, 1, 600 * 1000);
    assert_int_equal(fixture_stats(fixture, 0).oldest_ready_ms, 0);
    int64_t sent_ms = now_ms();
    fixture_fill(fixture, 0, 1, 2, 0);
    fixture_expect_counts(fixture, 0, 2, 1, 0, 0);
    expect_oldest(fixture, sent_ms, 200);
    hand->receiver->ops->limit(hand->receiver, 0, 1);
    hand_take(hand, 1, SOON_MS);
    expect_oldest(fixture, sent_ms, 200); /* the second waits as long */
    hand->receiver->ops->limit(hand->receiver, 0, 2);
    hand_take(hand, 2, SOON_MS);
    fixture_expect_counts(fixture, 0, 0, 1, 2, 0);
    assert_int_equal(fixture_stats(fixture, 0).oldest_ready_ms, 0);
    hand->receiver->ops->limit(hand->receiver, 0, 0);
    hand_give(hand, 0, RELEASE);
    hand_give(hand, 0, dead_of(BIDE_REASON_REJECTED, 1, "no"));
    hand_flush(hand);
    fixture_expect_counts(fixture, 0, 1, 1, 0, 1);
    expect_oldest(fixture, sent_ms, 200); /* handed back, it has waited since it was sent */
}

/* Since when it has been due: not since it was sent, not in a past in which it was not there. */
static void oldest_that_was_delayed(void **state)
{
    struct fixture *fixture = *state;
    bide_error error;
    enum { DELAY_MS = 3000 }; /* time enough to see that it is delayed */
    int64_t due_ms = now_ms() + DELAY_MS;
    fixture_fill(fixture, 0, 0, 1, DELAY_MS);
    fixture_expect_counts(fixture, 0, 0, 1, 0, 0);
    if (!fixture_counts_all(fixture)) /* it is in the landing queue by then, for workers alone */
        return;
    expect_oldest(fixture, due_ms, 50);
    struct bide_message *message = fixture_message(fixture, 1, 0);
    assert_ok(bide_message_set_due_ms(message, now_ms() - 3600 * 1000, &error), &error);
    fixture_send(fixture, message);
    int64_t oldest_ms = fixture_stats(fixture, 0).oldest_ready_ms; /* before the clock is read */
    assert_between(oldest_ms, 0, now_ms() - due_ms + 5);
}

static int64_t workers_of(struct fixture *fixture, size_t queue, bool some)
{
    struct deadline deadline = deadline_in_ms(SOON_MS);
    int64_t workers = fixture_stats(fixture, queue).workers;
    while ((workers != 0) != some && !deadline_passed(&deadline)) {
        deadline_nap(&deadline);
        workers = fixture_stats(fixture, queue).workers;
    }
    return workers;
}

/* Who takes from a queue is known, or unknown; where nobody does, that is known. */
static void who_takes(void **state)
{
    struct fixture *fixture = *state;
    fixture_fill(fixture, 0, 0, 2, 0);
    assert_int_equal(workers_of(fixture, 0, false), 0);
    const struct bide_queue_stats before = fixture_stats(fixture, 0);
    assert_true(bide_queue_is_unserved(&before));
    struct hand *hand = hand_open(fixture);
    hand_take(hand, 2, SOON_MS);
    int64_t workers = workers_of(fixture, 0, true);
    assert_true(workers == 1 || workers == BIDE_UNKNOWN_COUNT);
    hand_ack_all(hand);
    hand_close(hand);
    assert_int_equal(workers_of(fixture, 0, false), 0);
}

static void of_an_empty_broker(void **state)
{
    struct fixture *fixture = *state;
    fixture_sender(fixture);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
    assert_string_equal(fixture_stats(fixture, 0).name, fixture->queues[0]);
}

static void receiver_figures(void **state)
{
    struct fixture *fixture = *state;
    struct bide_receiver_stats stats;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 10, 0);
    hand_take(hand, 10, SOON_MS);
    hand->receiver->ops->stats(hand->receiver, &stats);
    assert_true(stats.connected);
    assert_int_equal(stats.reconnects, 0);
    assert_int_equal(stats.settled, 0);
    assert_int_equal(stats.lost, 0);
    assert_int_equal(stats.unsettled, 0);
    hand_ack_all(hand);
    hand->receiver->ops->stats(hand->receiver, &stats);
    assert_int_equal(stats.settled, 10);
    assert_int_equal(stats.lost, 0);
}

struct findings {
    size_t n;
    size_t errors;
};

static void note_finding(void *user, const struct bide_finding *finding)
{
    struct findings *findings = user;
    findings->n++;
    assert_non_null(finding->subject);
    assert_non_null(finding->text);
    if (finding->severity != BIDE_FINDING_ERROR)
        return;
    findings->errors++;
    print_error("%s: %s\n", finding->subject, finding->text);
    assert_non_null(finding->remedy);
}

static void verify_of_a_healthy_broker(void **state)
{
    struct fixture *fixture = *state;
    struct findings findings = {0};
    bide_error error;
    hand_open(fixture);
    struct bide_admin *admin = fixture_admin(fixture);
    assert_ok(admin->ops->verify(admin, note_finding, &findings, &error), &error);
    assert_true(findings.n > 0);
    assert_int_equal(findings.errors, 0);
}

static void explained(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t delays_ms[] = {
        0, 50, 1500, 90 * 1000, INT64_C(86400) * 1000, INT64_C(400) * 86400 * 1000, BIDE_DELAY_MAX_MS};
    for (size_t i = 0; i < sizeof delays_ms / sizeof delays_ms[0]; i++) {
        struct bide_plan plan = {.n_hops = 0};
        bide_error error;
        int64_t held_ms = 0;
        assert_ok(fixture->adapter->explain(&fixture->options, delays_ms[i], &plan, &error), &error);
        for (size_t h = 0; h < plan.n_hops; h++) {
            assert_true(strlen(plan.hops[h].where) > 0);
            held_ms += plan.hops[h].ms;
        }
        assert_true(plan.n_hops <= BIDE_PLAN_HOPS);
        assert_true(plan.passes >= 1);
        assert_non_null(plan.method);
        assert_between(plan.resolution_ms, 0, fixture->adapter->landing_ms);
        if (plan.passes == 1)
            assert_between(held_ms, delays_ms[i] - fixture->adapter->landing_ms, delays_ms[i]);
    }
}

static const struct CMUnitTest cases[] = {
    CASE("stats/who-takes", who_takes),
    CASE("stats/every-state", every_state),
    CASE("stats/oldest-ready", oldest_ready),
    CASE("stats/oldest-that-was-delayed", oldest_that_was_delayed),
    CASE("stats/of-an-empty-broker", of_an_empty_broker),
    CASE("stats/receiver-figures", receiver_figures),
    CASE("stats/verify-of-a-healthy-broker", verify_of_a_healthy_broker),
    CASE("stats/explained", explained),
};
CASE_GROUP(stats_cases, cases);
