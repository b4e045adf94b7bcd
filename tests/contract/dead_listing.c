/* Dead letters: kept with their reason, listed newest first, filtered, and never changed by looking. */
#include <malloc.h>
#include <string.h>

#include "base/alloc.h"
#include "contract/cases.h"

enum { HOUR_MS = 3600 * 1000 };

static const enum bide_reason reasons[] = {BIDE_REASON_EXHAUSTED, BIDE_REASON_REJECTED, BIDE_REASON_NO_TYPE,
    BIDE_REASON_UNKNOWN_TYPE, BIDE_REASON_CRASHED, BIDE_REASON_TIMEOUT, BIDE_REASON_OVERSIZED,
    BIDE_REASON_MALFORMED};
enum { N_REASONS = sizeof reasons / sizeof reasons[0] };

static void next_millisecond(void)
{
    struct deadline deadline = deadline_in_ms(3);
    while (!deadline_passed(&deadline))
        deadline_nap(&deadline);
}

/* Sends one a reason and lets each die for its reason, one after the other, with i + 1 attempts. */
static void bury_one_a_reason(struct fixture *fixture, struct hand *hand)
{
    char id[FIXTURE_ID];
    fixture_fill(fixture, 0, 0, N_REASONS, 0);
    hand_take(hand, N_REASONS, SOON_MS);
    for (size_t i = 0; i < N_REASONS; i++) {
        size_t index = hand_find(hand, fixture_id(fixture, i, id));
        hand_give(hand, index, dead_of(reasons[i], (int)i + 1, "what went wrong"));
        hand_flush(hand);
        next_millisecond();
    }
}

static void each_reason_newest_first(void **state)
{
    struct fixture *fixture = *state;
    static struct listed listed;
    int64_t before_ms = now_ms();
    struct hand *hand = hand_open(fixture);
    bury_one_a_reason(fixture, hand);
    hand_expect_none(hand, QUIET_MS);
    fixture_expect_counts(fixture, 0, 0, 0, 0, N_REASONS);
    list_dead(fixture, (struct bide_dead_filter){0}, &listed);
    assert_int_equal(listed.n, N_REASONS);
    for (size_t i = 0; i < N_REASONS; i++) {
        size_t expected = N_REASONS - 1 - i;
        assert_int_equal(fixture_index(fixture, listed.ids[i]), expected);
        assert_int_equal(listed.reasons[i], reasons[expected]);
        assert_between(listed.died_ms[i], before_ms, now_ms());
    }
    assert_int_equal(listed.first->attempt, N_REASONS);
    assert_string_equal(listed.first->error, "what went wrong");
    listed_clear(&listed);
}

static void shown_whole(void **state)
{
    struct fixture *fixture = *state;
    static struct listed listed;
    struct hand *hand = hand_open(fixture);
    bide_error error;
    struct bide_message *message = fixture_message(fixture, 1, 0);
    assert_ok(bide_message_set_header(message, "tenant", "blue", &error), &error);
    assert_ok(bide_message_set_content_type(message, "text/plain", &error), &error);
    assert_ok(bide_message_set_body(message, "\0body\0", 6, &error), &error);
    fixture_send(fixture, message);
    fixture_fill(fixture, 0, 2, 3, 0);
    hand_take(hand, 4, SOON_MS);
    hand_settle_all(hand, &(struct bide_settlement){
                              .verdict = BIDE_VERDICT_DEAD, .reason = BIDE_REASON_REJECTED, .attempt = 2});
    char id[FIXTURE_ID];
    const char *ids[] = {fixture_id(fixture, 1, id)};
    list_dead(fixture, (struct bide_dead_filter){.ids = ids, .n_ids = 1}, &listed);
    assert_int_equal(listed.n, 1);
    const struct bide_message *shown = listed.first;
    assert_string_equal(shown->id, id);
    assert_string_equal(shown->type, "job");
    assert_string_equal(shown->queue, fixture->queues[0]);
    assert_string_equal(shown->content_type, "text/plain");
    assert_string_equal(bide_message_header(shown, "tenant"), "blue");
    assert_int_equal(shown->n_headers, 1);
    assert_int_equal(shown->body_size, 6);
    assert_memory_equal(shown->body, "\0body\0", 6);
    assert_int_equal(shown->attempt, 2);
    listed_clear(&listed);
}

