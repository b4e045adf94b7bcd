/* worker/gates: what each gate answers, whom it is asked of, and what becomes of the delivery. No pool. */
#include "shared/memory.h"
#include "support/fake_clock.h"
#include "unit/unit.h"
#include "worker/passage.h"

static char first[] = "first", second[] = "second", a[] = "a", b[] = "b";

enum { FIRST, SECOND, QUEUES };
enum { PLAIN, WITH_BREAKER, HANDLERS };

static struct {
    struct bide_receiver receiver;
    struct bide_settlement last;
    size_t n;
} broker;

static struct {
    struct fake_clock clock;
    struct bide_queue_config queues[QUEUES];
    struct bide_handler_config handlers[HANDLERS];
    struct bide_handler rows[HANDLERS];
    struct bide_handlers all;
    struct bide_config config;
    struct bide_plugin plugin;
    struct bide_shared *shared;
    struct bide_supervised supervised;
    struct bide_passage passage;
    struct bide_message message;
    struct bide_delivery delivery;
} stage;

static void settle(struct bide_receiver *receiver, const struct bide_settlement *settlements, size_t n)
{
    (void)receiver;
    broker.last = settlements[n - 1];
    broker.n += n;
    for (size_t i = 0; i < n; i++)
        bide_settlement_release(&settlements[i]);
}

static int set_up(void **state)
{
    static const struct bide_receiver_ops ops = {.settle = settle};
    (void)state;
    memset(&stage, 0, sizeof stage);
    memset(&broker, 0, sizeof broker);
    broker.receiver.ops = &ops;
    fake_clock_init(&stage.clock, 1000000);
    stage.queues[FIRST] = (struct bide_queue_config){.name = first, .weight = 1};
    stage.queues[SECOND] = (struct bide_queue_config){.name = second, .weight = 1};
    stage.handlers[PLAIN] = (struct bide_handler_config){.type = a, .queue = first};
    stage.handlers[WITH_BREAKER] = (struct bide_handler_config){.type = b,
        .queue = second,
        .breaker =
            {.failure_rate = 0.5, .window_ms = 1000, .min_runs = 1, .pause_ms = 9000, .max_pause_ms = 9000},
        .retry = {.attempts = 3, .base_ms = 10, .cap_ms = 10, .crash_attempts = 3}};
    for (size_t i = 0; i < HANDLERS; i++)
        stage.rows[i] = (struct bide_handler){
            .runner = &bide_thread_runner, .config = &stage.handlers[i], .plugin = &stage.plugin};
    stage.all = (struct bide_handlers){.rows = stage.rows, .n = HANDLERS};
    stage.config = (struct bide_config){.queues = stage.queues,
        .n_queues = QUEUES,
        .handlers = stage.handlers,
        .n_handlers = HANDLERS,
        .worker = {.threads = 2}};
    return 0;
}

static void begin(bool supervised)
{
    struct bide_site site = {.config = &stage.config, .clock = &stage.clock.clock, .handlers = &stage.all};
    if (supervised) {
        assert_int_equal(bide_shared_map(1, 1, &stage.shared, NULL), BIDE_OK);
        stage.supervised = bide_shared_view(stage.shared, 0, false);
        site.supervised = &stage.supervised;
        for (size_t i = 0; i < HANDLERS; i++)
            stage.rows[i].metrics = bide_metrics_type(stage.supervised.metrics, stage.handlers[i].type);
    }
    assert_int_equal(bide_passage_init(&stage.passage, &site, NULL), BIDE_OK);
    assert_int_equal(bide_passage_begin(&stage.passage, NULL), BIDE_OK);
    stage.passage.settling.receiver = &broker.receiver;
}

static int tear_down(void **state)
{
    (void)state;
    bide_passage_clear(&stage.passage);
    if (stage.shared)
        bide_shared_unmap(stage.shared);
    return 0;
}

/* A delivery of this type, due in so many ms: the job that may start, or NULL. */
static struct bide_job *take_in(const char *type, size_t queue, int64_t due_in_ms)
{
    static char id[] = "1", none[] = "", name[8];
    struct bide_job_list jobs = {0};
    snprintf(name, sizeof name, "%s", type);
    stage.message = (struct bide_message){.id = id,
        .type = name,
        .queue = stage.queues[queue].name,
        .failures = none,
        .unique = none,
        .generation = none,
        .attempt = 2,
        .due_ms = bide_wall_ms(&stage.clock.clock) + due_in_ms};
    stage.delivery.message = &stage.message;
    stage.delivery.queue = queue;
    bide_passage_take_in(&stage.passage, &stage.delivery, bide_wall_us(&stage.clock.clock), &jobs);
    bide_settle_flush(&stage.passage.settling);
    return jobs.first;
}

