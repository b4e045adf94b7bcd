/* keys/slot: every order of the steps of two senders, a worker with two hands and the broker, with crashes
 * between any two steps. What is promised (docs/unique.md) is asked after each step and at each end:
 *
 *   - who was answered that a message waits (its own, or another's) sees a run that ends later
 *   - a copy that was replaced by a confirmed one never begins to run
 *   - of senders that skip, no two copies run that were both on their way at one time */
#include <stdlib.h>
#include <string.h>

#include "keys/slot.h"
#include "support/test.h"

enum {
    SENDERS = 2,
    HANDS = 2,
    COPIES = 3,
    SEEN_BITS = 20,
    LONG_MS = 1000,
};

enum sender_phase { IDLE, RESERVED, PUBLISHED, ANSWERED, GONE };
enum copy_place { NOWHERE, READY, IN_HAND, SETTLED };
enum hand_phase { EMPTY, RUNS, NOTED, DROPS };

/* Small, without holes, and compared as bytes. */
struct sender {
    uint8_t phase, takes, copy;
    bool owed; /* it was answered, and no run has ended since */
    uint32_t due_ms;
};

struct copy {
    uint8_t place, confirmed, began, over;
    uint8_t beside; /* bit: this other copy was on its way when this one was published */
    uint8_t retried;
    uint32_t life, count, due_ms;
};

struct hand {
    uint8_t phase, copy, end;
};

struct world {
    struct bide_key_slot slot;
    struct sender senders[SENDERS];
    struct copy copies[COPIES];
    struct hand hands[HANDS];
    uint8_t n_copies, crashes;
};

struct plan {
    bide_on_conflict on_conflict[SENDERS];
    bool may_die;    /* a run may end as a dead letter */
    bool may_retry;  /* a run may fail once */
    bool may_refuse; /* the broker may refuse a copy */
    unsigned crashes;
};

static struct plan plan;
static uint64_t *seen;
static size_t n_seen, n_ends;

/* ---- senders ---- */

static struct bide_key_claim claim_of(const struct world *world, unsigned i)
{
    return (struct bide_key_claim){.id = "id",
        .on_conflict = plan.on_conflict[i],
        .sent_ms = 1000,
        .due_ms = world->senders[i].due_ms,
        .hold_ms = -1,
        .token = i + 1,
        .new_life = world->slot.life + i + 1};
}

static void answer(struct world *world, unsigned i)
{
    world->senders[i].phase = ANSWERED;
    world->senders[i].owed = true;
}

/* The lease of a reservation may be over at any moment: in this world it always is. */
static bool take(struct world *world, unsigned i)
{
    struct sender *sender = &world->senders[i];
    struct bide_key_claim claim = claim_of(world, i);
    struct bide_key_slot next;
    if (sender->takes == 2)
        return false;
    enum bide_key_says says = bide_key_take(&world->slot, &claim, &next);
    sender->takes++;
    if (says == BIDE_KEY_TAKEN || says == BIDE_KEY_EXTEND) {
        if (says == BIDE_KEY_EXTEND)
            world->slot = next;
        answer(world, i);
        return true;
    }
    assert_true(says == BIDE_KEY_WRITE || says == BIDE_KEY_GO_ON);
    world->slot = next;
    sender->phase = RESERVED;
    sender->copy = world->n_copies;
    if (world->n_copies == COPIES) /* enough of that */
        return false;
    world->copies[world->n_copies++] =
        (struct copy){.life = next.life, .count = (uint32_t)next.last, .due_ms = sender->due_ms};
    return true;
}

static void publish(struct world *world, unsigned i)
{
    struct copy *copy = &world->copies[world->senders[i].copy];
    for (unsigned other = 0; other < world->n_copies; other++)
        if (world->copies[other].place != NOWHERE && !world->copies[other].over)
            copy->beside |= (uint8_t)(1u << other);
    copy->place = READY;
    world->senders[i].phase = PUBLISHED;
}

static void confirm(struct world *world, unsigned i)
{
    struct sender *sender = &world->senders[i];
    struct copy *copy = &world->copies[sender->copy];
    struct bide_key_claim claim = claim_of(world, i);
    struct bide_key_slot next;
    const struct bide_generation mine = {copy->life, copy->count};
    enum bide_key_says says = bide_key_confirm(&world->slot, &claim, mine, &next);
    if (says == BIDE_KEY_LOST) {
        sender->phase = IDLE;
        return;
    }
    if (says == BIDE_KEY_WRITE)
        world->slot = next;
    copy->confirmed = true;
    answer(world, i);
    if (copy->over)
        sender->owed = false;
}

static void undo(struct world *world, unsigned i)
{
    struct bide_key_claim claim = claim_of(world, i);
    struct bide_key_slot next;
    if (bide_key_undo(&world->slot, &claim, &next) == BIDE_KEY_WRITE)
        world->slot = next;
    world->senders[i].phase = GONE;
}

