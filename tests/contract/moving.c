/* A backlog leaves a broker and comes into one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "contract/cases.h"
#include "support/message_copy.h"

/* What a visitor got to see, and how it behaves. */
struct seen {
    struct bide_export *items; /* with messages of their own */
    size_t n, n_visits, largest;
    size_t fail_at; /* the visit that fails, counted from 1; 0: none */
    size_t carry;   /* so many of each batch, before failing too */
    bool keep_odd;  /* does not carry every other one */
};

static bide_code note(void *user, struct bide_export *batch, size_t n, bide_error *error)
{
    struct seen *seen = user;
    assert_between(n, 1, BIDE_EXPORT_BATCH);
    seen->n_visits++;
    seen->largest = n > seen->largest ? n : seen->largest;
    bool fails = seen->n_visits == seen->fail_at;
    for (size_t i = 0; i < n; i++) {
        batch[i].carried = !(fails && i >= seen->carry) && !(seen->keep_odd && i % 2);
        if (!batch[i].carried)
            continue;
        seen->items = bide_realloc(seen->items, (seen->n + 1) * sizeof *seen->items);
        assert_non_null(seen->items);
        seen->items[seen->n] = batch[i];
        seen->items[seen->n++].message = message_copy(batch[i].message);
    }
    return fails ? bide_fail(error, BIDE_E_BROKER, "nobody is there") : BIDE_OK;
}

static void seen_clear(struct seen *seen)
{
    for (size_t i = 0; i < seen->n; i++)
        bide_message_destroy(seen->items[i].message);
    bide_free(seen->items);
    *seen = (struct seen){0};
}

/* A broker whose delay store is shared by all cases: one queue, so that no other case's message is seen. */
static bide_code export_queue(struct fixture *fixture, size_t queue, struct seen *seen, bide_error *error)
{
    struct bide_admin *admin = fixture_admin(fixture);
    return admin->ops->export_each(admin, fixture->queues[queue], note, seen, error);
}

static void export_all(struct fixture *fixture, struct seen *seen)
{
    bide_error error;
    assert_ok(export_queue(fixture, 0, seen, &error), &error);
}