/* The job comes back, its run ended like this. */
static void end(struct bide_job *job, bide_outcome outcome)
{
    job->run = (struct bide_run){.ran = true, .outcome = outcome, .delay_ms = BIDE_BY_POLICY};
    bide_passage_settle(&stage.passage, job);
    bide_settle_flush(&stage.passage.settling);
}

static void expect_dead(enum bide_reason reason)
{
    assert_int_equal(broker.n, 1);
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_DEAD);
    assert_int_equal(broker.last.reason, reason);
    assert_int_equal(broker.last.attempt, 1);
    assert_null(broker.last.failures);
}

/* Held: at least so long, with the attempt it came with. */
static void expect_held(int64_t least_ms)
{
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_RETRY);
    assert_int_equal(broker.last.attempt, 2);
    assert_true(broker.last.due_ms >= bide_wall_ms(&stage.clock.clock) + least_ms);
    assert_true(broker.last.due_ms >= stage.message.due_ms);
}

static void test_each_handler_has_the_gates_it_uses(void **state)
{
    (void)state;
    begin(false);
    const struct bide_gate_list *lists = stage.passage.gates.lists;
    assert_int_equal(lists[PLAIN].n, 5);
    assert_int_equal(lists[WITH_BREAKER].n, 6);
    assert_ptr_equal(lists[WITH_BREAKER].gates[3]->kind, &bide_gate_circuit);
}

static void test_with_a_supervisor_there_are_more(void **state)
{
    static const struct bide_gate_kind *const wanted[] = {&bide_gate_stream, &bide_gate_transaction,
        &bide_gate_fit, &bide_gate_crash, &bide_gate_pause, &bide_gate_circuit, &bide_gate_unique,
        &bide_gate_schedule};
    (void)state;
    begin(true);
    const struct bide_gate_list *list = &stage.passage.gates.lists[WITH_BREAKER];
    assert_int_equal(list->n, COUNT_OF(wanted));
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        assert_ptr_equal(list->gates[i]->kind, wanted[i]);
}

static void test_what_nobody_can_run_is_dead_at_once(void **state)
{
    (void)state;
    begin(false);
    assert_null(take_in("c", FIRST, 0));
    expect_dead(BIDE_REASON_UNKNOWN_TYPE);
    broker.n = 0;
    assert_null(take_in("", FIRST, 0));
    expect_dead(BIDE_REASON_NO_TYPE);
    broker.n = 0;
    stage.delivery.defect = BIDE_REASON_OVERSIZED;
    assert_null(take_in("a", FIRST, 0));
    expect_dead(BIDE_REASON_OVERSIZED);
}

static void test_what_a_process_is_dying_of_is_held_until_it_is_due(void **state)
{
    (void)state;
    begin(true);
    bide_dying_add(&stage.shared->crashes.dying, "1");
    assert_null(take_in("a", FIRST, 0));
    expect_held(250);
    assert_null(take_in("a", FIRST, 60000));
    expect_held(60000);
}

static void test_a_paused_queue_stops_what_comes_on_it(void **state)
{
    (void)state;
    begin(true);
    bide_controls_init(&stage.shared->controls);
    assert_true(bide_controls_pause(&stage.shared->controls, "first"));
    assert_true(bide_gates_obey(&stage.passage.gates));
    assert_null(take_in("b", FIRST, 0)); /* whose own queue is another */
    expect_held(BIDE_GATE_SHORTEST_MS);
    assert_non_null(take_in("b", SECOND, 0));
    bide_gates_round(&stage.passage.gates, 0);
    assert_int_equal(stage.passage.gates.queues[FIRST].cap, 0);
    assert_true(stage.passage.gates.queues[SECOND].cap == SIZE_MAX);
    assert_true(stage.passage.gates.round.waits);
}

static void test_a_failure_opens_the_circuit_and_a_probe_closes_it(void **state)
{
    (void)state;
    begin(false);
    end(take_in("b", SECOND, 0), BIDE_RETRY);
    assert_null(take_in("b", SECOND, 0));
    expect_held(9000);
    bide_gates_round(&stage.passage.gates, 0);
    assert_int_equal(stage.passage.gates.queues[SECOND].cap, 0);
    fake_clock_advance_ms(&stage.clock, 9001);
    struct bide_job *probe = take_in("b", SECOND, 0);
    assert_non_null(probe);
    bide_passage_settle(&stage.passage, probe); /* it did not run: another may probe */
    probe = take_in("b", SECOND, 0);
    assert_non_null(probe);
    assert_null(take_in("b", SECOND, 0));
    end(probe, BIDE_DONE);
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_ACK);
    assert_non_null(take_in("b", SECOND, 0));
}

