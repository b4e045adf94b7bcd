/* What waits can be found, cancelled and rescheduled; what a worker has is left alone. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "bide/admin.h"
#include "contract/cases.h"

enum { HOUR_MS = 3600 * 1000, MOST = 2000 };

/* RabbitMQ refuses: nothing else can be asked of it. */
static bool searches(struct fixture *fixture)
{
    struct bide_admin *admin = fixture_admin(fixture);
    char cursor[BIDE_CURSOR_SIZE] = "";
    bide_error error;
    if (admin->ops->find)
        return true;
    assert_int_equal(bide_admin_list(admin, &(bide_selection){0}, cursor, NULL, NULL, &error), BIDE_E_CONFIG);
    assert_int_equal(bide_admin_cancel(admin, &(bide_selection){0}, NULL, &error), BIDE_E_CONFIG);
    assert_int_equal(bide_admin_reschedule(admin, &(bide_selection){0}, 0, NULL, &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "cannot search"));
    return false;
}

/* ---- what a walk and a change say ---- */

struct seen {
    const struct fixture *fixture;
    size_t n, most; /* most: of this page */
    unsigned states[MOST];
    unsigned times[MOST];
    size_t body_size, shown_size; /* of the last one */
    int64_t due_ms, expires_ms;
    int attempt;
    char worker[256], error[64];
};

static bool see(void *user, const bide_found *found)
{
    struct seen *seen = user;
    size_t i = fixture_index(seen->fixture, bide_message_id(found->message));
    if (i < MOST) {
        seen->states[i] = found->state;
        seen->times[i]++;
    }
    seen->body_size = found->body_size;
    (void)bide_message_body(found->message, &seen->shown_size);
    seen->due_ms = bide_message_due_ms(found->message);
    seen->expires_ms = bide_message_expires_ms(found->message);
    seen->attempt = bide_message_attempt(found->message);
    snprintf(seen->worker, sizeof seen->worker, "%s", found->worker);
    snprintf(seen->error, sizeof seen->error, "%s", bide_message_error(found->message));
    return ++seen->n < seen->most;
}

/* One page from the cursor on. */
static void list_page(struct fixture *fixture, bide_selection selection, size_t most,
    char cursor[BIDE_CURSOR_SIZE], struct seen *seen)
{
    bide_error error;
    seen->fixture = fixture;
    seen->most = seen->n + most;
    assert_ok(bide_admin_list(fixture_admin(fixture), &selection, cursor, see, seen, &error), &error);
}

static size_t list_all(struct fixture *fixture, bide_selection selection, struct seen *seen)
{
    char cursor[BIDE_CURSOR_SIZE] = "";
    *seen = (struct seen){0};
    list_page(fixture, selection, SIZE_MAX / 2, cursor, seen);
    assert_string_equal(cursor, "");
    return seen->n;
}

struct told {
    const struct fixture *fixture;
    size_t n, by_fate[BIDE_FATE_RUNNING + 1];
    int fates[MOST];
};

static void take_note(void *user, const char *id, bide_fate fate)
{
    struct told *told = user;
    size_t i = fixture_index(told->fixture, id);
    told->n++;
    told->by_fate[fate]++;
    if (i < MOST)
        told->fates[i] = (int)fate;
}

static struct told change(struct fixture *fixture, bide_selection selection, int64_t due_ms)
{
    struct bide_admin *admin = fixture_admin(fixture);
    struct told told = {.fixture = fixture};
    const bide_account account = {.fate = take_note, .user = &told};
    bide_error error;
    if (due_ms)
        assert_ok(bide_admin_reschedule(admin, &selection, due_ms, &account, &error), &error);
    else
        assert_ok(bide_admin_cancel(admin, &selection, &account, &error), &error);
    return told;
}

