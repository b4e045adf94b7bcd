/* supervisor/supervisor and shared/slot: children that crash, hang and leave, with real forks. */
#include "unit/supervisor_stage.h"

static int leave_idle(struct stage *stage, const struct bide_supervised *shared)
{
    be_ready(stage, shared);
    return leave(shared, BIDE_LEAVES_IDLE);
}

static int fail_to_start(struct stage *stage, const struct bide_supervised *shared)
{
    (void)stage, (void)shared;
    return 69;
}

static int serve_and_fail(struct stage *stage, const struct bide_supervised *shared)
{
    atomic_store(&shared->process->serving, 1);
    (void)stage;
    return 70;
}

/* The calling thread runs m1 in slot 0, and another one, as it were, m2 in slot 1. */
static void run_two(const struct bide_supervised *shared)
{
    static const struct bide_message m1 = {.id = "m1", .type = "t", .queue = "default", .attempt = 1};
    static const struct bide_message m2 = {.id = "m2", .type = "t", .queue = "default", .attempt = 1};
    bide_error error;
    if (bide_slot_watch_faults(&shared->crashes->dying, &error) != BIDE_OK ||
        bide_slot_watch_thread(&shared->process->slots[0], &error) != BIDE_OK)
        _exit(99);
    bide_slot_begin(&shared->process->slots[0], &m1, 1, m1.type, "p", "b", 0);
    bide_slot_begin(&shared->process->slots[1], &m2, 1, m2.type, "p", "b", 0);
    atomic_store(&shared->process->serving, 1);
}

#define ACT(name, code)                                                                                      \
    static int name(struct stage *stage, const struct bide_supervised *shared)                               \
    {                                                                                                        \
        (void)stage;                                                                                         \
        run_two(shared);                                                                                     \
        code;                                                                                                \
        return 1;                                                                                            \
    }

static int use_stack(volatile char *before)
{
    volatile char room[4096];
    room[0] = before ? before[0] : 1;
    if (room[0] == 0) /* never: the compiler does not know */
        return 0;
    return use_stack(room) + room[0];
}

ACT(fault, raise(SIGSEGV))
ACT(call_abort, abort())
ACT(call_exit, exit(0))
ACT(overflow_the_stack, use_stack(NULL))
ACT(be_killed, raise(SIGKILL))
ACT(call_exit_at_once, _exit(0))
ACT(hang_and_be_killed,
    (bide_slot_end(&shared->process->slots[1]), bide_slot_give_up(shared->process->slots), raise(SIGKILL)))

/* As they are after the beginning of a batch of three, in slot 0. */
static int run_a_batch(const struct bide_supervised *shared, bool hangs)
{
    run_two(shared);
    bide_slot_end(&shared->process->slots[1]);
    shared->process->slots[0].n = 3;
    bide_apart_add(&shared->crashes->apart, "m1", getpid());
    if (hangs)
        bide_slot_give_up(shared->process->slots);
    return raise(SIGKILL);
}

static int be_killed_in_a_batch(struct stage *stage, const struct bide_supervised *shared)
{
    (void)stage;
    return run_a_batch(shared, false);
}

static int hang_in_a_batch_and_be_killed(struct stage *stage, const struct bide_supervised *shared)
{
    (void)stage;
    return run_a_batch(shared, true);
}

static void run_one(const struct bide_supervised *shared)
{
    run_two(shared);
    bide_slot_end(&shared->process->slots[1]);
}

static int be_killed_alone(struct stage *stage, const struct bide_supervised *shared)
{
    (void)stage;
    run_one(shared);
    return raise(SIGKILL);
}

static int exit_at_once_alone(struct stage *stage, const struct bide_supervised *shared)
{
    (void)stage;
    run_one(shared);
    _exit(0);
}

/* What a handler's own child does is not the handler's fault. */
static int fork_a_child_that_faults(struct stage *stage, const struct bide_supervised *shared)
{
    run_two(shared);
    pid_t pid = fork();
    if (pid == 0)
        raise(SIGSEGV);
    waitpid(pid, NULL, 0);
    bool blamed = atomic_load(&shared->process->slots[0].state) != BIDE_SLOT_RUNNING;
    bide_slot_end(&shared->process->slots[0]);
    bide_slot_end(&shared->process->slots[1]);
    bide_slot_unwatch_thread();
    return blamed ? 1 : serve(stage, shared);
}

static int hang(struct stage *stage, const struct bide_supervised *shared)
{
    be_ready(stage, shared);
    leave(shared, BIDE_LEAVES_HUNG);
    supervised_await_count(&stage->release, 1);
    return 0;
}

/* All of its threads hang: nothing is left to wait for. */
static int hang_and_leave(struct stage *stage, const struct bide_supervised *shared)
{
    be_ready(stage, shared);
    supervised_await_count(&stage->release, 1);
    return leave(shared, BIDE_LEAVES_HUNG);
}