/* A message that would run alone is held for as long as the gate after that wants. */
static void test_a_suspect_is_held_for_as_long_as_the_circuit_is_open(void **state)
{
    (void)state;
    begin(true);
    end(take_in("b", SECOND, 0), BIDE_RETRY);
    for (int i = 0; i < 3; i++)
        bide_crashes_type_died(&stage.shared->crashes, "b");
    assert_null(take_in("b", SECOND, 0));
    expect_held(9000);
}

static void test_a_probe_that_fails_burns_no_attempt(void **state)
{
    (void)state;
    begin(false);
    end(take_in("b", SECOND, 0), BIDE_RETRY);
    fake_clock_advance_ms(&stage.clock, 9001);
    end(take_in("b", SECOND, 0), BIDE_RETRY);
    expect_held(9000);
}

static void test_what_is_cut_short_is_handed_back(void **state)
{
    (void)state;
    begin(false);
    struct bide_job *job = take_in("b", SECOND, 0);
    stage.passage.cutting = true;
    end(job, BIDE_RETRY);
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_RELEASE);
    assert_non_null(take_in("b", SECOND, 0)); /* and tells nothing of the downstream */
}

static void test_one_of_several_in_a_dead_program_runs_alone(void **state)
{
    (void)state;
    begin(true);
    struct bide_job *job = take_in("a", FIRST, 0);
    job->run.near_death = job->run.ran = true;
    job->run.outcome = BIDE_RETRY;
    bide_passage_settle(&stage.passage, job);
    bide_settle_flush(&stage.passage.settling);
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_RELEASE);
    assert_null(take_in("a", FIRST, 0));
    assert_int_equal(stage.passage.gates.quarantine.waiting.n, 1);
    assert_int_equal(broker.n, 1);
}

/* The batch that it was in ended its process: it is handed back, and comes back apart until it has run. */
static void test_one_of_a_dead_batch_runs_apart(void **state)
{
    (void)state;
    stage.handlers[PLAIN].batch = 10;
    for (int supervised = 0; supervised < 2; supervised++) {
        if (supervised)
            bide_passage_clear(&stage.passage);
        memset(&stage.passage, 0, sizeof stage.passage);
        begin(supervised);
        struct bide_job *job = take_in("a", FIRST, 0);
        assert_false(job->apart);
        job->run = (struct bide_run){.ran = true, .batch_died = true, .outcome = BIDE_RETRY};
        bide_passage_settle(&stage.passage, job);
        bide_settle_flush(&stage.passage.settling);
        assert_int_equal(broker.last.verdict, BIDE_VERDICT_RELEASE);
        job = take_in("a", FIRST, 0);
        assert_true(job->apart);
        assert_false(job->suspect);
        end(job, BIDE_DONE);
        assert_false(take_in("a", FIRST, 0)->apart);
    }
}

static bool open_and_close(void *user)
{
    struct bide_site site = {.config = &stage.config, .clock = &stage.clock.clock, .handlers = &stage.all};
    bide_error error;
    (void)user;
    memset(&stage.passage, 0, sizeof stage.passage);
    bide_code code = bide_passage_init(&stage.passage, &site, &error);
    if (code == BIDE_OK)
        code = bide_passage_begin(&stage.passage, &error);
    assert_true(code == BIDE_OK || code == BIDE_E_NOMEM);
    bide_passage_clear(&stage.passage);
    memset(&stage.passage, 0, sizeof stage.passage);
    return code == BIDE_OK;
}

static void test_without_memory_nothing_is_left(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(open_and_close, NULL) >= 6);
}

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    ON_STAGE(test_each_handler_has_the_gates_it_uses),
    ON_STAGE(test_with_a_supervisor_there_are_more),
    ON_STAGE(test_what_nobody_can_run_is_dead_at_once),
    ON_STAGE(test_what_a_process_is_dying_of_is_held_until_it_is_due),
    ON_STAGE(test_a_paused_queue_stops_what_comes_on_it),
    ON_STAGE(test_a_failure_opens_the_circuit_and_a_probe_closes_it),
    ON_STAGE(test_a_suspect_is_held_for_as_long_as_the_circuit_is_open),
    ON_STAGE(test_a_probe_that_fails_burns_no_attempt),
    ON_STAGE(test_what_is_cut_short_is_handed_back),
    ON_STAGE(test_one_of_several_in_a_dead_program_runs_alone),
    ON_STAGE(test_one_of_a_dead_batch_runs_apart),
    ON_STAGE(test_without_memory_nothing_is_left),
};

UNIT_MAIN(tests)
