/* A namespace goes, with all that is in it, and can be made anew; its neighbour stays. */
#include <stdio.h>
#include <unistd.h>

#include "contract/cases.h"

/* The case's fixture moves into a namespace that no other case shares: what is erased is all of it. */
static void move_in(struct fixture *fixture, char to[48])
{
    snprintf(to, 48, "erase-%d-%u", (int)getpid(), fixture->serial);
    fixture->options.name_space = to;
}

static void close_all(struct fixture *fixture)
{
    for (size_t i = 0; i < FIXTURE_HANDS; i++)
        hand_close(&fixture->hands[i]);
    bide_sender_destroy(fixture->sender);
    fixture->sender = NULL;
}

static void erase(struct fixture *fixture)
{
    bide_error error;
    struct bide_admin *admin = fixture_admin(fixture);
    assert_ok(admin->ops->erase(admin, &error), &error);
}

static void everything_goes(struct fixture *fixture)
{
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 1, 0);
    hand_take(hand, 1, SOON_MS);
    hand_give(hand, 0, dead_of(BIDE_REASON_REJECTED, 1, "no"));
    hand_flush(hand);
    close_all(fixture);
    fixture_fill(fixture, 0, 1, 3, 0);
    fixture_fill(fixture, 1, 4, 2, 600 * 1000);
    fixture_expect_counts(fixture, 0, 3, 0, 0, 1);
    close_all(fixture);
    erase(fixture);
}

static void with_all_that_is_in_it(void **state)
{
    struct fixture *fixture = *state;
    char name_space[48];
    move_in(fixture, name_space);
    everything_goes(fixture);
    erase(fixture); /* nothing there: no failure */
    struct hand *hand = hand_open(fixture);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
    assert_int_equal(fixture_delayed_total(fixture), 0);
    fixture_fill(fixture, 0, 6, 1, 0); /* made anew */
    hand_take(hand, 1, SOON_MS);
    assert_string_equal(hand->held[0].delivery->message->id, fixture_id(fixture, 6, (char[FIXTURE_ID]){0}));
    hand_ack_all(hand);
    close_all(fixture);
    erase(fixture);
}

static void but_not_its_neighbour(void **state)
{
    struct fixture *fixture = *state;
    struct fixture other = *fixture;
    char name_space[48];
    fixture_fill(fixture, 0, 0, 3, 0);
    move_in(&other, name_space);
    fixture_fill(&other, 0, 3, 2, 0);
    close_all(&other);
    erase(&other);
    bide_admin_destroy(other.admin);
    fixture_expect_counts(fixture, 0, 3, 0, 0, 0);
}

static const struct CMUnitTest cases[] = {
    CASE("erasing/with-all-that-is-in-it", with_all_that_is_in_it),
    CASE("erasing/but-not-its-neighbour", but_not_its_neighbour),
};
CASE_GROUP(erasing_cases, cases);