static void expect_empty(struct fixture *fixture)
{
    struct seen seen = {0};
    export_all(fixture, &seen);
    assert_int_equal(seen.n, 0);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

/* Each index of first … first + n - 1 exactly once. */
static void expect_each_once(const struct fixture *fixture, const struct seen *seen, size_t n)
{
    bool *found = bide_calloc(n, sizeof *found);
    assert_non_null(found);
    assert_int_equal(seen->n, n);
    for (size_t i = 0; i < n; i++) {
        size_t index = fixture_index(fixture, seen->items[i].message->id);
        assert_true(index < n);
        assert_false(found[index]);
        found[index] = true;
    }
    bide_free(found);
}

static void nothing(void **state)
{
    expect_empty(*state);
}

static void ready(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    fixture_fill(fixture, 0, 0, 20, 0);
    fixture_fill(fixture, 1, 100, 3, 0);
    export_all(fixture, &seen);
    expect_each_once(fixture, &seen, 20);
    for (size_t i = 0; i < seen.n; i++) {
        assert_false(seen.items[i].dead);
        assert_int_equal(fixture_index(fixture, seen.items[i].message->id), i); /* in order */
        assert_string_equal(seen.items[i].message->queue, fixture->queues[0]);
    }
    expect_empty(fixture);
    fixture_expect_counts(fixture, 1, 3, 0, 0, 0);
    seen_clear(&seen);
}

static void delayed_with_all_fields(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    bide_error error;
    struct bide_message *message = fixture_message(fixture, 0, 3600 * 1000);
    assert_ok(bide_message_set_header(message, "tenant", "blue", &error), &error);
    assert_ok(bide_message_set_body(message, "a\0b", 3, &error), &error);
    assert_ok(bide_message_set_content_type(message, "text/plain", &error), &error);
    assert_ok(bide_message_set_expires_after_ms(message, 60000, &error), &error);
    assert_ok(bide_message_stamp(message, fixture->queues[0], bide_clock_system(), &error), &error);
    message->attempt = 3;
    message->error = "no route";
    message->failures = "[]";
    struct bide_message *copy = message_copy(message);
    fixture_send(fixture, message);
    export_all(fixture, &seen);
    assert_int_equal(seen.n, 1);
    const struct bide_message *got = seen.items[0].message;
    assert_false(seen.items[0].dead);
    assert_string_equal(got->id, copy->id);
    assert_string_equal(got->type, copy->type);
    assert_string_equal(got->queue, copy->queue);
    assert_string_equal(got->content_type, copy->content_type);
    assert_string_equal(got->error, "no route");
    assert_string_equal(got->failures, "[]");
    assert_string_equal(bide_message_header(got, "tenant"), "blue");
    assert_int_equal(got->body_size, 3);
    assert_memory_equal(got->body, copy->body, 3);
    assert_int_equal(got->attempt, 3);
    assert_int_equal(got->due_ms, copy->due_ms);
    assert_int_equal(got->sent_ms, copy->sent_ms);
    assert_int_equal(got->expires_ms, copy->expires_ms);
    expect_empty(fixture);
    bide_message_destroy(copy);
    seen_clear(&seen);
}

static void many(void **state)
{
    struct fixture *fixture = *state;
    enum { N = 2300 };
    struct seen seen = {0};
    fixture_fill(fixture, 0, 0, 700, 0);
    fixture_fill(fixture, 0, 700, 800, 30 * 1000);
    fixture_fill(fixture, 0, 1500, 800, 86400 * 1000);
    export_all(fixture, &seen);
    expect_each_once(fixture, &seen, N);
    expect_empty(fixture);
    seen_clear(&seen);
}

/* Small bodies, then some of a megabyte each: a batch of the latter is far more than an adapter takes at
 * once. */
static void large_bodies(void **state)
{
    struct fixture *fixture = *state;
    enum { SMALL = 600, LARGE = 24, SIZE = 1024 * 1024 };
    struct seen seen = {0};
    bide_error error;
    char *body = bide_calloc(SIZE, 1);
    assert_non_null(body);
    fixture_fill(fixture, 0, 0, SMALL, 0);
    for (size_t i = SMALL; i < SMALL + LARGE; i++) {
        struct bide_message *message = fixture_message(fixture, i, 0);
        assert_ok(bide_message_set_body(message, body, SIZE, &error), &error);
        assert_ok(bide_message_stamp(message, fixture->queues[0], bide_clock_system(), &error), &error);
        fixture_send(fixture, message);
    }
    export_all(fixture, &seen);
    expect_each_once(fixture, &seen, SMALL + LARGE);
    for (size_t i = 0; i < seen.n; i++)
        assert_int_equal(fixture_index(fixture, seen.items[i].message->id), i);
    assert_int_equal(seen.items[SMALL + LARGE - 1].message->body_size, SIZE);
    expect_empty(fixture);
    bide_free(body);
    seen_clear(&seen);
}

static void dead(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 5, 0);
    hand_take(hand, 5, SOON_MS);
    int64_t before_ms = now_ms();
    while (hand->n > 0)
        hand_give(hand, 0, dead_of(BIDE_REASON_REJECTED, 4, "no such address"));
    hand_flush(hand);
    hand_close(hand);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 5);
    export_all(fixture, &seen);
    expect_each_once(fixture, &seen, 5);
    for (size_t i = 0; i < seen.n; i++) {
        assert_true(seen.items[i].dead);
        assert_int_equal(seen.items[i].reason, BIDE_REASON_REJECTED);
        assert_between(seen.items[i].died_ms, before_ms, now_ms());
        assert_int_equal(seen.items[i].message->attempt, 4);
        assert_string_equal(seen.items[i].message->error, "no such address");
    }
    expect_empty(fixture);
    seen_clear(&seen);
}

/* A failure ends it; what had arrived by then is gone from here, everything else is as it was. */
static void failure_gives_back(void **state)
{
    struct fixture *fixture = *state;
    enum { N = 1200, CARRIED = 7 };
    struct seen seen = {.fail_at = 2, .carry = CARRIED}, rest = {0};
    bide_error error;
    fixture_fill(fixture, 0, 0, N / 2, 0);
    fixture_fill(fixture, 0, N / 2, N / 2, 3600 * 1000);
    assert_int_equal(export_queue(fixture, 0, &seen, &error), BIDE_E_BROKER);
    assert_string_equal(error.text, "nobody is there");
    assert_int_equal(seen.n_visits, 2);
    assert_between(seen.n, CARRIED + 1, BIDE_EXPORT_BATCH + CARRIED);
    export_all(fixture, &rest);
    assert_int_equal(seen.n + rest.n, N);
    for (size_t i = 0; i < rest.n; i++)
        assert_int_equal(rest.items[i].message->attempt, 1);
    expect_empty(fixture);
    seen_clear(&seen);
    seen_clear(&rest);
}