/* ---- the worker ---- */

static void describe(const struct copy *copy, struct bide_message *to, char generation[BIDE_GENERATION_TEXT])
{
    bide_generation_write((struct bide_generation){copy->life, copy->count}, generation);
    *to =
        (struct bide_message){.id = "id", .generation = generation, .due_ms = copy->due_ms, .sent_ms = 1000};
}

static void begin_run(struct world *world, unsigned which)
{
    struct copy *copy = &world->copies[which];
    bool both_skip =
        plan.on_conflict[0] == BIDE_ON_CONFLICT_SKIP && plan.on_conflict[1] == plan.on_conflict[0];
    for (unsigned other = 0; other < world->n_copies; other++) {
        const struct copy *that = &world->copies[other];
        bool newer = that->life == copy->life && that->count > copy->count;
        assert_false(!copy->began && newer && that->confirmed);
        assert_false(both_skip && other != which && that->began &&
                     (copy->beside >> other & 1 || that->beside >> which & 1));
    }
    copy->began = true;
}

static void look(struct world *world, struct hand *hand)
{
    struct copy *copy = &world->copies[hand->copy];
    char generation[BIDE_GENERATION_TEXT];
    struct bide_message message;
    struct bide_key_slot next;
    describe(copy, &message, generation);
    enum bide_key_says says = bide_key_look(&world->slot, &message, &next);
    if (says == BIDE_KEY_LATER) {
        copy->due_ms = (uint32_t)world->slot.not_before_ms;
        copy->place = READY;
        *hand = (struct hand){0};
        return;
    }
    if (says == BIDE_KEY_SUPERSEDED) {
        hand->phase = DROPS;
        return;
    }
    assert_true(says == BIDE_KEY_WRITE || says == BIDE_KEY_GO_ON);
    if (says == BIDE_KEY_WRITE)
        world->slot = next;
    begin_run(world, hand->copy);
    hand->phase = RUNS;
}

/* What waits for a run of this copy or a newer one has it. */
static void count_end(struct world *world, const struct copy *copy)
{
    for (unsigned i = 0; i < SENDERS; i++) {
        const struct copy *own = &world->copies[world->senders[i].copy];
        bool older = own->confirmed && own->life == copy->life && own->count > copy->count;
        if (world->senders[i].phase == ANSWERED && !older)
            world->senders[i].owed = false;
    }
}

static void note(struct world *world, struct hand *hand, enum bide_key_end end)
{
    hand->end = (uint8_t)end;
    struct copy *copy = &world->copies[hand->copy];
    char generation[BIDE_GENERATION_TEXT];
    struct bide_message message;
    struct bide_key_slot next;
    describe(copy, &message, generation);
    if (bide_key_end(&world->slot, &message, (enum bide_key_end)hand->end, copy->due_ms, &next) ==
        BIDE_KEY_WRITE)
        world->slot = next;
    size_t size;
    int64_t lasts_ms;
    char text[BIDE_KEY_TEXT];
    bide_key_write(&world->slot, 1000, text, &size, &lasts_ms); /* it may be forgotten */
    if (world->slot.state == BIDE_KEY_FREE)
        world->slot = (struct bide_key_slot){.life = world->slot.life, .hold_ms = -1, .was_hold_ms = -1};
    if (hand->end != BIDE_KEY_END_RETRY) {
        copy->over = true;
        count_end(world, copy);
    }
    hand->phase = NOTED;
}

static void settle(struct world *world, struct hand *hand)
{
    struct copy *copy = &world->copies[hand->copy];
    bool again = hand->phase == NOTED && hand->end == BIDE_KEY_END_RETRY;
    copy->place = again ? READY : SETTLED;
    if (again)
        copy->retried = true;
    *hand = (struct hand){0};
}

/* ---- all orders ---- */

static void explore(const struct world *world);

#define AND_THEN(...)                                                                                        \
    do {                                                                                                     \
        struct world after = *world;                                                                         \
        __VA_ARGS__;                                                                                         \
        explore(&after);                                                                                     \
        moved = true;                                                                                        \
    } while (0)

static bool move_sender(const struct world *world, unsigned i)
{
    bool moved = false;
    const struct sender *sender = &world->senders[i];
    if (sender->phase == IDLE) {
        struct world after = *world;
        if (take(&after, i)) {
            explore(&after);
            moved = true;
        }
    }
    if (sender->phase == RESERVED) {
        AND_THEN(publish(&after, i));
        if (plan.may_refuse)
            AND_THEN(undo(&after, i));
    }
    if (sender->phase == PUBLISHED)
        AND_THEN(confirm(&after, i));
    if (world->crashes < plan.crashes && (sender->phase == RESERVED || sender->phase == PUBLISHED))
        AND_THEN(after.senders[i].phase = GONE; after.crashes++);
    return moved;
}

static void crash_hand(struct world *world, unsigned i)
{
    world->copies[world->hands[i].copy].place = READY;
    world->hands[i] = (struct hand){0};
    world->crashes++;
}

