/* worker/gates/unique.c: what the store remembers of a unique key while its message is in a worker's hands. */
#include "keys/errand.h"
#include "keys/view.h"
#include "unit/once_stage.h"

#define LIFE 0xABC

static struct bide_store *open_store(void)
{
    struct bide_store *store;
    const struct bide_store_options options = {.url = &stage.url,
        .name_space = "bide",
        .base_dir = "/",
        .client_name = "test",
        .timeout_ms = SOON_MS,
        .clock = bide_clock_system()};
    assert_int_equal(bide_store_open(&options, &store, NULL), BIDE_OK);
    return store;
}

/* The key as senders leave it: `count` copies were sent, each in the place of the one before. The last one is
 * what is taken in from now on. */
static void hold_key(uint64_t count)
{
    char text[BIDE_KEY_TEXT];
    struct bide_key_view view;
    struct bide_store_operation operation;
    struct bide_store_letter letter = {.operations = &operation, .n = 1};
    struct bide_key_slot slot = {.state = BIDE_KEY_WAITING,
        .life = LIFE,
        .holder = count,
        .last = count,
        .floor = count + 1,
        .hold_ms = -1,
        .was_hold_ms = -1,
        .id = "1"};
    struct bide_store *store = open_store();
    snprintf(stage.unique, sizeof stage.unique, "key");
    bide_generation_write((struct bide_generation){LIFE, count}, stage.generation);
    bide_key_view_free(&view);
    bide_key_turn(&view, &slot, stage.unique, bide_wall_ms(bide_clock_system()), text, &operation);
    assert_int_equal(bide_store_apply(store, &letter, 1, NULL), BIDE_OK);
    assert_true(operation.answer.ok);
    bide_store_letter_clear(&letter);
    bide_store_destroy(store);
}

static enum bide_key_state state_of_key(void)
{
    struct bide_key_slot slot;
    struct bide_store *store = open_store();
    assert_int_equal(bide_key_see(store, stage.unique, &slot, NULL), BIDE_OK);
    bide_store_destroy(store);
    return slot.state;
}

static struct bide_job *take_in_keyed(size_t i)
{
    assert_null(take_in_as(i, plain_type, "1"));
    return all_answers();
}

static void test_a_key_is_free_when_its_message_is_done(void **state)
{
    (void)state;
    hold_key(1);
    struct bide_job *job = take_in_keyed(0);
    assert_non_null(job);
    assert_int_equal(state_of_key(), BIDE_KEY_RUNNING);
    ran(job, BIDE_DONE, false);
    assert_int_equal(broker.n, 0); /* the store is told first */
    all_answers();
    assert_true(broker.acknowledged[0]);
    assert_int_equal(state_of_key(), BIDE_KEY_FREE);
}

/* It is handed out again, and must not find that another copy stands in for it. */
static void test_a_run_that_was_cut_short_keeps_its_key(void **state)
{
    (void)state;
    for (uint64_t count = 1; count <= 2; count++) {
        hold_key(count);
        struct bide_job *job = take_in_keyed(0);
        assert_non_null(job);
        stage.passage.cutting = true;
        ran(job, BIDE_RETRY, false);
        all_answers();
        stage.passage.cutting = false;
        assert_int_equal(broker.last.verdict, BIDE_VERDICT_RELEASE);
        assert_int_equal(state_of_key(), BIDE_KEY_WAITING);
        assert_non_null(job = take_in_keyed(1));
        ran(job, BIDE_DONE, false);
        all_answers();
        assert_true(broker.acknowledged[1]);
        memset(&broker.acknowledged, 0, sizeof broker.acknowledged);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(test_a_key_is_free_when_its_message_is_done),
    CASE(test_a_run_that_was_cut_short_keeps_its_key),
};

UNIT_MAIN(tests)