/* How many runs there were: none at all, for what no handler could take, is not one. */
static void counts_runs(void **state)
{
    struct fixture *fixture = *state;
    static struct listed listed;
    struct hand *hand = hand_open(fixture);
    char id[FIXTURE_ID];
    fixture_fill(fixture, 0, 0, 3, 0);
    hand_take(hand, 3, SOON_MS);
    for (size_t i = 0; i < 3; i++)
        hand_give(hand, hand_find(hand, fixture_id(fixture, i, id)),
            dead_of(BIDE_REASON_UNKNOWN_TYPE, (int)i, "no handler"));
    hand_flush(hand);
    for (size_t i = 0; i < 3; i++) {
        const char *ids[] = {fixture_id(fixture, i, id)};
        list_dead(fixture, (struct bide_dead_filter){.ids = ids, .n_ids = 1}, &listed);
        assert_int_equal(listed.n, 1);
        assert_int_equal(listed.first->attempt, i);
        listed_clear(&listed);
    }
}

static size_t count_dead(struct fixture *fixture, struct bide_dead_filter filter)
{
    static struct listed listed;
    list_dead(fixture, filter, &listed);
    listed_clear(&listed);
    return listed.n;
}

/* Six dead letters: types red and blue on both queues, rejected and exhausted. */
static void bury_six(struct fixture *fixture)
{
    static const char *const types[] = {"red", "blue", "red", "blue", "red", "red"};
    struct hand *hand = hand_open(fixture);
    char id[FIXTURE_ID];
    bide_error error;
    for (size_t i = 0; i < 6; i++) {
        struct bide_message *message;
        assert_ok(bide_message_create(types[i], &message, &error), &error);
        assert_ok(bide_message_set_id(message, fixture_id(fixture, i, id), &error), &error);
        assert_ok(bide_message_set_queue(message, fixture->queues[i < 4 ? 0 : 1], &error), &error);
        fixture_send(fixture, message);
    }
    hand_take(hand, 6, SOON_MS);
    for (size_t i = 0; i < 6; i++) {
        enum bide_reason reason = i == 3 ? BIDE_REASON_EXHAUSTED : BIDE_REASON_REJECTED;
        hand_give(hand, hand_find(hand, fixture_id(fixture, i, id)), dead_of(reason, 1, "no"));
        hand_flush(hand);
        next_millisecond();
    }
    hand_close(hand); /* what is replayed is for others */
}

static void filters(void **state)
{
    struct fixture *fixture = *state;
    char first[FIXTURE_ID], last[FIXTURE_ID];
    const char *ids[] = {fixture_id(fixture, 0, first), fixture_id(fixture, 5, last), "nobody"};
    bury_six(fixture);
    assert_int_equal(count_dead(fixture, (struct bide_dead_filter){0}), 4);
    assert_int_equal(count_dead(fixture, (struct bide_dead_filter){.queue = fixture->queues[1]}), 2);
    assert_int_equal(count_dead(fixture, (struct bide_dead_filter){.type = "red"}), 2);
    assert_int_equal(count_dead(fixture, (struct bide_dead_filter){.type = "green"}), 0);
    assert_int_equal(count_dead(fixture, (struct bide_dead_filter){.reason = BIDE_REASON_EXHAUSTED}), 1);
    assert_int_equal(
        count_dead(fixture, (struct bide_dead_filter){.reason = BIDE_REASON_EXHAUSTED, .type = "red"}), 0);
    assert_int_equal(count_dead(fixture, (struct bide_dead_filter){.ids = ids, .n_ids = 3}), 1);
    assert_int_equal(count_dead(fixture, (struct bide_dead_filter){.limit = 3}), 3);
    assert_int_equal(count_dead(fixture, (struct bide_dead_filter){.queue = "no-such-queue"}), 0);
}

