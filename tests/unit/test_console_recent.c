/* console/recent.h: what is old no longer counts; what comes and goes meanwhile does no harm.
 * console/programs.c: the programs of all worker processes are added up. */
#include "console/recent.h"

#include <unistd.h>

#include "console/totals.h"
#include "unit/unit.h"

enum { PLACES = 2, STEP_MS = BIDE_RECENT_STEP_MS };

struct ground {
    struct bide_shared *shared;
    struct bide_recent recent;
};

static int setup(void **state)
{
    static struct ground ground;
    if (bide_shared_map(PLACES, 1000, &ground.shared, NULL) != BIDE_OK)
        return -1;
    bide_recent_init(&ground.recent);
    *state = &ground;
    return 0;
}

static int teardown(void **state)
{
    struct ground *ground = *state;
    bide_recent_clear(&ground->recent);
    bide_shared_unmap(ground->shared);
    return 0;
}

static void run(
    struct ground *ground, size_t place, const char *type, enum bide_outcome_kind kind, int64_t took_us)
{
    struct bide_type_metrics *row = bide_metrics_type(&ground->shared->places[place], type);
    bide_metrics_run(row, took_us, 0, -1);
    bide_metrics_count(row, kind);
}

/* Was it time to keep them? */
static bool step(struct ground *ground, int64_t now_ms)
{
    struct bide_totals totals;
    assert_int_equal(bide_totals_take(ground->shared, &totals, NULL), BIDE_OK);
    bool kept = bide_recent_keep(&ground->recent, &totals, now_ms);
    if (!kept)
        bide_totals_clear(&totals);
    return kept;
}

/* The totals of `type` reduced to the last minutes, and how long they are. */
static struct bide_type_total reduced(
    struct ground *ground, const char *type, int64_t now_ms, int64_t *ret_window_ms)
{
    struct bide_totals totals;
    struct bide_type_total found = {0};
    assert_int_equal(bide_totals_take(ground->shared, &totals, NULL), BIDE_OK);
    *ret_window_ms = bide_recent_reduce(&ground->recent, &totals, now_ms);
    for (size_t i = 0; i < totals.n_types; i++)
        if (strcmp(totals.types[i].row->type, type) == 0)
            found = totals.types[i];
    bide_totals_clear(&totals);
    return found;
}

static void test_what_is_old_no_longer_counts(void **state)
{
    struct ground *ground = *state;
    int64_t window_ms;
    assert_true(step(ground, 0));
    for (int i = 0; i < 100; i++)
        run(ground, 0, "slow", BIDE_COUNT_RETRIED, 1000000);
    for (int i = 1; i <= 2 * BIDE_RECENT_STEPS; i++) {
        assert_true(step(ground, i * STEP_MS));
        assert_false(step(ground, i * STEP_MS + STEP_MS - 1));
    }
    int64_t now_ms = 2 * BIDE_RECENT_STEPS * STEP_MS + 1000;
    run(ground, 1, "slow", BIDE_COUNT_DONE, 50);
    struct bide_type_total total = reduced(ground, "slow", now_ms, &window_ms);
    assert_int_equal(window_ms, (BIDE_RECENT_STEPS - 1) * STEP_MS + 1000);
    assert_int_equal(total.counts[BIDE_COUNT_RETRIED], 0);
    assert_int_equal(total.counts[BIDE_COUNT_DONE], 1);
    assert_true(bide_histogram_quantile_us(&total.duration, 0.99) <= 100);
}

static void test_from_the_first_step_on(void **state)
{
    struct ground *ground = *state;
    int64_t window_ms;
    run(ground, 0, "early", BIDE_COUNT_DONE, 50);
    assert_int_equal(reduced(ground, "early", 7, &window_ms).counts[BIDE_COUNT_DONE], 1);
    assert_int_equal(window_ms, 0);
    assert_true(step(ground, 10));
    run(ground, 0, "early", BIDE_COUNT_DONE, 50);
    run(ground, 1, "late", BIDE_COUNT_DEAD, 50); /* a type that the first step did not know */
    assert_int_equal(reduced(ground, "early", 60, &window_ms).counts[BIDE_COUNT_DONE], 1);
    assert_int_equal(reduced(ground, "late", 60, &window_ms).counts[BIDE_COUNT_DEAD], 1);
    assert_int_equal(window_ms, 50);
}

static void count_program(struct ground *ground, size_t place, const char *name, int processes)
{
    struct bide_program_metrics *row = bide_metrics_program(&ground->shared->places[place], name);
    bide_metrics_add(&row->runs, 10);
    bide_metrics_add(&row->restarts, 1);
    for (int i = 0; i < processes; i++)
        atomic_store(&row->pids[i], getpid());
}

/* Each place has its programs in an order of its own. */
static void test_programs_of_all_places(void **state)
{
    struct bide_program_total totals[BIDE_METRICS_PROGRAMS];
    struct ground *ground = *state;
    assert_int_equal(bide_program_totals(ground->shared, totals), 0);
    count_program(ground, 0, "tasks", 2);
    count_program(ground, 1, "mails", 0);
    count_program(ground, 1, "tasks", 1);
    assert_int_equal(bide_program_totals(ground->shared, totals), 2);
    assert_string_equal(totals[0].name, "tasks");
    assert_int_equal(totals[0].processes, 3);
    assert_int_equal(totals[0].runs, 20);
    assert_int_equal(totals[0].restarts, 2);
    assert_true(totals[0].memory > 3 * 100000);
    assert_string_equal(totals[1].name, "mails");
    assert_int_equal(totals[1].processes, 0);
    assert_int_equal(totals[1].memory, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_what_is_old_no_longer_counts, setup, teardown),
    cmocka_unit_test_setup_teardown(test_from_the_first_step_on, setup, teardown),
    cmocka_unit_test_setup_teardown(test_programs_of_all_places, setup, teardown),
};

UNIT_MAIN(tests)
