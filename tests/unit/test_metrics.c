/* shared/metrics, histogram, ring, controls: also across processes where that is the point. */
#include "shared/memory.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/unit.h"

enum { PLACES = 2 };

static int map_shared(void **state)
{
    struct bide_shared *shared;
    if (bide_shared_map(PLACES, 1000, &shared, NULL) != BIDE_OK)
        return -1;
    *state = shared;
    return 0;
}

static int unmap_shared(void **state)
{
    bide_shared_unmap(*state);
    return 0;
}

/* ---- histograms ---- */

static void test_bounds_ascend(void **state)
{
    (void)state;
    for (size_t i = 1; i < BIDE_HISTOGRAM_BOUNDS; i++)
        assert_true(bide_histogram_bound_us(i) > bide_histogram_bound_us(i - 1));
}

/* Every observation is in the first bucket whose bound is not below it. */
static void test_buckets(void **state)
{
    static const int64_t values[] = {-5, 0, 10, 11, 999, 1000, 1001, INT64_C(3600000000), INT64_MAX};
    (void)state;
    for (size_t v = 0; v < COUNT_OF(values); v++) {
        struct bide_histogram histogram = {0};
        struct bide_histogram_sum sum = {0};
        size_t i = 0;
        bide_histogram_add(&histogram, values[v]);
        bide_histogram_read(&histogram, &sum);
        while (i < BIDE_HISTOGRAM_BOUNDS && bide_histogram_bound_us(i) < values[v])
            i++;
        assert_int_equal(sum.counts[i], 1);
        assert_int_equal(sum.n, 1);
        assert_int_equal(sum.sum_us, values[v] < 0 ? 0 : values[v]);
    }
}

static void test_quantiles(void **state)
{
    struct bide_histogram histogram = {0};
    struct bide_histogram_sum sum = {0}, later = {0};
    (void)state;
    assert_true(bide_histogram_quantile_us(&sum, 0.5) < 0);
    for (int i = 0; i < 90; i++)
        bide_histogram_add(&histogram, 800);
    for (int i = 0; i < 10; i++)
        bide_histogram_add(&histogram, 90000);
    bide_histogram_read(&histogram, &sum);
    double half = bide_histogram_quantile_us(&sum, 0.5), most = bide_histogram_quantile_us(&sum, 0.99);
    assert_true(half > 500 && half <= 1000);
    assert_true(most > 50000 && most <= 100000);
    bide_histogram_add(&histogram, INT64_C(7200) * 1000 * 1000);
    bide_histogram_read(&histogram, &later);
    bide_histogram_subtract(&later, &sum);
    assert_int_equal(later.n, 1);
    assert_true(bide_histogram_quantile_us(&later, 0.5) == 3600e6); /* beyond the last bound: that bound */
}

/* ---- types and counters ---- */

static void test_types_have_rows(void **state)
{
    struct bide_shared *shared = *state;
    struct bide_metrics *metrics = &shared->places[0];
    char name[BIDE_HANDLER_NAME_MAX + 2];
    assert_null(bide_metrics_type(NULL, "mail"));
    struct bide_type_metrics *mail = bide_metrics_type(metrics, "mail");
    assert_string_equal(mail->type, "mail");
    assert_ptr_equal(bide_metrics_type(metrics, "mail"), mail);
    assert_ptr_equal(bide_metrics_type(metrics, NULL), &metrics->types[0]);
    assert_string_equal(metrics->types[0].type, BIDE_METRICS_OTHER);
    for (int i = 0; i < BIDE_METRICS_TYPES; i++) {
        snprintf(name, sizeof name, "t%d", i);
        bide_metrics_type(metrics, name);
    }
    assert_int_equal(atomic_load(&metrics->n_types), BIDE_METRICS_TYPES);
    assert_ptr_equal(bide_metrics_type(metrics, "one-too-many"), &metrics->types[0]);
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_ptr_equal(bide_metrics_type(&shared->places[1], name), &shared->places[1].types[0]);
}

static void test_programs_have_rows(void **state)
{
    struct bide_metrics *metrics = &((struct bide_shared *)*state)->places[0];
    char name[BIDE_HANDLER_NAME_MAX + 2];
    assert_null(bide_metrics_program(NULL, "tasks"));
    struct bide_program_metrics *tasks = bide_metrics_program(metrics, "tasks");
    assert_string_equal(tasks->name, "tasks");
    assert_ptr_equal(bide_metrics_program(metrics, "tasks"), tasks);
    for (int i = 1; i < BIDE_METRICS_PROGRAMS; i++) {
        snprintf(name, sizeof name, "p%d", i);
        assert_non_null(bide_metrics_program(metrics, name));
    }
    assert_null(bide_metrics_program(metrics, "one-too-many"));
    assert_ptr_equal(bide_metrics_program(metrics, "tasks"), tasks);
}

