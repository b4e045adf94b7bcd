/* keys/slot: each step alone, and the slot as text. All orders of steps: test_slots_orders. */
#include <string.h>

#include "keys/view.h"
#include "support/test.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)

static struct bide_key_claim claim(bide_on_conflict what, int64_t sent_ms, int64_t delay_ms)
{
    return (struct bide_key_claim){.id = "new",
        .on_conflict = what,
        .sent_ms = sent_ms,
        .due_ms = sent_ms + delay_ms,
        .hold_ms = -1,
        .lease_ms = 5000,
        .token = 7,
        .new_life = 0xABC};
}

static struct bide_key_slot free_slot(void)
{
    struct bide_key_view view;
    bide_key_view_free(&view);
    return view.slot;
}

/* Takes the key and has it confirmed. */
static void hold(struct bide_key_slot *slot, const struct bide_key_claim *given)
{
    struct bide_key_claim own = *given;
    struct bide_key_slot next;
    assert_int_equal(bide_key_take(slot, &own, &next), BIDE_KEY_WRITE);
    own.due_ms = bide_key_due_ms(slot, &own);
    *slot = next;
    assert_int_equal(
        bide_key_confirm(slot, &own, (struct bide_generation){next.life, next.last}, &next), BIDE_KEY_WRITE);
    *slot = next;
}

static struct bide_message copy_of(
    const struct bide_key_slot *slot, uint64_t count, char text[BIDE_GENERATION_TEXT])
{
    bide_generation_write((struct bide_generation){slot->life, count}, text);
    return (struct bide_message){
        .id = "old", .generation = text, .due_ms = slot->due_ms, .sent_ms = slot->first_ms};
}

static void run(struct bide_key_slot *slot)
{
    char text[BIDE_GENERATION_TEXT];
    struct bide_message message = copy_of(slot, slot->holder, text);
    struct bide_key_slot next;
    assert_int_equal(bide_key_look(slot, &message, &next), BIDE_KEY_WRITE);
    *slot = next;
    assert_int_equal(slot->state, BIDE_KEY_RUNNING);
}

static struct bide_key_slot die(struct bide_key_slot slot)
{
    char text[BIDE_GENERATION_TEXT], data[BIDE_KEY_TEXT];
    struct bide_message message = copy_of(&slot, slot.holder, text);
    struct bide_key_slot next;
    int64_t lasts_ms;
    size_t size;
    assert_int_equal(bide_key_end(&slot, &message, BIDE_KEY_END_DEAD, 0, &next), BIDE_KEY_WRITE);
    bide_key_write(&next, slot.due_ms, data, &size, &lasts_ms);
    return next.state == BIDE_KEY_FREE ? free_slot() : next;
}

/* A worker may drop a copy (a duplicate, an expired one) before its sender has noted the broker's confirm:
 * the sender must not give the key to what is gone. */
static void test_a_copy_that_ends_unrun_before_it_is_confirmed_frees_its_key(void **state)
{
    (void)state;
    for (int end = BIDE_KEY_END_DONE; end <= BIDE_KEY_END_RETRY; end++) {
        struct bide_key_claim given = claim(BIDE_ON_CONFLICT_SKIP, 1000, 0), other = given;
        struct bide_key_slot slot = free_slot(), next;
        char text[BIDE_GENERATION_TEXT];
        assert_int_equal(bide_key_take(&slot, &given, &next), BIDE_KEY_WRITE);
        slot = next;
        struct bide_generation mine = {slot.life, slot.last};
        struct bide_message message = copy_of(&slot, slot.last, text);
        bool stays = end == BIDE_KEY_END_RETRY;
        assert_int_equal(bide_key_end(&slot, &message, (enum bide_key_end)end, 2000, &next),
            stays ? BIDE_KEY_GO_ON : BIDE_KEY_WRITE);
        if (!stays)
            slot = next;
        assert_int_equal(
            bide_key_confirm(&slot, &given, mine, &next), stays ? BIDE_KEY_WRITE : BIDE_KEY_GO_ON);
        if (stays)
            slot = next;
        other.token = 8;
        assert_int_equal(bide_key_take(&slot, &other, &next), stays ? BIDE_KEY_TAKEN : BIDE_KEY_WRITE);
    }
}

/* A dead letter takes its key again, whether its slot is still there or not, unless another message has it.
 */