/* Its broker failed for good while two handlers ran. */
static int fail_while_two_run(struct stage *stage, const struct bide_supervised *shared)
{
    static const struct bide_message m1 = {.id = "m1", .type = "t", .queue = "default", .attempt = 1};
    static const struct bide_message m2 = {.id = "m2", .type = "t", .queue = "default", .attempt = 1};
    (void)stage;
    atomic_store(&shared->process->serving, 1);
    bide_slot_begin(&shared->process->slots[0], &m1, 1, m1.type, "p", "b", 0);
    bide_slot_begin(&shared->process->slots[1], &m2, 1, m2.type, "p", "b", 0);
    return 69;
}

/* ---- leaving ---- */

static void test_a_stop_is_passed_on(void **state)
{
    struct stage *stage = *state;
    stage->processes = 3;
    begin(stage);
    supervised_await(&stage->ready, 3);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
    assert_int_equal(stage->starts, 3);
    assert_int_equal(stage->stopped, 3);
}

static void test_who_is_idle_is_not_replaced(void **state)
{
    struct stage *stage = *state;
    stage->script[0] = leave_idle;
    begin(stage);
    assert_int_equal(supervised_end(&stage->supervisor), 0);
    assert_int_equal(stage->starts, 1);
}

static void test_a_dead_supervisor_is_a_stop(void **state)
{
    struct stage *stage = *state;
    begin(stage);
    supervised_await(&stage->ready, 1);
    kill(stage->supervisor, SIGKILL);
    waitpid(stage->supervisor, NULL, 0);
    stage->supervisor = 0;
    supervised_await(&stage->stopped, 1);
}

/* ---- failing ---- */

static void test_a_failed_start_ends_it(void **state)
{
    struct stage *stage = *state;
    stage->script[0] = fail_to_start;
    begin(stage);
    assert_int_equal(supervised_end(&stage->supervisor), 69);
    assert_int_equal(stage->starts, 1);
}

static void test_a_failed_start_later_is_tried_again(void **state)
{
    struct stage *stage = *state;
    stage->script[0] = be_killed;
    stage->script[1] = stage->script[2] = fail_to_start;
    begin(stage);
    supervised_await(&stage->ready, 1);
    assert_int_equal(stage->starts, 4);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
}

static void test_unexplained_deaths_are_paused(void **state)
{
    struct stage *stage = *state;
    for (int i = 0; i < 4; i++)
        stage->script[i] = serve_and_fail;
    begin(stage);
    supervised_await(&stage->ready, 1);
    for (int i = 2, pause_ms = 100; i <= 4; i++, pause_ms *= 2)
        assert_between(stage->started_ms[i] - stage->started_ms[i - 1], pause_ms - 2, SUPERVISED_PATIENCE_MS);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
}

static void run_until_served(struct stage *stage, act *action)
{
    stage->script[0] = action;
    begin(stage);
    supervised_await(&stage->ready, 1);
    assert_int_equal(stage->starts, 2);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
}

static void check_only_first_blamed(struct stage *stage, act *action)
{
    run_until_served(stage, action);
    assert_int_equal(stage->first.crashes, 1);
    assert_true(stage->first.uncounted);
    assert_non_null(strstr(stage->first.text, "plugin 'p'"));
    assert_false(stage->second.crashes || stage->second.suspect || stage->second.uncounted);
}

static void test_a_fault(void **state)
{
    check_only_first_blamed(*state, fault);
    assert_non_null(strstr(((struct stage *)*state)->first.text, "SIGSEGV"));
}

static void test_an_abort(void **state)
{
    check_only_first_blamed(*state, call_abort);
    assert_non_null(strstr(((struct stage *)*state)->first.text, "SIGABRT"));
}

static void test_an_exit(void **state)
{
    check_only_first_blamed(*state, call_exit);
    assert_non_null(strstr(((struct stage *)*state)->first.text, "exit status 0"));
}

static void test_a_stack_overflow(void **state)
{
    check_only_first_blamed(*state, overflow_the_stack);
}

static void check_both_suspected(struct stage *stage, act *action)
{
    run_until_served(stage, action);
    assert_true(stage->first.suspect && stage->second.suspect);
    assert_false(stage->first.uncounted || stage->second.uncounted);
    assert_int_equal(stage->first.crashes + stage->second.crashes, 0);
}

static void test_a_kill_makes_suspects(void **state)
{
    check_both_suspected(*state, be_killed);
}

static void test_an_exit_at_once_makes_suspects(void **state)
{
    check_both_suspected(*state, call_exit_at_once);
}

static void run_three_times(struct stage *stage, act *action)
{
    for (int i = 0; i < 3; i++)
        stage->script[i] = action;
    begin(stage);
    supervised_await(&stage->ready, 1);
    assert_int_equal(stage->starts, 4);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
}