static void test_nobody_keeps_count(void **state)
{
    (void)state;
    bide_metrics_count(NULL, BIDE_COUNT_DONE);
    bide_metrics_run(NULL, 1, 2, 3);
    bide_metrics_describe(NULL, "p", "1", NULL);
}

/* Counters outlive the process that counted, and what it was doing does not. */
static void test_a_death_keeps_counters(void **state)
{
    struct bide_shared *shared = *state;
    struct bide_metrics *metrics = &shared->places[0];
    bide_metrics_begin(metrics, 4, 2000);
    pid_t pid = fork();
    if (pid == 0) {
        struct bide_type_metrics *row = bide_metrics_type(metrics, "mail");
        bide_metrics_count(row, BIDE_COUNT_DONE);
        bide_metrics_run(row, 100, 5, -1);
        bide_metrics_gauge_add(&row->running, 1);
        bide_metrics_gauge_add(&metrics->busy, 1);
        struct bide_program_metrics *program = bide_metrics_program(metrics, "tasks");
        bide_metrics_add(&program->runs, 1);
        atomic_store(&program->pids[0], getpid());
        raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    bide_shared_count_death(shared, status);
    bide_metrics_end(metrics);
    bide_metrics_begin(metrics, 4, 3000);
    struct bide_type_metrics *row = bide_metrics_type(metrics, "mail");
    bide_metrics_count(row, BIDE_COUNT_DONE);
    assert_int_equal(atomic_load(&row->counts[BIDE_COUNT_DONE]), 2);
    assert_int_equal(atomic_load(&row->running), 0);
    assert_int_equal(atomic_load(&metrics->busy), 0);
    assert_int_equal(atomic_load(&metrics->threads), 4);
    struct bide_program_metrics *program = bide_metrics_program(metrics, "tasks");
    assert_int_equal(atomic_load(&program->runs), 1);
    assert_int_equal(atomic_load(&program->pids[0]), 0);
    assert_int_equal(atomic_load(&shared->deaths.by_signal[SIGKILL]), 1);
    struct bide_histogram_sum lateness = {0}, duration = {0};
    bide_histogram_read(&row->lateness, &lateness);
    bide_histogram_read(&row->duration, &duration);
    assert_int_equal(lateness.n, 0); /* it was not delayed */
    assert_int_equal(duration.n, 1);
}

/* ---- the ring ---- */

static void write_event(struct bide_ring *ring, int attempt)
{
    struct bide_event event = {.attempt = attempt, .outcome = BIDE_COUNT_RETRIED};
    bide_event_text(event.id, sizeof event.id, "m1");
    bide_ring_write(ring, &event);
}

static void test_ring_in_order(void **state)
{
    struct bide_ring *ring = &((struct bide_shared *)*state)->places[0].ring;
    struct bide_event event;
    uint64_t missed = 0;
    write_event(ring, 0); /* before anyone listened */
    uint64_t position = bide_ring_end(ring);
    assert_false(bide_ring_read(ring, &position, &event, &missed));
    for (int i = 1; i <= BIDE_RING_EVENTS; i++)
        write_event(ring, i);
    for (int i = 1; i <= BIDE_RING_EVENTS; i++) {
        assert_true(bide_ring_read(ring, &position, &event, &missed));
        assert_int_equal(event.attempt, i);
    }
    assert_false(bide_ring_read(ring, &position, &event, &missed));
    assert_string_equal(event.id, "m1");
    assert_int_equal(missed, 0);
}

static void test_a_slow_reader_is_told(void **state)
{
    struct bide_ring *ring = &((struct bide_shared *)*state)->places[0].ring;
    struct bide_event event;
    uint64_t missed = 0, position = bide_ring_end(ring);
    for (int i = 1; i <= BIDE_RING_EVENTS + 3; i++)
        write_event(ring, i);
    assert_true(bide_ring_read(ring, &position, &event, &missed));
    assert_int_equal(missed, 3);
    assert_int_equal(event.attempt, 4);
}

/* What a reader in another process sees is whole, however fast it is overwritten. */
static void test_events_are_whole(void **state)
{
    struct bide_ring *ring = &((struct bide_shared *)*state)->places[0].ring;
    uint64_t position = bide_ring_end(ring), missed = 0;
    int seen = 0, status;
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 1; i <= 200000; i++) {
            struct bide_event event = {.attempt = i, .took_us = i, .time_ms = i};
            memset(event.error, 'a' + i % 26, sizeof event.error - 1);
            bide_ring_write(ring, &event);
        }
        _exit(0);
    }
    bool ended = false;
    while (!ended) {
        struct bide_event event;
        ended = waitpid(pid, &status, WNOHANG) == pid;
        while (bide_ring_read(ring, &position, &event, &missed)) {
            seen++;
            assert_int_equal(event.took_us, event.attempt);
            assert_int_equal(event.time_ms, event.attempt);
            for (size_t i = 0; i < sizeof event.error - 1; i += 17)
                assert_int_equal(event.error[i], 'a' + event.attempt % 26);
        }
    }
    assert_int_equal(status, 0);
    assert_true(seen > 0);
    assert_int_equal(seen + (int)missed, 200000);
}

