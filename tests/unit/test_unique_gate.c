/* worker/gates/unique.c and marked.c: what the store remembers of a unique key while its message is in a
 * worker's hands; and of an id that was cancelled where the broker cannot be searched. */
#include "keys/errand.h"
#include "keys/mark.h"
#include "keys/view.h"
#include "unit/once_stage.h"

#define LIFE 0xABC

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

/* A clock that died before it had noted its send leaves a copy that another one stands in for. If that comes
 * first, it must not stand for the slot: the other would be a duplicate of what never ran. */
static void test_a_superseded_copy_does_not_take_its_slot(void **state)
{
    static char schedule[] = BIDE_SCHEDULE_HEADER, slot[] = BIDE_SLOT_HEADER, copy[] = BIDE_COPY_HEADER;
    struct bide_header headers[] = {{schedule, "beat"}, {slot, "1000"}, {copy, "first"}};
    (void)state;
    hold_key(2);
    stage.headers = headers;
    stage.n_headers = COUNT_OF(headers);
    bide_generation_write((struct bide_generation){LIFE, 1}, stage.generation);
    assert_null(take_in_keyed(0));
    assert_true(broker.acknowledged[0]);
    bide_generation_write((struct bide_generation){LIFE, 2}, stage.generation);
    headers[2].value = "second";
    struct bide_job *job = take_in_keyed(1);
    assert_non_null(job);
    ran(job, BIDE_DONE, false);
    all_answers();
    assert_int_equal(state_of_key(), BIDE_KEY_ENDED);
    stage.headers = NULL;
    stage.n_headers = 0;
}

/* ---- marks ---- */

static void mark(const char *id, enum bide_mark what, int64_t marked_ms)
{
    struct bide_store *store = open_store();
    assert_int_equal(bide_marks_put(store, &id, 1, what, marked_ms, NULL), BIDE_OK);
    bide_store_destroy(store);
}

static enum bide_mark mark_of(const char *id)
{
    enum bide_mark found;
    int64_t marked_ms;
    struct bide_store *store = open_store();
    assert_int_equal(bide_mark_see(store, id, &found, &marked_ms, NULL), BIDE_OK);
    bide_store_destroy(store);
    return found;
}

/* Nobody waits for that. */
static void await_met(const char *id)
{
    for (struct deadline end = deadline_in_ms(SOON_MS); mark_of(id) != BIDE_MARK_MET;)
        assert_false(deadline_passed(&end));
}

static void use_marks(void)
{
    end_process();
    stage.marks = true;
    begin();
    stage.sent_ms = bide_wall_ms(bide_clock_system()) - 1000;
    stage.due_ms = stage.sent_ms + 500;
}

/* Takes it in, and returns the job that may run, which the caller lets end; NULL: it does not run. */
static struct bide_job *land(size_t i, const char *id)
{
    struct bide_job *job = take_in_as(i, plain_type, id);
    return job ? job : all_answers();
}

static void expect_to_run(size_t i, const char *id)
{
    struct bide_job *job = land(i, id);
    assert_non_null(job);
    ran(job, BIDE_DONE, false);
    all_answers();
}

static void test_what_was_cancelled_by_its_id_does_not_run_when_it_lands(void **state)
{
    (void)state;
    use_marks();
    mark("1", BIDE_MARK_SET, stage.sent_ms);
    mark("later", BIDE_MARK_SET, stage.sent_ms - 1);
    mark("never", BIDE_MARK_SET, stage.sent_ms);
    mark("never", BIDE_MARK_NONE, 0);
    assert_null(land(0, "1"));
    assert_true(broker.acknowledged[0]);
    assert_null(land(0, "1")); /* a copy, or the same one again */
    assert_int_equal(stage.passage.settling.counts[BIDE_COUNT_CANCELLED], 2);
    await_met("1");
    expect_to_run(1, "2");
    expect_to_run(2, "later"); /* sent after it */
    assert_int_equal(mark_of("later"), BIDE_MARK_SET);
    expect_to_run(3, "never");
    stage.due_ms = stage.sent_ms; /* to run at once: nobody looks */
    expect_to_run(0, "1");
}

static void test_a_message_without_an_id_is_not_looked_for(void **state)
{
    (void)state;
    use_marks();
    assert_non_null(take_in_as(0, plain_type, ""));
}

static void test_what_was_cancelled_by_its_id_frees_its_key(void **state)
{
    (void)state;
    use_marks();
    for (uint64_t count = 1; count <= 2; count++) {
        mark("1", BIDE_MARK_SET, stage.sent_ms);
        hold_key(count);
        assert_null(land(0, "1"));
        assert_true(broker.acknowledged[0]);
        assert_int_equal(state_of_key(), count == 1 ? BIDE_KEY_FREE : BIDE_KEY_ENDED);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(test_a_key_is_free_when_its_message_is_done),
    CASE(test_a_run_that_was_cut_short_keeps_its_key),
    CASE(test_a_superseded_copy_does_not_take_its_slot),
    CASE(test_what_was_cancelled_by_its_id_does_not_run_when_it_lands),
    CASE(test_a_message_without_an_id_is_not_looked_for),
    CASE(test_what_was_cancelled_by_its_id_frees_its_key),
};

UNIT_MAIN(tests)