static bool move_hand(const struct world *world, unsigned i)
{
    bool moved = false;
    const struct hand *hand = &world->hands[i];
    const struct copy *copy = &world->copies[hand->copy];
    for (uint8_t c = 0; hand->phase == EMPTY && c < world->n_copies; c++)
        if (world->copies[c].place == READY)
            AND_THEN(after.copies[c].place = IN_HAND; after.hands[i].copy = c; look(&after, &after.hands[i]));
    if (hand->phase == RUNS) {
        AND_THEN(note(&after, &after.hands[i], BIDE_KEY_END_DONE));
        if (plan.may_die)
            AND_THEN(note(&after, &after.hands[i], BIDE_KEY_END_DEAD));
        if (plan.may_retry && !copy->retried)
            AND_THEN(note(&after, &after.hands[i], BIDE_KEY_END_RETRY));
    }
    if (hand->phase == NOTED || hand->phase == DROPS)
        AND_THEN(settle(&after, &after.hands[i]));
    if (world->crashes < plan.crashes && hand->phase != EMPTY)
        AND_THEN(crash_hand(&after, i));
    return moved;
}

static bool is_new(const struct world *world)
{
    uint64_t words[sizeof *world / sizeof(uint64_t)], hash = 14695981039346656037u;
    _Static_assert(sizeof *world == sizeof words, "the world is hashed by words");
    memcpy(words, world, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        hash = (hash ^ words[i] ^ hash >> 29) * 0x9E3779B97F4A7C15u;
    hash |= 1;
    for (size_t at = hash >> (64 - SEEN_BITS);; at = (at + 1) & ((1u << SEEN_BITS) - 1)) {
        if (seen[at] == hash)
            return false;
        if (!seen[at]) {
            seen[at] = hash;
            assert_true(++n_seen < (1u << SEEN_BITS) / 4 * 3);
            return true;
        }
    }
}

static void judge_end(const struct world *world)
{
    for (unsigned i = 0; i < SENDERS; i++)
        assert_false(world->senders[i].phase == ANSWERED && world->senders[i].owed);
    n_ends++;
}

/* The hands are alike. */
static struct world sorted(const struct world *world)
{
    struct world same = *world;
    if (memcmp(&same.hands[0], &same.hands[1], sizeof same.hands[0]) > 0) {
        same.hands[0] = world->hands[1];
        same.hands[1] = world->hands[0];
    }
    return same;
}

static void explore(const struct world *given)
{
    bool moved = false;
    const struct world ordered = sorted(given), *world = &ordered;
    if (!is_new(world))
        return;
    for (unsigned i = 0; i < SENDERS; i++)
        moved |= move_sender(world, i);
    for (unsigned i = 0; i < HANDS; i++)
        moved |= move_hand(world, i);
    if (!moved)
        judge_end(world);
}

static void try_all(const struct plan *given)
{
    struct world world;
    plan = *given;
    memset(&world, 0, sizeof world);
    world.slot.hold_ms = world.slot.was_hold_ms = -1;
    world.senders[0].due_ms = 2000;
    world.senders[1].due_ms = 3000;
    n_seen = n_ends = 0;
    seen = calloc(1u << SEEN_BITS, sizeof *seen);
    assert_non_null(seen);
    explore(&world);
    free(seen);
    assert_true(n_ends > 0);
}

#define SKIP BIDE_ON_CONFLICT_SKIP
#define REPLACE BIDE_ON_CONFLICT_REPLACE
#define EXTEND BIDE_ON_CONFLICT_EXTEND

static void test_two_that_skip(void **state)
{
    (void)state;
    try_all(&(struct plan){.on_conflict = {SKIP, SKIP}, .crashes = 1});
    try_all(&(struct plan){.on_conflict = {SKIP, SKIP}, .may_die = true, .may_refuse = true});
}

static void test_one_that_replaces(void **state)
{
    (void)state;
    try_all(&(struct plan){.on_conflict = {SKIP, REPLACE}, .crashes = 1});
    try_all(&(struct plan){.on_conflict = {SKIP, REPLACE}, .may_die = true, .may_refuse = true});
}

static void test_two_that_replace(void **state)
{
    (void)state;
    try_all(&(struct plan){.on_conflict = {REPLACE, REPLACE}, .crashes = 1});
    try_all(&(struct plan){.on_conflict = {REPLACE, REPLACE}, .may_retry = true, .may_refuse = true});
}

static void test_one_that_extends(void **state)
{
    (void)state;
    try_all(&(struct plan){.on_conflict = {REPLACE, EXTEND}, .crashes = 1});
    try_all(&(struct plan){.on_conflict = {SKIP, EXTEND}, .may_retry = true, .may_refuse = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_that_skip),
        cmocka_unit_test(test_one_that_replaces),
        cmocka_unit_test(test_two_that_replace),
        cmocka_unit_test(test_one_that_extends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