static bool count_own(void *user, const struct bide_dead_letter *letter)
{
    size_t *counts = user;
    counts[0] += strcmp(letter->message->type, "red") == 0;
    counts[1]++;
    return true;
}

static void without_a_filter(void **state)
{
    struct fixture *fixture = *state;
    size_t counts[2] = {0, 0};
    bide_error error;
    struct bide_dead_filter any = {0};
    struct bide_admin *admin = fixture_admin(fixture);
    bury_six(fixture);
    assert_ok(admin->ops->dead_each(admin, &any, count_own, counts, &error), &error);
    assert_int_equal(counts[0] >= 4, 1);
    assert_true(counts[1] >= 6); /* in a shared namespace other cases' letters lie here, too */
}

static void limit_takes_the_newest(void **state)
{
    struct fixture *fixture = *state;
    static struct listed listed;
    bury_six(fixture);
    list_dead(fixture, (struct bide_dead_filter){.limit = 2}, &listed);
    assert_int_equal(listed.n, 2);
    assert_int_equal(fixture_index(fixture, listed.ids[0]), 3);
    assert_int_equal(fixture_index(fixture, listed.ids[1]), 2);
    listed_clear(&listed);
}

/* What the program holds while it is shown a letter. */
struct weight {
    size_t before, most, n;
};

static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static bool weigh(void *user, const struct bide_dead_letter *letter)
{
    struct weight *weight = user;
    size_t now = allocated();
    (void)letter;
    weight->n++;
    if (now > weight->before && now - weight->before > weight->most)
        weight->most = now - weight->before;
    return true;
}

/* A page of letters is not held with all its bodies, nor those that it passes over. */
static void large_letters_are_not_held(void **state)
{
    enum { N = 40, PAGE = 20, BODY = 512 * 1024, MOST = 4 * 1024 * 1024 };
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    char *body = bide_calloc(1, BODY);
    bide_error error;
    assert_non_null(body);
    for (size_t i = 0; i < N; i++) {
        struct bide_message *message = fixture_message(fixture, i, 0);
        assert_ok(bide_message_set_body(message, body, BODY, &error), &error);
        fixture_send(fixture, message);
        hand_take(hand, 1, SOON_MS);
        hand_settle_all(
            hand, &(struct bide_settlement){
                      .verdict = BIDE_VERDICT_DEAD, .reason = BIDE_REASON_REJECTED, .attempt = 1});
    }
    bide_free(body);
    hand_close(hand);
    struct bide_admin *admin = fixture_admin(fixture);
    struct bide_dead_filter page = {.queue = fixture->queues[0], .limit = PAGE, .without_bodies = true};
    struct weight weight = {.before = allocated()};
    assert_ok(admin->ops->dead_each(admin, &page, weigh, &weight, &error), &error);
    assert_int_equal(weight.n, PAGE);
    assert_between(weight.most, 0, MOST);
    assert_int_equal(drop_dead(fixture, (struct bide_dead_filter){0}), N);
}

static void listing_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    bury_six(fixture);
    for (int i = 0; i < 100; i++)
        assert_int_equal(count_dead(fixture, (struct bide_dead_filter){0}), 4);
    struct hand *hand = hand_open(fixture);
    hand_expect_none(hand, QUIET_MS);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 4);
    assert_int_equal(retry_dead(fixture, (struct bide_dead_filter){0}), 4);
    hand_take(hand, 4, SOON_MS);
    hand_ack_all(hand);
}

