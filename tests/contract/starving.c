/* No memory: the Nth allocation fails, for every N that a call asks for. What was confirmed is there, what
 * was not settled comes again, and the next call works. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "contract/cases.h"

enum { MOST = 300, HUNGRY_MS = 400, AGAIN_MS = 60000, ROOM = 16 };

/* Counted by all threads of the adapter. */
struct hunger {
    atomic_size_t asked;
    size_t fail_at;
};

static int is_fed(void *user, size_t size)
{
    (void)size;
    struct hunger *hunger = user;
    return atomic_fetch_add(&hunger->asked, 1) + 1 != hunger->fail_at;
}

static void sending(void **state)
{
    struct fixture *fixture = *state;
    struct bide_sender *sender = fixture_sender(fixture);
    enum bide_sent results[MOST] = {BIDE_SENT_UNKNOWN};
    size_t n = 0, confirmed = 0, refused = 0;
    bide_error error;
    for (bool more = true; more && n < MOST; n++) {
        struct hunger hunger = {.fail_at = n + 1};
        struct bide_message *message = fixture_message(fixture, n, 0);
        assert_ok(bide_message_stamp(message, "default", bide_clock_system(), &error), &error);
        bide_alloc_set_hook(is_fed, &hunger);
        bide_code code = bide_sender_send(sender, &message, 1, &results[n], &error);
        bide_alloc_set_hook(NULL, NULL);
        assert_int_equal(code == BIDE_OK, results[n] == BIDE_SENT_OK);
        confirmed += code == BIDE_OK;
        refused += code != BIDE_OK;
        more = atomic_load(&hunger.asked) > n;
        bide_message_destroy(message);
    }
    assert_true(n < MOST && confirmed > 0 && refused > 0); /* the last one was fed */
    print_message("%zu sent, %zu not for want of memory\n", confirmed, refused);
    struct hand *hand = hand_open(fixture);
    char id[FIXTURE_ID];
    hand_take(hand, confirmed, MANY_MS);
    for (size_t i = 0; i < n; i++)
        if (results[i] == BIDE_SENT_OK)
            hand_find(hand, fixture_id(fixture, i, id));
    hand_ack_all(hand);
}

/* Room for what is held, so that only the adapter is hungry. */
static void make_room(struct hand *hand)
{
    if (hand->capacity >= ROOM)
        return;
    hand->held = bide_realloc(hand->held, ROOM * sizeof *hand->held);
    assert_non_null(hand->held);
    hand->capacity = ROOM;
}

/* Receives and settles as long as there is something to do, or until the call fails. */
static bide_code work(struct hand *hand, char *text)
{
    struct deadline deadline = deadline_in_ms(HUNGRY_MS);
    bide_code code = BIDE_OK;
    bool given = false;
    while (code == BIDE_OK && !deadline_passed(&deadline) && !(given && hand_unsettled(hand) == 0)) {
        code = hand_serve(hand, &deadline, NULL);
        if (code == BIDE_OK && hand->n > 0 && !given) {
            struct bide_settlement retry = retry_at(now_ms(), 2, NULL);
            retry.error = text;
            hand_give(hand, 0, retry);
            given = true;
        }
    }
    if (!given)
        bide_free(text);
    return code;
}

/* A receiver that failed is replaced, as a worker's process is. */
static struct hand *goes_on(struct fixture *fixture, struct hand *hand, bide_code code)
{
    if (code == BIDE_OK)
        return hand;
    hand_close(hand);
    return hand_open(fixture);
}

/* The round's message comes (again), perhaps twice, and so may those of rounds before: all are acknowledged.
 */
static void finish(struct fixture *fixture, struct hand *hand, size_t round)
{
    struct deadline deadline = deadline_in_ms(AGAIN_MS);
    bide_error error;
    bool came = false;
    for (;;) {
        for (; hand->n > 0; hand_give(hand, 0, ACK)) {
            size_t index = fixture_index(fixture, hand->held[0].delivery->message->id);
            assert_true(index <= round);
            came |= index == round;
        }
        if (came && hand_unsettled(hand) == 0)
            return;
        if (deadline_passed(&deadline))
            fail_msg("round %zu: %zu unsettled after %d ms", round, hand_unsettled(hand), AGAIN_MS);
        assert_ok(hand_serve(hand, &deadline, &error), &error);
    }
}

static void receiving_and_settling(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    size_t n = 0, failed = 0;
    for (bool more = true; more && n < MOST; n++) {
        struct hunger hunger = {.fail_at = n + 1};
        char *text = bide_strdup("no luck");
        make_room(hand);
        fixture_fill(fixture, 0, n, 1, 0);
        bide_alloc_set_hook(is_fed, &hunger);
        bide_code code = work(hand, text);
        bide_alloc_set_hook(NULL, NULL);
        more = atomic_load(&hunger.asked) > n;
        failed += code != BIDE_OK;
        hand = goes_on(fixture, hand, code);
        finish(fixture, hand, n);
    }
    assert_true(n < MOST);
    print_message("%zu rounds, %zu receivers failed for want of memory\n", n, failed);
    hand_expect_none(hand, QUIET_MS);
}

static const struct CMUnitTest cases[] = {
    CASE("starving/sending", sending),
    CASE("starving/receiving-and-settling", receiving_and_settling),
};
CASE_GROUP(starving_cases, cases);
