/* What is sent to a topic reaches every subscription once; from then on each copy goes its own way. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "contract/cases.h"

enum { GEO, ERRORS };

/* The case's queues become two subscriptions of a topic of its own; returns its address. */
static const char *make_topic(struct fixture *fixture)
{
    static const char *const subscriptions[FIXTURE_QUEUES] = {"geo", "errors"};
    for (size_t i = 0; i < FIXTURE_QUEUES; i++)
        snprintf(
            fixture->names[i], sizeof fixture->names[i], "%s@logs.%u", subscriptions[i], fixture->serial);
    return strchr(fixture->names[0], '@');
}

static void publish(struct fixture *fixture, size_t i, int64_t delay_ms)
{
    bide_error error;
    struct bide_message *message = fixture_message(fixture, i, delay_ms);
    assert_ok(bide_message_set_topic(message, bide_queue_topic(fixture->names[0]), &error), &error);
    fixture_send(fixture, message);
}

static void join(struct fixture *fixture, size_t subscription)
{
    bide_error error;
    struct bide_admin *admin = fixture_admin(fixture);
    assert_ok(admin->ops->join(admin, fixture->names[subscription], &error), &error);
}

static void leave(struct fixture *fixture, size_t subscription)
{
    bide_error error;
    struct bide_admin *admin = fixture_admin(fixture);
    assert_ok(admin->ops->leave(admin, fixture->names[subscription], &error), &error);
}

/* A worker of one subscription. */
static struct hand *open_one(struct fixture *fixture, size_t subscription)
{
    const struct bide_broker_options all = fixture->options;
    fixture->options.queues = &fixture->queues[subscription];
    fixture->options.n_queues = 1;
    struct hand *hand = hand_open(fixture);
    fixture->options = all;
    return hand;
}

/* Holds this message, for that subscription. */
static const struct bide_message *find(
    const struct fixture *fixture, const struct hand *hand, size_t i, size_t subscription)
{
    for (size_t at = 0; at < hand->n; at++) {
        const struct bide_message *message = hand->held[at].delivery->message;
        if (fixture_index(fixture, message->id) == i &&
            strcmp(message->queue, fixture->names[subscription]) == 0)
            return message;
    }
    fail_msg("no copy of message %zu for %s", i, fixture->names[subscription]);
    return NULL;
}

static void to_each_subscription(void **state)
{
    struct fixture *fixture = *state;
    make_topic(fixture);
    struct hand *hand = hand_open(fixture);
    for (size_t i = 0; i < 3; i++)
        publish(fixture, i, 0);
    hand_take(hand, 6, SOON_MS);
    for (size_t i = 0; i < 3; i++)
        for (size_t subscription = GEO; subscription <= ERRORS; subscription++)
            assert_int_equal(find(fixture, hand, i, subscription)->attempt, 1);
    hand_ack_all(hand);
    hand_expect_none(hand, QUIET_MS);
    fixture_expect_counts(fixture, GEO, 0, 0, 0, 0);
    fixture_expect_counts(fixture, ERRORS, 0, 0, 0, 0);
}

/* The first delay is shorter than a hop of RabbitMQ's ladder, the second is not. */
static void when_it_is_due(void **state)
{
    struct fixture *fixture = *state;
    make_topic(fixture);
    struct hand *hand = hand_open(fixture);
    const int64_t delays_ms[] = {600, hand->landing_ms + 1300};
    for (size_t i = 0; i < 2; i++)
        publish(fixture, i, delays_ms[i]);
    hand_take(hand, 4, 2 * SOON_MS);
    for (size_t i = 0; i < 2; i++)
        for (size_t subscription = GEO; subscription <= ERRORS; subscription++)
            assert_int_equal(
                find(fixture, hand, i, subscription)->due_ms - find(fixture, hand, i, GEO)->sent_ms,
                delays_ms[i]);
    for (size_t at = 0; at < hand->n; at++) {
        int64_t early_ms = hand->held[at].delivery->message->due_ms - hand->held[at].handed_ms;
        assert_between(early_ms, -LATE_MS, hand->landing_ms + 1);
    }
    hand_ack_all(hand);
    hand_expect_none(hand, QUIET_MS);
}