/* What a failed export gave back runs as if nothing had been. */
static void given_back_runs(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {.fail_at = 1};
    bide_error error;
    fixture_fill(fixture, 0, 0, 10, 0);
    assert_int_equal(export_queue(fixture, 0, &seen, &error), BIDE_E_BROKER);
    struct hand *hand = hand_open(fixture);
    hand_take(hand, 10, SOON_MS);
    for (size_t i = 0; i < hand->n; i++)
        assert_int_equal(hand->held[i].delivery->message->attempt, 1);
    hand_ack_all(hand);
    seen_clear(&seen);
}

/* A success that does not take everything: the rest stays (it may be offered again, as long as others go),
 * and the export comes to its end. */
static void left_behind(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {.keep_odd = true}, rest = {0};
    bide_error error;
    fixture_fill(fixture, 0, 0, 10, 0);
    fixture_fill(fixture, 0, 10, 10, 3600 * 1000);
    assert_ok(export_queue(fixture, 0, &seen, &error), &error);
    assert_between(seen.n, 10, 20);
    export_all(fixture, &rest);
    assert_int_equal(seen.n + rest.n, 20);
    expect_empty(fixture);
    seen_clear(&seen);
    seen_clear(&rest);
}

static void what_a_worker_holds_stays(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 4, 0);
    hand_take(hand, 4, SOON_MS);
    export_all(fixture, &seen);
    assert_int_equal(seen.n, 0);
    assert_int_equal(hand->n, 4);
    hand_flush(hand);
    hand_ack_all(hand);
    expect_empty(fixture);
}

/* ---- the other way ---- */

static void add_letter(
    struct fixture *fixture, struct bide_message *message, enum bide_reason reason, int64_t died_ms)
{
    struct bide_admin *admin = fixture_admin(fixture);
    const struct bide_dead_letter letter = {message, reason, died_ms};
    bide_error error;
    assert_ok(admin->ops->dead_add(admin, &letter, 1, &error), &error);
}

static struct bide_message *stamped(struct fixture *fixture, size_t i)
{
    bide_error error;
    struct bide_message *message = fixture_message(fixture, i, 0);
    assert_ok(bide_message_set_body(message, "x\0y", 3, &error), &error);
    assert_ok(bide_message_set_header(message, "tenant", "blue", &error), &error);
    assert_ok(bide_message_stamp(message, fixture->queues[0], bide_clock_system(), &error), &error);
    return message;
}

static void letters_arrive(void **state)
{
    struct fixture *fixture = *state;
    struct listed listed;
    struct bide_message *message = stamped(fixture, 0);
    int64_t died_ms = now_ms() - 86400 * 1000;
    message->attempt = 5;
    message->error = "gave up";
    message->failures = "[{\"attempt\":4}]";
    add_letter(fixture, message, BIDE_REASON_TIMEOUT, died_ms);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 1);
    list_dead(fixture, (struct bide_dead_filter){0}, &listed);
    assert_int_equal(listed.n, 1);
    assert_int_equal(listed.reasons[0], BIDE_REASON_TIMEOUT);
    assert_int_equal(listed.died_ms[0], died_ms);
    assert_string_equal(listed.first->id, message->id);
    assert_string_equal(listed.first->error, "gave up");
    assert_string_equal(listed.first->failures, message->failures);
    assert_string_equal(listed.first->queue, fixture->queues[0]);
    assert_string_equal(bide_message_header(listed.first, "tenant"), "blue");
    assert_int_equal(listed.first->attempt, 5);
    assert_int_equal(listed.first->sent_ms, message->sent_ms);
    assert_int_equal(listed.first->body_size, 3);
    assert_memory_equal(listed.first->body, "x\0y", 3);
    listed_clear(&listed);
    bide_message_destroy(message);
}