/* Three that died 3, 2 and 1 hours ago. */
static void bury_by_time(struct fixture *fixture, int64_t now)
{
    static const char *const errors[] = {"connect: Connection refused", "no such card", ""};
    struct bide_admin *admin = fixture_admin(fixture);
    bide_error error;
    for (int i = 0; i < 3; i++) {
        struct bide_message *message = fixture_message(fixture, (size_t)i, 0);
        assert_ok(bide_message_stamp(message, fixture->queues[0], bide_clock_system(), &error), &error);
        message->error = errors[i];
        message->failures = i == 1 ? "[{\"attempt\":1,\"error\":\"refused\"}]" : "";
        const struct bide_dead_letter letter = {message, BIDE_REASON_EXHAUSTED, now - (3 - i) * HOUR_MS};
        assert_ok(admin->ops->dead_add(admin, &letter, 1, &error), &error);
        bide_message_destroy(message);
    }
}

static void by_text_and_time(void **state)
{
    struct fixture *fixture = *state;
    int64_t now = now_ms(), half = HOUR_MS / 2;
    char id[FIXTURE_ID];
    bury_by_time(fixture, now);
    const struct {
        struct bide_dead_filter filter;
        size_t n;
    } rows[] = {
        {{.search = "CONNECTION"}, 1},
        {{.search = "card"}, 1},
        {{.search = "refused"}, 1},
        {{.search = "job"}, 3},
        {{.search = fixture_id(fixture, 2, id)}, 1},
        {{.search = "nowhere"}, 0},
        {{.died_from_ms = now - 2 * HOUR_MS - half}, 2},
        {{.died_before_ms = now - HOUR_MS - half}, 2},
        {{.died_from_ms = now - 2 * HOUR_MS - half, .died_before_ms = now - HOUR_MS - half}, 1},
        {{.died_from_ms = now - 2 * HOUR_MS, .died_before_ms = now - HOUR_MS}, 1},
        {{.search = "card", .died_from_ms = now - half}, 0},
        {{.search = "job", .limit = 2}, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct listed listed;
        list_dead(fixture, rows[i].filter, &listed);
        if (listed.n != rows[i].n)
            fail_msg("row %zu: %zu letters, not %zu", i, listed.n, rows[i].n);
        listed_clear(&listed);
    }
    assert_int_equal(drop_dead(fixture, (struct bide_dead_filter){.search = "CARD"}), 1);
    assert_int_equal(
        retry_dead(fixture, (struct bide_dead_filter){.died_before_ms = now - 2 * HOUR_MS - half}), 1);
    fixture_expect_counts(fixture, 0, 1, 0, 0, 1);
}

static bool stop_at_once(void *user, const struct bide_dead_letter *letter)
{
    (void)letter;
    (*(size_t *)user)++;
    return false;
}

static void the_visitor_ends_the_walk(void **state)
{
    struct fixture *fixture = *state;
    size_t visits = 0;
    bide_error error;
    struct bide_dead_filter any = {.queue = fixture->queues[0]};
    struct bide_admin *admin = fixture_admin(fixture);
    bury_six(fixture);
    assert_ok(admin->ops->dead_each(admin, &any, stop_at_once, &visits, &error), &error);
    assert_int_equal(visits, 1);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 4);
}

static void outlives_its_receiver(void **state)
{
    struct fixture *fixture = *state;
    bury_six(fixture);
    hand_close(&fixture->hands[0]);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 4);
    fixture_expect_counts(fixture, 1, 0, 0, 0, 2);
}

static const struct CMUnitTest cases[] = {
    CASE("dead/each-reason-newest-first", each_reason_newest_first),
    CASE("dead/shown-whole", shown_whole),
    CASE("dead/counts-runs", counts_runs),
    CASE("dead/filters", filters),
    CASE("dead/by-text-and-time", by_text_and_time),
    CASE("dead/without-a-filter", without_a_filter),
    CASE("dead/limit-takes-the-newest", limit_takes_the_newest),
    CASE("dead/large-letters-are-not-held", large_letters_are_not_held),
    CASE("dead/listing-changes-nothing", listing_changes_nothing),
    CASE("dead/the-visitor-ends-the-walk", the_visitor_ends_the_walk),
    CASE("dead/outlives-its-receiver", outlives_its_receiver),
};
CASE_GROUP(dead_listing_cases, cases);