static void a_retry_to_its_own(void **state)
{
    struct fixture *fixture = *state;
    make_topic(fixture);
    struct hand *geo = open_one(fixture, GEO), *errors = open_one(fixture, ERRORS);
    publish(fixture, 0, 0);
    hand_take(geo, 1, SOON_MS);
    hand_take(errors, 1, SOON_MS);
    hand_ack_all(errors);
    hand_give(geo, 0, retry_at(now_ms() + geo->landing_ms + 500, 2, "not yet"));
    hand_flush(geo);
    hand_take(geo, 1, 2 * SOON_MS);
    assert_int_equal(find(fixture, geo, 0, GEO)->attempt, 2);
    hand_give(geo, 0, retry_at(now_ms(), 3, "at once"));
    hand_flush(geo);
    hand_take(geo, 1, SOON_MS);
    assert_int_equal(find(fixture, geo, 0, GEO)->attempt, 3);
    hand_ack_all(geo);
    hand_expect_none(errors, QUIET_MS);
    hand_expect_none(geo, QUIET_MS);
}

static void a_dead_letter_to_its_own(void **state)
{
    struct fixture *fixture = *state;
    make_topic(fixture);
    struct hand *geo = open_one(fixture, GEO), *errors = open_one(fixture, ERRORS);
    publish(fixture, 0, 0);
    hand_take(geo, 1, SOON_MS);
    hand_take(errors, 1, SOON_MS);
    hand_ack_all(errors);
    hand_give(geo, 0, dead_of(BIDE_REASON_REJECTED, 1, "no"));
    hand_flush(geo);
    fixture_expect_counts(fixture, GEO, 0, 0, 0, 1);
    assert_int_equal(retry_dead(fixture, (struct bide_dead_filter){0}), 1);
    hand_take(geo, 1, SOON_MS);
    find(fixture, geo, 0, GEO);
    hand_ack_all(geo);
    hand_expect_none(errors, QUIET_MS);
}

/* The sender is the same before and after. */
static void what_is_sent_after_a_join(void **state)
{
    struct fixture *fixture = *state;
    make_topic(fixture);
    fixture->options.n_queues = 0;
    join(fixture, GEO);
    publish(fixture, 0, 0);
    join(fixture, ERRORS);
    join(fixture, ERRORS);
    publish(fixture, 1, 0);
    fixture->options.n_queues = FIXTURE_QUEUES;
    struct hand *hand = hand_open(fixture);
    hand_take(hand, 3, SOON_MS);
    find(fixture, hand, 0, GEO);
    find(fixture, hand, 1, GEO);
    find(fixture, hand, 1, ERRORS);
    hand_ack_all(hand);
    hand_expect_none(hand, QUIET_MS);
}

static void nothing_after_a_leave(void **state)
{
    struct fixture *fixture = *state;
    make_topic(fixture);
    join(fixture, GEO);
    join(fixture, ERRORS);
    publish(fixture, 0, 0);
    leave(fixture, ERRORS);
    leave(fixture, ERRORS);
    publish(fixture, 1, 0);
    struct hand *geo = open_one(fixture, GEO);
    hand_take(geo, 2, SOON_MS);
    hand_ack_all(geo);
    struct hand *errors = open_one(fixture, ERRORS); /* joins again: message 0 may be there still */
    publish(fixture, 2, 0);
    hand_take(geo, 1, SOON_MS);
    while (errors->n == 0 || fixture_index(fixture, errors->held[errors->n - 1].delivery->message->id) != 2)
        hand_take(errors, errors->n + 1, SOON_MS);
    for (size_t at = 0; at < errors->n; at++)
        assert_int_not_equal(fixture_index(fixture, errors->held[at].delivery->message->id), 1);
    hand_ack_all(geo);
    hand_ack_all(errors);
}