/* Out and in again: the same letter. Then it can be replayed like any other. */
static void letters_go_round(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    struct bide_message *message = stamped(fixture, 0);
    int64_t died_ms = now_ms() - 5000;
    message->attempt = 2;
    for (int round = 0; round < 2; round++) {
        add_letter(fixture, message, BIDE_REASON_EXHAUSTED, died_ms);
        export_all(fixture, &seen);
        assert_int_equal(seen.n, 1);
        assert_true(seen.items[0].dead);
        assert_int_equal(seen.items[0].reason, BIDE_REASON_EXHAUSTED);
        assert_int_equal(seen.items[0].died_ms, died_ms);
        assert_int_equal(seen.items[0].message->attempt, 2);
        bide_message_destroy(message);
        message = message_copy(seen.items[0].message);
        seen_clear(&seen);
    }
    add_letter(fixture, message, BIDE_REASON_EXHAUSTED, died_ms);
    struct hand *hand = hand_open(fixture);
    assert_int_equal(retry_dead(fixture, (struct bide_dead_filter){0}), 1);
    hand_take(hand, 1, SOON_MS);
    assert_string_equal(hand->held[0].delivery->message->id, message->id);
    assert_int_equal(hand->held[0].delivery->message->attempt, 1);
    hand_ack_all(hand);
    bide_message_destroy(message);
}

static void many_letters(void **state)
{
    struct fixture *fixture = *state;
    enum { N = 700 };
    struct bide_message *messages[N];
    struct bide_dead_letter letters[N];
    struct bide_admin *admin = fixture_admin(fixture);
    struct seen seen = {0};
    bide_error error;
    for (size_t i = 0; i < N; i++) {
        messages[i] = stamped(fixture, i);
        letters[i] = (struct bide_dead_letter){messages[i], BIDE_REASON_REJECTED, now_ms()};
    }
    assert_ok(admin->ops->dead_add(admin, letters, N, &error), &error);
    fixture_expect_counts(fixture, 0, 0, 0, 0, N);
    export_all(fixture, &seen);
    expect_each_once(fixture, &seen, N);
    expect_empty(fixture);
    for (size_t i = 0; i < N; i++)
        bide_message_destroy(messages[i]);
    seen_clear(&seen);
}

static bool is_same(struct fixture *fixture, const struct bide_broker_options *other_options, bool erase)
{
    struct bide_admin *admin = fixture_admin(fixture), *other;
    bool same = false;
    bide_error error;
    assert_ok(fixture->adapter->open_admin(other_options, &other, &error), &error);
    assert_ok(admin->ops->same_place(admin, other, &same, &error), &error);
    if (erase)
        assert_ok(other->ops->erase(other, &error), &error);
    bide_admin_destroy(other);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0); /* both still answer */
    return same;
}

/* `bide move` between two spellings of one place would never end. */
static void same_place(void **state)
{
    struct fixture *fixture = *state;
    struct bide_url url = fixture->url; /* borrows the texts */
    struct bide_broker_options other = fixture->options;
    char spelling[512], name_space[sizeof fixture->name_space + 8];
    assert_true(is_same(fixture, &fixture->options, false));
    other.url = &url;
    if (url.n_hosts)
        url.hosts[0].name = strcmp(url.hosts[0].name, "localhost") == 0 ? "127.0.0.1" : "localhost";
    else if (url.path && *url.path == '/') {
        snprintf(spelling, sizeof spelling, "/.%s", url.path);
        url.path = spelling;
    }
    assert_true(is_same(fixture, &other, false));
    snprintf(name_space, sizeof name_space, "%s-other", fixture->name_space);
    other.name_space = name_space;
    assert_false(is_same(fixture, &other, true));
}

static const struct CMUnitTest cases[] = {
    CASE("moving/nothing", nothing),
    CASE("moving/ready", ready),
    CASE("moving/delayed-with-all-fields", delayed_with_all_fields),
    CASE("moving/many", many),
    CASE("moving/large-bodies", large_bodies),
    CASE("moving/dead", dead),
    CASE("moving/failure-gives-back", failure_gives_back),
    CASE("moving/given-back-runs", given_back_runs),
    CASE("moving/left-behind", left_behind),
    CASE("moving/what-a-worker-holds-stays", what_a_worker_holds_stays),
    CASE("moving/letters-arrive", letters_arrive),
    CASE("moving/letters-go-round", letters_go_round),
    CASE("moving/many-letters", many_letters),
    CASE("moving/same-place-by-another-name", same_place),
};
CASE_GROUP(moving_cases, cases);