static void test_a_dead_letter_takes_its_key_again(void **state)
{
    (void)state;
    for (int pushes = 0; pushes < 2; pushes++) {
        struct bide_key_claim first = claim(BIDE_ON_CONFLICT_REPLACE, 1000, 100), other = first;
        struct bide_key_slot slot = free_slot(), next;
        char text[BIDE_GENERATION_TEXT];
        for (int i = 0; i <= pushes; i++)
            hold(&slot, &first);
        run(&slot);
        struct bide_message letter = copy_of(&slot, slot.holder, text);
        slot = die(slot);
        assert_int_equal(slot.state, pushes ? BIDE_KEY_ENDED : BIDE_KEY_FREE);
        assert_int_equal(bide_key_retake(&slot, &letter, 5000, &next), BIDE_KEY_WRITE);
        assert_int_equal(next.state, BIDE_KEY_WAITING);
        assert_string_equal(next.id, "old");
        assert_int_equal(next.due_ms, 5000);
        struct bide_key_slot again = next;
        assert_int_equal(bide_key_retake(&again, &letter, 6000, &next), BIDE_KEY_GO_ON);
        other.on_conflict = BIDE_ON_CONFLICT_SKIP;
        assert_int_equal(bide_key_take(&again, &other, &next), BIDE_KEY_TAKEN);
        run(&again);
        assert_int_equal(die(again).state, pushes ? BIDE_KEY_ENDED : BIDE_KEY_FREE);
        other.new_life = 0xDEF;
        hold(&slot, &other);
        assert_int_equal(bide_key_retake(&slot, &letter, 5000, &next), BIDE_KEY_TAKEN);
        slot.state = BIDE_KEY_RESERVED;
        slot.was = BIDE_KEY_WAITING;
        slot.lease_ms = 10;
        assert_int_equal(bide_key_retake(&slot, &letter, 5000, &next), BIDE_KEY_BUSY);
    }
}

/* One that lapsed gives way, and still runs. */
static void test_a_dead_letter_takes_the_key_of_one_that_lapsed(void **state)
{
    (void)state;
    struct bide_key_claim first = claim(BIDE_ON_CONFLICT_REPLACE, 1000, 100), other = first;
    struct bide_key_slot slot = free_slot(), next;
    char text[BIDE_GENERATION_TEXT], other_text[BIDE_GENERATION_TEXT];
    hold(&slot, &first);
    hold(&slot, &first);
    run(&slot);
    struct bide_message letter = copy_of(&slot, slot.holder, text);
    slot = die(slot);
    other.hold_ms = 1000;
    hold(&slot, &other);
    assert_int_equal(bide_key_retake(&slot, &letter, 5000, &next), BIDE_KEY_TAKEN);
    slot.hold_ms = 0;
    struct bide_message lapsed = copy_of(&slot, slot.holder, other_text);
    assert_int_equal(bide_key_retake(&slot, &letter, 5000, &next), BIDE_KEY_WRITE);
    assert_int_equal(next.hold_ms, -1);
    slot = next;
    assert_int_equal(bide_key_look(&slot, &lapsed, &next), BIDE_KEY_GO_ON);
    run(&slot);
}

static void test_what_was_removed_frees_its_key(void **state)
{
    (void)state;
    struct bide_key_claim first = claim(BIDE_ON_CONFLICT_REPLACE, 1000, 100), taker = first;
    struct bide_key_slot slot = free_slot(), next, reserved;
    char text[BIDE_GENERATION_TEXT];
    first.hold_ms = 1000;
    hold(&slot, &first);
    struct bide_message copy = copy_of(&slot, 1, text);
    assert_int_equal(bide_key_removed(&slot, &copy, &next), BIDE_KEY_WRITE);
    assert_int_equal(next.state, BIDE_KEY_ENDED);
    assert_int_equal(next.hold_ms, -1);
    taker.token = 9;
    assert_int_equal(bide_key_take(&slot, &taker, &reserved), BIDE_KEY_WRITE);
    assert_int_equal(bide_key_removed(&reserved, &copy, &next), BIDE_KEY_WRITE);
    assert_int_equal(next.state, BIDE_KEY_RESERVED); /* the sender goes on */
    assert_int_equal(next.was, BIDE_KEY_ENDED);
    copy = copy_of(&slot, 2, text); /* what that sender has sent, and not confirmed */
    assert_int_equal(bide_key_removed(&reserved, &copy, &next), BIDE_KEY_BUSY);
    reserved.lease_ms = 0;
    assert_int_equal(bide_key_removed(&reserved, &copy, &next), BIDE_KEY_GO_ON);
    hold(&slot, &first);
    copy = copy_of(&slot, 1, text);
    assert_int_equal(bide_key_removed(&slot, &copy, &next), BIDE_KEY_GO_ON); /* it was replaced */
}