/* Waits until so many are unrouted, which RabbitMQ's quorum queues show a moment later. */
static void expect_unrouted(struct fixture *fixture, const char *address, size_t n)
{
    struct deadline deadline = deadline_in_ms(SOON_MS);
    struct listed listed;
    for (;;) {
        list_dead(fixture, (struct bide_dead_filter){.queue = address}, &listed);
        if (listed.n == n || deadline_left_us(&deadline) <= 0)
            break;
        listed_clear(&listed);
    }
    assert_int_equal(listed.n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(listed.reasons[i], BIDE_REASON_UNROUTED);
    listed_clear(&listed);
}

static void nowhere_without_any(void **state)
{
    struct fixture *fixture = *state;
    const char *address = make_topic(fixture);
    fixture->options.n_queues = 0;
    publish(fixture, 0, 0);
    expect_unrouted(fixture, address, 1);
    retry_dead(fixture, (struct bide_dead_filter){.queue = address});
    expect_unrouted(fixture, address, 1);
    join(fixture, GEO);
    join(fixture, ERRORS);
    assert_int_equal(retry_dead(fixture, (struct bide_dead_filter){.queue = address}), 1);
    fixture->options.n_queues = FIXTURE_QUEUES;
    struct hand *hand = hand_open(fixture);
    hand_take(hand, 2, SOON_MS);
    find(fixture, hand, 0, GEO);
    find(fixture, hand, 0, ERRORS);
    hand_ack_all(hand);
    expect_unrouted(fixture, address, 0);
}

/* How many queues of the broker's figures are called like the topic. */
static size_t count_as_queue(struct fixture *fixture, const char *address)
{
    struct bide_broker_stats stats;
    bide_error error;
    size_t n = 0;
    struct bide_admin *admin = fixture_admin(fixture);
    assert_ok(admin->ops->stats(admin, &stats, &error), &error);
    for (size_t i = 0; i < stats.n_queues; i++)
        n += strcmp(stats.queues[i].name, address) == 0;
    bide_broker_stats_clear(&stats);
    return n;
}

static void no_queue_once_its_letters_are_dropped(void **state)
{
    struct fixture *fixture = *state;
    const char *address = make_topic(fixture);
    fixture->options.n_queues = 0;
    publish(fixture, 0, 0);
    expect_unrouted(fixture, address, 1);
    assert_int_equal(drop_dead(fixture, (struct bide_dead_filter){.queue = address}), 1);
    assert_int_equal(count_as_queue(fixture, address), 0);
}

/* A handler's message goes to the topic with the end of its run. */
static void what_a_handler_sends(void **state)
{
    static const enum bide_verdict verdicts[] = {BIDE_VERDICT_ACK, BIDE_VERDICT_DEAD};
    struct fixture *fixture = *state;
    bide_error error;
    make_topic(fixture);
    struct hand *hand = hand_open(fixture);
    join(fixture, GEO);
    for (size_t i = 0; i < 2; i++) {
        struct bide_message **sends = bide_calloc(1, sizeof *sends);
        fixture_fill(fixture, GEO, 10 + i, 1, 0);
        hand_take(hand, 1, SOON_MS);
        assert_non_null(sends);
        sends[0] = fixture_message(fixture, i, 0);
        assert_ok(bide_message_set_topic(sends[0], bide_queue_topic(fixture->names[0]), &error), &error);
        assert_ok(bide_message_stamp(sends[0], "default", bide_clock_system(), &error), &error);
        hand_give(hand, 0,
            (struct bide_settlement){.verdict = verdicts[i],
                .reason = verdicts[i] == BIDE_VERDICT_DEAD ? BIDE_REASON_REJECTED : BIDE_REASON_NONE,
                .attempt = 1,
                .sends = sends,
                .n_sends = 1});
        hand_take(hand, 2, SOON_MS);
        find(fixture, hand, i, GEO);
        find(fixture, hand, i, ERRORS);
        hand_ack_all(hand);
    }
    fixture_expect_counts(fixture, GEO, 0, 0, 0, 1);
}

struct seen {
    const struct fixture *fixture;
    bool subscriptions[FIXTURE_QUEUES];
};

static bool see(void *user, const char *subscription)
{
    struct seen *seen = user;
    for (size_t i = 0; i < FIXTURE_QUEUES; i++)
        seen->subscriptions[i] |= strcmp(subscription, seen->fixture->names[i]) == 0;
    return true;
}

static void listed_while_joined(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {fixture, {false}}, later = seen;
    bide_error error;
    make_topic(fixture);
    struct bide_admin *admin = fixture_admin(fixture);
    if (!admin->ops->subscriptions)
        return; /* AMQP cannot list bindings */
    join(fixture, GEO);
    join(fixture, ERRORS);
    assert_ok(admin->ops->subscriptions(admin, see, &seen, &error), &error);
    assert_true(seen.subscriptions[GEO] && seen.subscriptions[ERRORS]);
    leave(fixture, GEO);
    assert_ok(admin->ops->subscriptions(admin, see, &later, &error), &error);
    assert_true(!later.subscriptions[GEO] && later.subscriptions[ERRORS]);
}

static const struct CMUnitTest cases[] = {
    CASE("topics/to-each-subscription", to_each_subscription),
    CASE("topics/when-it-is-due", when_it_is_due),
    CASE("topics/a-retry-to-its-own", a_retry_to_its_own),
    CASE("topics/a-dead-letter-to-its-own", a_dead_letter_to_its_own),
    CASE("topics/what-is-sent-after-a-join", what_is_sent_after_a_join),
    CASE("topics/nothing-after-a-leave", nothing_after_a_leave),
    CASE("topics/nowhere-without-any", nowhere_without_any),
    CASE("topics/no-queue-once-its-letters-are-dropped", no_queue_once_its_letters_are_dropped),
    CASE("topics/what-a-handler-sends", what_a_handler_sends),
    CASE("topics/listed-while-joined", listed_while_joined),
};
CASE_GROUP(topic_cases, cases);