static void test_three_kills_by_hand_blame_nobody(void **state)
{
    struct stage *stage = *state;
    run_three_times(stage, be_killed_alone);
    assert_true(stage->first.suspect);
    assert_int_equal(stage->first.crashes, 0);
    assert_false(stage->first.uncounted);
}

static void test_three_exits_of_one_alone_are_its_fault(void **state)
{
    struct stage *stage = *state;
    run_three_times(stage, exit_at_once_alone);
    assert_int_equal(stage->first.crashes, 3);
    assert_true(stage->first.uncounted);
}

static void test_a_childs_fault_is_nobodys(void **state)
{
    struct stage *stage = *state;
    stage->script[0] = fork_a_child_that_faults;
    begin(stage);
    supervised_await(&stage->ready, 1);
    assert_int_equal(stage->starts, 1);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
}

/* ---- hanging ---- */

static void test_a_hung_one_gets_a_successor(void **state)
{
    struct stage *stage = *state;
    stage->script[0] = stage->script[1] = hang;
    begin(stage);
    supervised_await(&stage->ready, 3); /* the first two still finish */
    assert_int_equal(stage->starts, 3);
    atomic_store(&stage->release, 1);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
    assert_int_equal(stage->starts, 3);
}

static void test_a_hung_one_that_dies_is_blamed(void **state)
{
    struct stage *stage = *state;
    run_until_served(stage, hang_and_be_killed);
    assert_true(stage->first.hung && stage->first.uncounted);
    assert_false(stage->second.suspect || stage->second.uncounted);
}

/* Who kills what hangs does not make it innocent: it would run in a batch again, and hang again. */
static void test_a_hung_batch_that_is_killed_runs_apart(void **state)
{
    struct stage *stage = *state;
    run_until_served(stage, hang_in_a_batch_and_be_killed);
    assert_true(stage->first_apart);
    assert_false(stage->first.hung || stage->first.uncounted);
}

static void test_a_batch_that_a_person_killed_is_one_again(void **state)
{
    struct stage *stage = *state;
    run_until_served(stage, be_killed_in_a_batch);
    assert_false(stage->first_apart);
    assert_false(stage->first.suspect || stage->first.uncounted);
}

static bool is_in_state(pid_t pid, char state)
{
    char path[64], now = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    int n = fscanf(file, "%*d (%*[^)]) %c", &now);
    fclose(file);
    return n == 1 && now == state;
}

static void await_state(pid_t pid, char state)
{
    struct deadline deadline = deadline_in_ms(SUPERVISED_PATIENCE_MS);
    while (!is_in_state(pid, state) && !deadline_passed(&deadline))
        deadline_nap(&deadline);
    assert_true(is_in_state(pid, state));
}

static void test_one_that_hung_and_ended_unseen_is_replaced(void **state)
{
    struct stage *stage = *state;
    stage->script[0] = hang_and_leave;
    begin(stage);
    supervised_await(&stage->ready, 1);
    kill(stage->supervisor, SIGSTOP);
    await_state(stage->supervisor, 'T');
    atomic_store(&stage->release, 1);
    await_state(stage->child, 'Z');
    kill(stage->supervisor, SIGCONT);
    supervised_await(&stage->ready, 2);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
}

static void test_what_ran_at_an_orderly_end_is_no_suspect(void **state)
{
    struct stage *stage = *state;
    run_until_served(stage, fail_while_two_run);
    assert_false(stage->first.suspect || stage->second.suspect);
}

static const struct CMUnitTest tests[] = {
    ON_STAGE(test_a_stop_is_passed_on),
    ON_STAGE(test_who_is_idle_is_not_replaced),
    ON_STAGE(test_a_dead_supervisor_is_a_stop),
    ON_STAGE(test_a_failed_start_ends_it),
    ON_STAGE(test_a_failed_start_later_is_tried_again),
    ON_STAGE(test_unexplained_deaths_are_paused),
    ON_STAGE(test_a_fault),
    ON_STAGE(test_an_abort),
    ON_STAGE(test_an_exit),
    ON_STAGE(test_a_stack_overflow),
    ON_STAGE(test_a_kill_makes_suspects),
    ON_STAGE(test_an_exit_at_once_makes_suspects),
    ON_STAGE(test_three_kills_by_hand_blame_nobody),
    ON_STAGE(test_three_exits_of_one_alone_are_its_fault),
    ON_STAGE(test_a_childs_fault_is_nobodys),
    ON_STAGE(test_a_hung_one_gets_a_successor),
    ON_STAGE(test_a_hung_one_that_dies_is_blamed),
    ON_STAGE(test_a_hung_batch_that_is_killed_runs_apart),
    ON_STAGE(test_a_batch_that_a_person_killed_is_one_again),
    ON_STAGE(test_one_that_hung_and_ended_unseen_is_replaced),
    ON_STAGE(test_what_ran_at_an_orderly_end_is_no_suspect),
};

UNIT_MAIN(tests)