static void test_texts_are_cut_between_characters(void **state)
{
    char to[5];
    (void)state;
    bide_event_text(to, sizeof to, NULL);
    assert_string_equal(to, "");
    bide_event_text(to, sizeof to, "abcd");
    assert_string_equal(to, "abcd");
    bide_event_text(to, sizeof to, "abc\xc3\xa4");
    assert_string_equal(to, "abc");
}

/* ---- controls ---- */

static void test_pausing(void **state)
{
    struct bide_controls *controls = &((struct bide_shared *)*state)->controls;
    char name[BIDE_HANDLER_NAME_MAX + 2] = "";
    uint32_t before = bide_controls_changes(controls);
    assert_false(bide_controls_is_paused(controls, "mail"));
    assert_true(bide_controls_pause(controls, "mail"));
    assert_true(bide_controls_pause(controls, "mail"));
    assert_int_equal(bide_controls_changes(controls), before + 1);
    assert_true(bide_controls_is_paused(controls, "mail"));
    assert_false(bide_controls_is_paused(controls, "mai"));
    assert_true(bide_controls_paused_name(controls, 0, name));
    assert_string_equal(name, "mail");
    assert_true(bide_controls_resume(controls, "mail"));
    assert_false(bide_controls_resume(controls, "mail"));
    assert_false(bide_controls_is_paused(controls, "mail"));
    assert_false(bide_controls_paused_name(controls, 0, name));
    assert_int_equal(bide_controls_changes(controls), before + 2);
    assert_false(bide_controls_pause(controls, ""));
    memset(name, 'x', sizeof name - 1);
    assert_false(bide_controls_pause(controls, name));
    for (int i = 0; i < BIDE_PAUSED_MAX; i++) {
        snprintf(name, sizeof name, "t%d", i);
        assert_true(bide_controls_pause(controls, name));
    }
    assert_false(bide_controls_pause(controls, "one-too-many"));
}

static void test_quiet(void **state)
{
    struct bide_controls *controls = &((struct bide_shared *)*state)->controls;
    uint32_t before = bide_controls_changes(controls);
    assert_false(bide_controls_is_quiet(controls));
    bide_controls_set_quiet(controls, true);
    bide_controls_set_quiet(controls, true);
    assert_true(bide_controls_is_quiet(controls));
    assert_int_equal(bide_controls_changes(controls), before + 1);
    bide_controls_set_quiet(controls, false);
    assert_false(bide_controls_is_quiet(controls));
}

/* Nothing happens to a process that does not listen; one that does is woken. */
static volatile sig_atomic_t woken;

static void on_wake(int number)
{
    (void)number;
    woken = 1;
}

static void test_waking(void **state)
{
    struct bide_shared *shared = *state;
    atomic_store(&shared->places[1].pid, getpid());
    bide_shared_wake(shared);
    assert_int_equal(woken, 0);
    signal(SIGURG, on_wake);
    bide_shared_wake(shared);
    assert_int_equal(woken, 1);
    signal(SIGURG, SIG_DFL);
}

#define SHARED(test) cmocka_unit_test_setup_teardown(test, map_shared, unmap_shared)

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_bounds_ascend),
    cmocka_unit_test(test_buckets),
    cmocka_unit_test(test_quantiles),
    SHARED(test_types_have_rows),
    SHARED(test_programs_have_rows),
    cmocka_unit_test(test_nobody_keeps_count),
    SHARED(test_a_death_keeps_counters),
    SHARED(test_ring_in_order),
    SHARED(test_a_slow_reader_is_told),
    SHARED(test_events_are_whole),
    cmocka_unit_test(test_texts_are_cut_between_characters),
    SHARED(test_pausing),
    SHARED(test_quiet),
    SHARED(test_waking),
};

UNIT_MAIN(tests)