static void test_what_a_claim_finds(void **state)
{
    (void)state;
    enum { WAITS, RUNS, OVER };
    static const struct {
        int holder;
        bide_on_conflict what;
        enum bide_key_says says;
    } rows[] = {
        {WAITS, BIDE_ON_CONFLICT_SKIP, BIDE_KEY_TAKEN},
        {WAITS, BIDE_ON_CONFLICT_REPLACE, BIDE_KEY_WRITE},
        {WAITS, BIDE_ON_CONFLICT_EXTEND, BIDE_KEY_EXTEND},
        {RUNS, BIDE_ON_CONFLICT_SKIP, BIDE_KEY_TAKEN},
        {RUNS, BIDE_ON_CONFLICT_REPLACE, BIDE_KEY_WRITE},
        {RUNS, BIDE_ON_CONFLICT_EXTEND, BIDE_KEY_WRITE},
        {OVER, BIDE_ON_CONFLICT_SKIP, BIDE_KEY_WRITE},
        {OVER, BIDE_ON_CONFLICT_EXTEND, BIDE_KEY_WRITE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bide_key_claim first = claim(BIDE_ON_CONFLICT_SKIP, 1000, 100),
                              second = claim(rows[i].what, 1050, 200);
        struct bide_key_slot slot = free_slot(), next;
        second.token = 8;
        hold(&slot, &first);
        if (rows[i].holder >= RUNS)
            run(&slot);
        if (rows[i].holder == OVER)
            slot.state = BIDE_KEY_ENDED;
        assert_int_equal(bide_key_take(&slot, &second, &next), rows[i].says);
    }
}

static void test_a_reservation_is_anothers_until_its_lease_is_over(void **state)
{
    (void)state;
    struct bide_key_claim first = claim(BIDE_ON_CONFLICT_SKIP, 1000, 0), second = first;
    struct bide_key_slot slot = free_slot(), next;
    second.token = 8;
    assert_int_equal(bide_key_take(&slot, &first, &next), BIDE_KEY_WRITE);
    slot = next;
    assert_int_equal(bide_key_take(&slot, &first, &next), BIDE_KEY_GO_ON);
    assert_int_equal(bide_key_take(&slot, &second, &next), BIDE_KEY_BUSY);
    slot.lease_ms = 0;
    assert_int_equal(bide_key_take(&slot, &second, &next), BIDE_KEY_WRITE);
    assert_int_equal(next.last, 2);
    /* The slow one is told that it lost, and takes the key, or a duplicate, again. */
    slot = next;
    assert_int_equal(
        bide_key_confirm(&slot, &first, (struct bide_generation){slot.life, 1}, &next), BIDE_KEY_LOST);
}

static void test_pushing_is_bounded(void **state)
{
    (void)state;
    struct bide_key_claim given = claim(BIDE_ON_CONFLICT_REPLACE, 1000, 100);
    struct bide_key_slot slot = free_slot();
    given.max_wait_ms = 250;
    for (int64_t now_ms = 1000; now_ms <= 1200; now_ms += 50) {
        given.sent_ms = now_ms;
        given.due_ms = now_ms + 100;
        hold(&slot, &given);
        assert_int_equal(slot.due_ms, now_ms + 100 < 1250 ? now_ms + 100 : 1250);
    }
    run(&slot);
    given.sent_ms = 1300; /* what comes while it runs waits anew */
    given.due_ms = 1400;
    hold(&slot, &given);
    assert_int_equal(slot.due_ms, 1400);
}

static void test_a_time_that_lapsed_lets_both_run(void **state)
{
    (void)state;
    struct bide_key_claim given = claim(BIDE_ON_CONFLICT_SKIP, 1000, DAY_MS);
    char text[BIDE_GENERATION_TEXT];
    struct bide_key_slot slot = free_slot(), next;
    given.hold_ms = 60000;
    hold(&slot, &given);
    slot.hold_ms = 1;
    assert_int_equal(bide_key_take(&slot, &given, &next), BIDE_KEY_TAKEN);
    slot.hold_ms = 0;
    uint32_t life = slot.life;
    given.new_life = life + 1;
    for (uint64_t n = 2; n < 2 + BIDE_KEY_SPARED_MAX; n++) {
        hold(&slot, &given);
        assert_int_equal(slot.holder, n);
        slot.hold_ms = 0;
        struct bide_message old = copy_of(&slot, 1, text);
        assert_int_equal(bide_key_look(&slot, &old, &next), BIDE_KEY_GO_ON);
    }
    hold(&slot, &given); /* there is no room to remember one more: a life of its own */
    assert_int_not_equal(slot.life, life);
    assert_int_equal(slot.last, 1);
}

static void test_what_is_cancelled_does_not_run(void **state)
{
    (void)state;
    struct bide_key_claim given = claim(BIDE_ON_CONFLICT_SKIP, 1000, DAY_MS);
    char text[BIDE_GENERATION_TEXT], data[BIDE_KEY_TEXT];
    struct bide_key_slot slot = free_slot(), next;
    size_t size;
    int64_t lasts_ms;
    hold(&slot, &given);
    assert_int_equal(bide_key_cancel(&slot, &next), BIDE_KEY_WRITE);
    bide_key_write(&next, 1000, data, &size, &lasts_ms);
    assert_int_equal(next.state, BIDE_KEY_ENDED); /* and it is remembered until the copy has landed */
    assert_int_equal(lasts_ms, DAY_MS + BIDE_KEY_SLACK_MS);
    struct bide_message message = copy_of(&next, 1, text);
    assert_int_equal(bide_key_look(&next, &message, &slot), BIDE_KEY_CANCELLED);
    hold(&next, &given); /* the key is free, and the old copy still cancelled */
    assert_int_equal(bide_key_look(&next, &message, &slot), BIDE_KEY_CANCELLED);
    run(&next);
    assert_int_equal(bide_key_cancel(&next, &slot), BIDE_KEY_TAKEN);
}

static void test_what_is_moved_to_a_later_time_waits_for_it(void **state)
{
    (void)state;
    struct bide_key_claim given = claim(BIDE_ON_CONFLICT_SKIP, 1000, 100);
    char text[BIDE_GENERATION_TEXT];
    struct bide_key_slot slot = free_slot(), next;
    hold(&slot, &given);
    struct bide_message message = copy_of(&slot, 1, text);
    assert_int_equal(bide_key_reschedule(&slot, 5000, &next), BIDE_KEY_WRITE);
    assert_int_equal(bide_key_look(&next, &message, &slot), BIDE_KEY_LATER);
    message.due_ms = 5000;
    assert_int_equal(bide_key_look(&next, &message, &slot), BIDE_KEY_WRITE);
}

static void test_a_dead_letter_frees_its_key(void **state)
{
    (void)state;
    struct bide_key_claim given = claim(BIDE_ON_CONFLICT_REPLACE, 1000, 0);
    char text[BIDE_GENERATION_TEXT], other_text[BIDE_GENERATION_TEXT];
    struct bide_key_slot slot = free_slot(), next;
    hold(&slot, &given);
    hold(&slot, &given); /* the second of its life */
    struct bide_message message = copy_of(&slot, 2, text), first = copy_of(&slot, 1, other_text);
    run(&slot);
    assert_int_equal(bide_key_end(&slot, &message, BIDE_KEY_END_DEAD, 0, &next), BIDE_KEY_WRITE);
    slot = next;
    assert_int_equal(bide_key_look(&slot, &first, &next), BIDE_KEY_SUPERSEDED);
    assert_int_equal(bide_key_look(&slot, &message, &next), BIDE_KEY_GO_ON); /* by a tool without a store */
    hold(&slot, &given); /* a replay after that runs all the same */
    assert_int_equal(bide_key_look(&slot, &message, &next), BIDE_KEY_GO_ON);
}

/* ---- text ---- */

static void test_a_slot_comes_back_as_it_was_written(void **state)
{
    (void)state;
    struct bide_key_slot slot = {.state = BIDE_KEY_RESERVED,
        .was = BIDE_KEY_WAITING,
        .life = 0xFFFFFFFF,
        .holder = 3,
        .last = UINT64_MAX,
        .floor = 5,
        .spared = {1, 2},
        .n_spared = 2,
        .cancelled = 4,
        .token = UINT64_MAX,
        .lease_ms = 5000,
        .hold_ms = 60000,
        .was_hold_ms = -1,
        .due_ms = 2000,
        .last_due_ms = 3000,
        .first_ms = 1000,
        .id = "an id with blanks"};
    struct bide_key_slot back;
    char text[BIDE_KEY_TEXT];
    size_t size;
    int64_t lasts_ms;
    bide_key_write(&slot, 1000, text, &size, &lasts_ms);
    assert_int_equal(lasts_ms, 2000 + BIDE_KEY_SLACK_MS);
    assert_true(bide_key_read((struct bide_slice){text, size}, BIDE_KEY_RESERVED, lasts_ms - 500, &back));
    slot.lease_ms -= 500; /* the store counts down */
    slot.hold_ms -= 500;
    assert_memory_equal(&back.life, &slot.life, sizeof back.life);
    assert_int_equal(back.last, slot.last);
    assert_int_equal(back.token, slot.token);
    assert_int_equal(back.lease_ms, slot.lease_ms);
    assert_int_equal(back.hold_ms, slot.hold_ms);
    assert_int_equal(back.was_hold_ms, -1);
    assert_int_equal(back.n_spared, 2);
    assert_int_equal(back.spared[1], 2);
    assert_string_equal(back.id, slot.id);
    for (size_t cut = 0; cut < size; cut++)
        assert_false(bide_key_read((struct bide_slice){text, cut}, BIDE_KEY_RESERVED, lasts_ms, &back));
    text[0] = '2'; /* a newer version */
    assert_false(bide_key_read((struct bide_slice){text, size}, BIDE_KEY_RESERVED, lasts_ms, &back));
}

static void test_the_longest_slot_has_room(void **state)
{
    (void)state;
    struct bide_key_slot slot = {.state = BIDE_KEY_RESERVED,
        .was = BIDE_KEY_ENDED,
        .life = UINT32_MAX,
        .holder = UINT64_MAX,
        .last = UINT64_MAX,
        .floor = UINT64_MAX,
        .n_spared = BIDE_KEY_SPARED_MAX,
        .cancelled = UINT64_MAX,
        .token = UINT64_MAX,
        .due_ms = INT64_MAX / 2,
        .last_due_ms = INT64_MAX / 2,
        .first_ms = INT64_MAX / 2};
    char text[BIDE_KEY_TEXT];
    size_t size;
    int64_t lasts_ms;
    for (size_t i = 0; i < BIDE_KEY_SPARED_MAX; i++)
        slot.spared[i] = UINT64_MAX;
    memset(slot.id, 'x', BIDE_ID_MAX);
    bide_key_write(&slot, 0, text, &size, &lasts_ms);
    assert_true(size <= sizeof text);
}

static void test_the_guess_is_what_a_sender_leaves(void **state)
{
    (void)state;
    struct bide_key_claim given = claim(BIDE_ON_CONFLICT_SKIP, 1000, 100);
    struct bide_key_slot slot = free_slot();
    struct bide_key_view view;
    char generation[BIDE_GENERATION_TEXT], text[BIDE_KEY_TEXT];
    size_t size;
    int64_t lasts_ms;
    hold(&slot, &given);
    struct bide_message message = copy_of(&slot, 1, generation);
    message.id = "new";
    bide_key_write(&slot, 1000, text, &size, &lasts_ms);
    assert_true(bide_key_view_guess(&message, false, &view));
    assert_int_equal(view.size, size);
    assert_memory_equal(view.text, text, size);
}

static void test_a_generation_comes_back_as_it_was_written(void **state)
{
    (void)state;
    const struct bide_generation most = {UINT32_MAX, UINT64_MAX};
    struct bide_generation back;
    char text[BIDE_GENERATION_TEXT];
    bide_generation_write(most, text);
    assert_true(bide_generation_read(text, &back));
    assert_int_equal(back.life, most.life);
    assert_int_equal(back.count, most.count);
    static const char *const bad[] = {"", "1", "1.", ".1", "x.1", "1.0", "1.1x", "123456789.1", "-1.1",
        "1.-1", "1. 1", "1.11111111111111111"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(bide_generation_read(bad[i], &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_claim_finds),
        cmocka_unit_test(test_a_reservation_is_anothers_until_its_lease_is_over),
        cmocka_unit_test(test_pushing_is_bounded),
        cmocka_unit_test(test_a_time_that_lapsed_lets_both_run),
        cmocka_unit_test(test_what_is_cancelled_does_not_run),
        cmocka_unit_test(test_what_is_moved_to_a_later_time_waits_for_it),
        cmocka_unit_test(test_a_dead_letter_frees_its_key),
        cmocka_unit_test(test_a_copy_that_ends_unrun_before_it_is_confirmed_frees_its_key),
        cmocka_unit_test(test_a_dead_letter_takes_its_key_again),
        cmocka_unit_test(test_a_dead_letter_takes_the_key_of_one_that_lapsed),
        cmocka_unit_test(test_what_was_removed_frees_its_key),
        cmocka_unit_test(test_a_slot_comes_back_as_it_was_written),
        cmocka_unit_test(test_the_longest_slot_has_room),
        cmocka_unit_test(test_the_guess_is_what_a_sender_leaves),
        cmocka_unit_test(test_a_generation_comes_back_as_it_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