/* Of n ids, every step-th from `first` on. */
static struct told change_ids(struct fixture *fixture, size_t first, size_t n, size_t step, int64_t due_ms)
{
    static char ids[MOST][FIXTURE_ID];
    const char *names[MOST];
    for (size_t i = 0; i < n; i++)
        names[i] = fixture_id(fixture, first + i * step, ids[i]);
    return change(fixture, (bide_selection){.ids = names, .n_ids = n}, due_ms);
}

static bide_selection of_queue(const struct fixture *fixture, size_t queue)
{
    return (bide_selection){.queue = fixture->queues[queue]};
}

/* ---- finding ---- */

static void lists_in_pages(void **state)
{
    struct fixture *fixture = *state;
    static struct seen seen;
    char cursor[BIDE_CURSOR_SIZE] = "";
    if (!searches(fixture))
        return;
    fixture_fill(fixture, 0, 0, 250, HOUR_MS);
    fixture_fill(fixture, 1, 250, 250, HOUR_MS);
    fixture_fill(fixture, 0, 500, 130, 0);
    seen = (struct seen){0};
    for (int pages = 0; pages == 0 || *cursor; pages++) {
        list_page(fixture, (bide_selection){0}, 7, cursor, &seen);
        assert_true(pages < 100);
        assert_true(*cursor ? seen.n == 7 * (size_t)(pages + 1) : true);
    }
    assert_int_equal(seen.n, 630);
    for (size_t i = 0; i < 630; i++) {
        assert_int_equal(seen.times[i], 1);
        assert_int_equal(seen.states[i], i < 500 ? BIDE_STATE_DELAYED : BIDE_STATE_READY);
    }
    assert_int_equal(list_all(fixture, (bide_selection){.states = BIDE_STATE_DELAYED}, &seen), 500);
    assert_int_equal(list_all(fixture, (bide_selection){.states = BIDE_STATE_READY}, &seen), 130);
    assert_int_equal(list_all(fixture, of_queue(fixture, 1), &seen), 250);
    assert_int_equal(list_all(fixture, (bide_selection){.type = "job"}, &seen), 630);
    assert_int_equal(list_all(fixture, (bide_selection){.type = "other"}, &seen), 0);
}

/* Those cancelled between two pages are the ones that the cursor stands on. */
static void goes_on_where_messages_went(void **state)
{
    struct fixture *fixture = *state;
    static struct seen seen;
    char cursor[BIDE_CURSOR_SIZE] = "";
    if (!searches(fixture))
        return;
    fixture_fill(fixture, 0, 0, 100, HOUR_MS);
    fixture_fill(fixture, 0, 100, 100, 0);
    seen = (struct seen){0};
    do {
        struct seen before = seen;
        list_page(fixture, (bide_selection){0}, 9, cursor, &seen);
        for (size_t i = 0; i < 200; i++)
            if (seen.times[i] > before.times[i])
                assert_int_equal(change_ids(fixture, i, 1, 1, 0).by_fate[BIDE_FATE_CANCELLED], 1);
    } while (*cursor);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(seen.times[i], 1);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

static void shows_one(void **state)
{
    struct fixture *fixture = *state;
    struct bide_admin *admin = fixture_admin(fixture);
    static struct seen seen;
    char id[FIXTURE_ID];
    bide_error error;
    struct hand *hand = hand_open_shut(fixture);
    if (!searches(fixture))
        return;
    struct bide_message *message = fixture_message(fixture, 0, HOUR_MS);
    assert_ok(bide_message_set_body(message, "twelve bytes", 12, &error), &error);
    fixture_send(fixture, message);
    fixture_fill(fixture, 0, 1, 1, 0);
    seen = (struct seen){.fixture = fixture, .most = 9};
    assert_ok(bide_admin_show(admin, fixture_id(fixture, 0, id), see, &seen, &error), &error);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.states[0], BIDE_STATE_DELAYED);
    assert_int_equal(seen.body_size, 12);
    assert_int_equal(seen.shown_size, 12);
    assert_int_equal(
        list_all(fixture, (bide_selection){.without_bodies = true, .states = BIDE_STATE_DELAYED}, &seen), 1);
    assert_int_equal(seen.body_size, 12);
    hand->receiver->ops->limit(hand->receiver, 0, HAND_LIMIT);
    hand_take(hand, 1, SOON_MS);
    seen = (struct seen){.fixture = fixture, .most = 9};
    assert_ok(bide_admin_show(admin, fixture_id(fixture, 1, id), see, &seen, &error), &error);
    assert_int_equal(seen.states[1], BIDE_STATE_RUNNING);
    hand_settle_all(hand, &(struct bide_settlement){
                              .verdict = BIDE_VERDICT_DEAD, .reason = BIDE_REASON_REJECTED, .attempt = 1});
    seen = (struct seen){.fixture = fixture, .most = 9};
    assert_ok(bide_admin_show(admin, id, see, &seen, &error), &error);
    assert_int_equal(seen.states[1], BIDE_STATE_DEAD);
    assert_int_equal(
        bide_admin_show(admin, fixture_id(fixture, 2, id), see, &seen, &error), BIDE_E_NOT_FOUND);
}

