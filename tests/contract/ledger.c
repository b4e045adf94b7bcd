/* The books must balance: with random verdicts and two workers, every message ends exactly once. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "contract/cases.h"

enum { MESSAGES = 3000, WORKERS = 2, IN_HAND = 100, LEDGER_MS = 90000, LONGEST_MS = 400, ATTEMPTS = 5 };

struct books {
    struct fixture *fixture;
    atomic_int acked[MESSAGES];
    atomic_int died[MESSAGES];
    atomic_size_t ended;
    atomic_int strangers; /* ids nobody sent */
};

struct bookkeeper {
    struct books *books;
    struct hand *hand;
    uint32_t random;
    bide_code code;
    bide_error error;
};

static uint32_t draw(struct bookkeeper *keeper, uint32_t below)
{
    keeper->random = keeper->random * 1664525u + 1013904223u;
    return (keeper->random >> 8) % below;
}

/* Six in ten acknowledged, two retried, one dead, one released. */
static struct bide_settlement decide(struct bookkeeper *keeper, const struct bide_message *message)
{
    uint32_t dice = draw(keeper, 10);
    if (dice < 6)
        return ACK;
    if (dice < 8 && message->attempt < ATTEMPTS)
        return retry_at(now_ms() + draw(keeper, LONGEST_MS), message->attempt + 1, "unlucky");
    if (dice < 9)
        return dead_of(BIDE_REASON_EXHAUSTED, message->attempt, "unlucky to the end");
    return RELEASE;
}

static void enter(struct books *books, size_t index, const struct bide_settlement *settlement)
{
    if (index >= MESSAGES) {
        atomic_fetch_add(&books->strangers, 1);
        return;
    }
    if (settlement->verdict == BIDE_VERDICT_ACK)
        atomic_fetch_add(&books->acked[index], 1);
    else if (settlement->verdict == BIDE_VERDICT_DEAD)
        atomic_fetch_add(&books->died[index], 1);
    else
        return;
    atomic_fetch_add(&books->ended, 1);
}

static void *keep_books(void *user)
{
    struct bookkeeper *keeper = user;
    struct deadline deadline = deadline_in_ms(LEDGER_MS);
    struct hand *hand = keeper->hand;
    while (keeper->code == BIDE_OK && !deadline_passed(&deadline)) {
        if (atomic_load(&keeper->books->ended) >= MESSAGES && hand_unsettled(hand) == 0)
            break;
        struct deadline slice = deadline_in_ms(50); /* the other may end the last message */
        keeper->code = hand_serve(hand, &slice, &keeper->error);
        while (keeper->code == BIDE_OK && hand->n > 0) {
            size_t which = draw(keeper, (uint32_t)hand->n);
            const struct bide_message *message = hand->held[which].delivery->message;
            struct bide_settlement settlement = decide(keeper, message);
            enter(keeper->books, fixture_index(keeper->books->fixture, message->id), &settlement);
            hand_give(hand, which, settlement);
        }
    }
    return NULL;
}

static void send_mix(struct fixture *fixture)
{
    struct bide_message *messages[MESSAGES / 10];
    size_t size = MESSAGES / 10;
    for (size_t batch = 0; batch < 10; batch++) {
        for (size_t i = 0; i < size; i++)
            messages[i] =
                fixture_message(fixture, batch * size + i, i % 2 ? (int64_t)(i * 7919 % LONGEST_MS) : 0);
        fixture_send_many(fixture, messages, size);
    }
}

static void run_bookkeepers(struct fixture *fixture, struct books *books)
{
    static struct bookkeeper keepers[WORKERS];
    pthread_t threads[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        keepers[i] = (struct bookkeeper){books, hand_open_shut(fixture), (uint32_t)i + 1, BIDE_OK, {0}};
        keepers[i].hand->receiver->ops->limit(keepers[i].hand->receiver, 0, IN_HAND);
    }
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, keep_books, &keepers[i]), 0);
    send_mix(fixture);
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < WORKERS; i++) {
        assert_ok(keepers[i].code, &keepers[i].error);
        hand_flush(keepers[i].hand);
    }
}

struct lying {
    struct books *books;
    size_t n;
    size_t wrong;
};

static bool compare(void *user, const struct bide_dead_letter *letter)
{
    struct lying *lying = user;
    size_t index = fixture_index(lying->books->fixture, letter->message->id);
    lying->n++;
    if (index >= MESSAGES || atomic_exchange(&lying->books->died[index], -1) != 1)
        lying->wrong++;
    return true;
}

static void sent_is_acked_and_dead(void **state)
{
    struct fixture *fixture = *state;
    static struct books books;
    size_t dead = 0;
    bide_error error;
    memset(&books, 0, sizeof books);
    books.fixture = fixture;
    run_bookkeepers(fixture, &books);
    assert_int_equal(atomic_load(&books.strangers), 0);
    for (size_t i = 0; i < MESSAGES; i++) {
        int acked = atomic_load(&books.acked[i]), died = atomic_load(&books.died[i]);
        if (acked + died != 1)
            fail_msg("message %zu was acknowledged %d times and died %d times", i, acked, died);
        dead += (size_t)died;
    }
    struct lying lying = {.books = &books};
    struct bide_dead_filter own = {.queue = fixture->queues[0]};
    struct bide_admin *admin = fixture_admin(fixture);
    assert_ok(admin->ops->dead_each(admin, &own, compare, &lying, &error), &error);
    assert_int_equal(lying.n, dead);
    assert_int_equal(lying.wrong, 0);
    fixture_expect_counts(fixture, 0, 0, 0, 0, (int64_t)dead);
    print_message("%d sent, %zu dead\n", MESSAGES, dead);
}

static const struct CMUnitTest cases[] = {
    CASE("ledger/sent-is-acked-and-dead", sent_is_acked_and_dead),
};
CASE_GROUP(ledger_cases, cases);