static void refuses_a_foreign_cursor(void **state)
{
    struct fixture *fixture = *state;
    static struct seen seen;
    static const char *const cursors[] = {"rubbish", "w 1", "w 1 2 a b", "d|1|x", "12x", "c|", "e|||||"};
    bide_error error;
    if (!searches(fixture))
        return;
    fixture_fill(fixture, 0, 0, 1, HOUR_MS);
    for (size_t i = 0; i < sizeof cursors / sizeof cursors[0]; i++) {
        char cursor[BIDE_CURSOR_SIZE];
        snprintf(cursor, sizeof cursor, "%s", cursors[i]);
        seen = (struct seen){.fixture = fixture, .most = 9};
        assert_int_equal(
            bide_admin_list(fixture_admin(fixture), &(bide_selection){0}, cursor, see, &seen, &error),
            BIDE_E_DATA);
    }
}

/* ---- cancelling ---- */

static void cancels_those_and_only_those(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open_shut(fixture);
    if (!searches(fixture))
        return;
    fixture_fill(fixture, 0, 0, 500, HOUR_MS);
    fixture_fill(fixture, 0, 500, 500, 0);
    int64_t before = fixture_stats(fixture, 0).cancelled;
    struct told told = change_ids(fixture, 3, 100, 10, 0);
    assert_int_equal(told.n, 100);
    assert_int_equal(told.by_fate[BIDE_FATE_CANCELLED], 100);
    fixture_expect_counts(fixture, 0, 450, 450, 0, 0);
    assert_int_equal(fixture_stats(fixture, 0).cancelled, before + 100);
    assert_int_equal(change_ids(fixture, 3, 100, 10, 0).by_fate[BIDE_FATE_UNKNOWN], 100);
    hand->receiver->ops->limit(hand->receiver, 0, HAND_LIMIT);
    hand_take(hand, 450, MANY_MS);
    for (size_t i = 0; i < hand->n; i++)
        assert_int_not_equal(fixture_index(fixture, hand->held[i].delivery->message->id) % 10, 3);
    hand_ack_all(hand);
    told = change(fixture, (bide_selection){.type = "job", .queue = fixture->queues[0]}, 0);
    assert_int_equal(told.by_fate[BIDE_FATE_CANCELLED], 450);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

/* By type, by queue, every copy of an id; nothing else. */
static void cancels_what_the_selection_means(void **state)
{
    struct fixture *fixture = *state;
    bide_error error;
    if (!searches(fixture))
        return;
    fixture_fill(fixture, 0, 0, 20, HOUR_MS);
    fixture_fill(fixture, 1, 0, 20, HOUR_MS); /* the same ids */
    struct bide_message *message;
    assert_ok(bide_message_create("other", &message, &error), &error);
    assert_ok(bide_message_set_queue(message, fixture->queues[0], &error), &error);
    fixture_send(fixture, message);
    assert_int_equal(change_ids(fixture, 5, 1, 1, 0).by_fate[BIDE_FATE_CANCELLED], 1);
    fixture_expect_counts(fixture, 1, 0, 19, 0, 0);
    assert_int_equal(change(fixture, of_queue(fixture, 1), 0).by_fate[BIDE_FATE_CANCELLED], 19);
    fixture_expect_counts(fixture, 0, 1, 19, 0, 0);
    assert_int_equal(change(fixture, (bide_selection){.type = "job"}, 0).by_fate[BIDE_FATE_CANCELLED], 19);
    fixture_expect_counts(fixture, 0, 1, 0, 0, 0);
    fixture_expect_counts(fixture, 1, 0, 0, 0, 0);
}

static void leaves_what_runs_and_what_is_dead(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    if (!searches(fixture))
        return;
    fixture_fill(fixture, 0, 0, 3, 0);
    hand_take(hand, 3, SOON_MS);
    hand_give(hand, hand_find(hand, fixture_id(fixture, 2, (char[FIXTURE_ID]){0})),
        dead_of(BIDE_REASON_REJECTED, 1, "no"));
    hand_flush(hand);
    struct told told = change_ids(fixture, 0, 4, 1, 0);
    assert_int_equal(told.fates[0], BIDE_FATE_RUNNING);
    assert_int_equal(told.fates[1], BIDE_FATE_RUNNING);
    assert_int_equal(told.fates[2], BIDE_FATE_DEAD);
    assert_int_equal(told.fates[3], BIDE_FATE_UNKNOWN);
    told = change_ids(fixture, 0, 4, 1, now_ms() + HOUR_MS);
    assert_int_equal(told.by_fate[BIDE_FATE_RUNNING], 2);
    assert_int_equal(change(fixture, of_queue(fixture, 0), 0).by_fate[BIDE_FATE_RUNNING], 2);
    fixture_expect_counts(fixture, 0, 0, 0, 2, 1);
    hand_ack_all(hand);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 1);
}

/* What a worker gave back waits again. */
static void cancels_what_was_given_back(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    if (!searches(fixture))
        return;
    fixture_fill(fixture, 0, 0, 4, 0);
    hand_take(hand, 4, SOON_MS);
    for (size_t i = 0; i < FIXTURE_QUEUES; i++)
        hand->receiver->ops->limit(hand->receiver, i, 0);
    hand_give(hand, 0, retry_at(now_ms() + HOUR_MS, 2, "again"));
    hand_give(hand, 0, retry_at(now_ms() + HOUR_MS, 2, "again"));
    hand_give(hand, 0, RELEASE);
    hand_give(hand, 0, RELEASE);
    hand_flush(hand);
    fixture_expect_counts(fixture, 0, 2, 2, 0, 0);
    struct told told = change_ids(fixture, 0, 4, 1, 0);
    assert_int_equal(told.by_fate[BIDE_FATE_CANCELLED], 4);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

/* ---- rescheduling ---- */

/* A worker that sleeps until something else is due notices it at once. */
static void wakes_for_an_earlier_time(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    if (!searches(fixture))
        return;
    fixture_fill(fixture, 0, 0, 50, HOUR_MS);
    hand_serve_for(hand, QUIET_MS);
    assert_int_equal(change_ids(fixture, 10, 5, 1, 1).by_fate[BIDE_FATE_RESCHEDULED], 5);
    hand_take(hand, 5, SOON_MS);
    for (size_t i = 0; i < 5; i++)
        assert_between((int64_t)fixture_index(fixture, hand->held[i].delivery->message->id), 10, 14);
    hand_ack_all(hand);
    int64_t due_ms = now_ms() + 700;
    assert_int_equal(change_ids(fixture, 20, 5, 1, due_ms).by_fate[BIDE_FATE_RESCHEDULED], 5);
    hand_take(hand, 5, SOON_MS);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(hand->held[i].delivery->message->due_ms, due_ms);
        assert_between(hand->held[i].handed_ms, due_ms - BIDE_LANDING_MS, due_ms + LATE_MS);
    }
    hand_ack_all(hand);
    fixture_expect_counts(fixture, 0, 0, 40, 0, 0);
}

static void moves_between_ready_and_delayed(void **state)
{
    struct fixture *fixture = *state;
    static struct seen seen;
    struct hand *hand = hand_open_shut(fixture);
    if (!searches(fixture))
        return;
    fixture_fill(fixture, 0, 0, 10, 0);
    fixture_fill(fixture, 0, 10, 10, HOUR_MS);
    int64_t due_ms = now_ms() + 2 * HOUR_MS;
    struct told told = change(fixture, of_queue(fixture, 0), due_ms);
    assert_int_equal(told.by_fate[BIDE_FATE_RESCHEDULED], 20);
    fixture_expect_counts(fixture, 0, 0, 20, 0, 0);
    assert_int_equal(list_all(fixture, (bide_selection){.states = BIDE_STATE_DELAYED}, &seen), 20);
    assert_int_equal(seen.due_ms, due_ms);
    assert_int_equal(change_ids(fixture, 0, 20, 1, 1).by_fate[BIDE_FATE_RESCHEDULED], 20);
    fixture_expect_counts(fixture, 0, 20, 0, 0, 0);
    assert_int_equal(change_ids(fixture, 0, 20, 1, 1).by_fate[BIDE_FATE_RESCHEDULED], 20);
    hand->receiver->ops->limit(hand->receiver, 0, HAND_LIMIT);
    hand_take(hand, 20, SOON_MS);
    hand_ack_all(hand);
    hand_expect_none(hand, QUIET_MS);
}

/* It runs with the attempt, the error, the body and the headers that it had; its expiry moves along. */
static void keeps_all_but_the_time(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    bide_error error;
    if (!searches(fixture))
        return;
    for (size_t i = 0; i < 2; i++) { /* one that will be ready, one delayed */
        struct bide_message *message = fixture_message(fixture, i, i ? HOUR_MS : 0);
        assert_ok(bide_message_set_body(message, "a\n\nb", 4, &error), &error);
        assert_ok(bide_message_set_header(message, "X-Trace", "one\ttwo", &error), &error);
        assert_ok(bide_message_set_expires_after_ms(message, HOUR_MS, &error), &error);
        fixture_send(fixture, message);
    }
    hand_take(hand, 1, SOON_MS);
    int64_t expires_ms = hand->held[0].delivery->message->expires_ms;
    hand_give(hand, 0, retry_at(now_ms() + HOUR_MS, 4, "was away"));
    hand_flush(hand);
    int64_t due_ms = now_ms() + 100;
    assert_int_equal(change_ids(fixture, 0, 2, 1, due_ms).by_fate[BIDE_FATE_RESCHEDULED], 2);
    hand_take(hand, 2, SOON_MS);
    for (size_t i = 0; i < 2; i++) {
        const struct bide_message *got = hand->held[i].delivery->message;
        bool retried = fixture_index(fixture, got->id) == 0;
        assert_int_equal(got->due_ms, due_ms);
        assert_int_equal(got->attempt, retried ? 4 : 1);
        assert_string_equal(got->error, retried ? "was away" : "");
        assert_int_equal(got->body_size, 4);
        assert_memory_equal(got->body, "a\n\nb", 4);
        assert_string_equal(bide_message_header(got, "X-Trace"), "one\ttwo");
        if (!retried)
            assert_int_equal(got->expires_ms, due_ms + HOUR_MS);
        else
            assert_between(got->expires_ms, expires_ms - HOUR_MS - 1000, expires_ms - HOUR_MS + LATE_MS);
    }
    hand_ack_all(hand);
}

/* ---- at the same time ---- */

struct rival {
    struct fixture *fixture;
    struct bide_admin *admin;
    struct told told;
    bide_error error;
    bide_code code;
};

static void *cancel_all(void *user)
{
    struct rival *rival = user;
    const bide_selection selection = {.type = "job"};
    const bide_account account = {.fate = take_note, .user = &rival->told};
    rival->code = bide_admin_cancel(rival->admin, &selection, &account, &rival->error);
    return NULL;
}

/* A worker takes what another thread cancels: each message is one's or the other's. */
static void either_runs_or_is_cancelled(void **state)
{
    enum { N = 1500 };
    struct fixture *fixture = *state;
    static struct rival rival;
    static unsigned runs[N];
    struct hand *hand = hand_open_shut(fixture);
    struct deadline until = deadline_in_ms(MANY_MS);
    pthread_t thread;
    bide_error error;
    size_t n_runs = 0;
    if (!searches(fixture))
        return;
    memset(runs, 0, sizeof runs);
    rival = (struct rival){.fixture = fixture, .admin = fixture_admin(fixture), .told.fixture = fixture};
    for (size_t i = 0; i < N; i += 250)
        fixture_fill(fixture, i % 500 ? 1 : 0, i, 250, i < N / 2 ? 0 : 200);
    for (size_t i = 0; i < FIXTURE_QUEUES; i++)
        hand->receiver->ops->limit(hand->receiver, i, 20);
    assert_int_equal(pthread_create(&thread, NULL, cancel_all, &rival), 0);
    for (bool joined = false; !joined || hand->n || hand_unsettled(hand);) {
        struct deadline soon = deadline_in_ms(20);
        assert_ok(hand_serve(hand, &soon, &error), &error);
        while (hand->n > 0) {
            size_t index = fixture_index(fixture, hand->held[0].delivery->message->id);
            assert_true(index < N);
            runs[index]++;
            n_runs++;
            hand_give(hand, 0, ACK);
        }
        joined = joined || pthread_tryjoin_np(thread, NULL) == 0;
        assert_false(deadline_passed(&until));
    }
    assert_ok(rival.code, &rival.error);
    hand_serve_for(hand, QUIET_MS);
    while (hand->n > 0 || n_runs + rival.told.by_fate[BIDE_FATE_CANCELLED] < N) {
        if (hand->n == 0)
            hand_take(hand, 1, SOON_MS);
        runs[fixture_index(fixture, hand->held[0].delivery->message->id)]++;
        n_runs++;
        hand_give(hand, 0, ACK);
    }
    hand_flush(hand);
    print_message("%zu ran, %zu were cancelled\n", n_runs, rival.told.by_fate[BIDE_FATE_CANCELLED]);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(runs[i] + (rival.told.fates[i] == BIDE_FATE_CANCELLED), 1);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

static const struct CMUnitTest cases[] = {
    CASE("changing/lists-in-pages", lists_in_pages),
    CASE("changing/goes-on-where-messages-went", goes_on_where_messages_went),
    CASE("changing/shows-one", shows_one),
    CASE("changing/refuses-a-foreign-cursor", refuses_a_foreign_cursor),
    CASE("changing/cancels-those-and-only-those", cancels_those_and_only_those),
    CASE("changing/cancels-what-the-selection-means", cancels_what_the_selection_means),
    CASE("changing/leaves-what-runs-and-what-is-dead", leaves_what_runs_and_what_is_dead),
    CASE("changing/cancels-what-was-given-back", cancels_what_was_given_back),
    CASE("changing/wakes-for-an-earlier-time", wakes_for_an_earlier_time),
    CASE("changing/moves-between-ready-and-delayed", moves_between_ready_and_delayed),
    CASE("changing/keeps-all-but-the-time", keeps_all_but_the_time),
    CASE("changing/either-runs-or-is-cancelled", either_runs_or_is_cancelled),
};
CASE_GROUP(changing_cases, cases);
