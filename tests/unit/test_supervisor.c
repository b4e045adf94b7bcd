/* supervisor/supervisor and dispatch/slot: children that crash, hang, leave and are told to, with real forks.
 */
#include "supervisor/supervisor.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bide/log.h"
#include "dispatch/slot.h"
#include "support/supervised.h"
#include "unit/unit.h"

enum { STARTS_MAX = 32, THREADS = 2 };

struct stage;
typedef int act(struct stage *stage, const struct bide_supervised *shared);

/* Shared by the test, its supervisor and the supervisor's children. */
struct stage {
    act *script[STARTS_MAX]; /* of the first child, the second …; after the last one: serve */
    int processes;
    pid_t supervisor;
    _Atomic int starts, ready, stopped, terms, hurries, release;
    _Atomic(int64_t) started_ms[STARTS_MAX];
    struct bide_crash first, second; /* what a serving child is told of the messages m1 and m2 */
};

static struct stage *here; /* for the signal handlers of a child */

static int64_t now_ms(void)
{
    return bide_mono_ms(bide_clock_system());
}

/* ---- what children do ---- */

static void on_signal(int number)
{
    atomic_fetch_add(number == SIGTERM ? &here->terms : &here->hurries, 1);
}

static void catch_signals(struct stage *stage)
{
    here = stage;
    signal(SIGTERM, on_signal);
    signal(SIGUSR2, on_signal);
}

static void ask(const struct bide_supervised *shared, const char *id, struct bide_crash *to)
{
    const struct bide_message message = {.id = id, .attempt = 1};
    *to = (struct bide_crash){0};
    bide_crashes_ask(shared->crashes, &message, bide_clock_system(), to);
}

static void be_ready(struct stage *stage, const struct bide_supervised *shared)
{
    ask(shared, "m1", &stage->first);
    ask(shared, "m2", &stage->second);
    atomic_store(shared->serving, 1);
    atomic_fetch_add(&stage->ready, 1);
}

static int serve(struct stage *stage, const struct bide_supervised *shared)
{
    catch_signals(stage);
    be_ready(stage, shared);
    supervised_await_count(&stage->terms, 1);
    atomic_fetch_add(&stage->stopped, 1);
    return 0;
}

static int serve_until_hurried(struct stage *stage, const struct bide_supervised *shared)
{
    catch_signals(stage);
    be_ready(stage, shared);
    supervised_await_count(&stage->hurries, 1);
    return 0;
}

static int leave(struct stage *stage, const struct bide_supervised *shared)
{
    be_ready(stage, shared);
    return 0;
}

static int fail_to_start(struct stage *stage, const struct bide_supervised *shared)
{
    (void)stage, (void)shared;
    return 69;
}

static int serve_and_fail(struct stage *stage, const struct bide_supervised *shared)
{
    atomic_store(shared->serving, 1);
    (void)stage;
    return 70;
}

/* The calling thread runs m1 in slot 0, and another one, as it were, m2 in slot 1. */
static void run_two(const struct bide_supervised *shared)
{
    static const struct bide_message m1 = {.id = "m1", .type = "t", .attempt = 1};
    static const struct bide_message m2 = {.id = "m2", .type = "t", .attempt = 1};
    bide_error error;
    if (bide_slot_watch_faults(&error) != BIDE_OK ||
        bide_slot_watch_thread(&shared->slots[0], &error) != BIDE_OK)
        _exit(99);
    bide_slot_begin(&shared->slots[0], &m1, "p", "b", 0);
    bide_slot_begin(&shared->slots[1], &m2, "p", "b", 0);
    atomic_store(shared->serving, 1);
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
ACT(hang_and_be_killed, (bide_slot_end(&shared->slots[1]), bide_slot_give_up(shared->slots), raise(SIGKILL)))

/* What a handler's own child does is not the handler's fault. */
static int fork_a_child_that_faults(struct stage *stage, const struct bide_supervised *shared)
{
    run_two(shared);
    pid_t pid = fork();
    if (pid == 0)
        raise(SIGSEGV);
    waitpid(pid, NULL, 0);
    bool blamed = atomic_load(&shared->slots[0].state) != BIDE_SLOT_RUNNING;
    bide_slot_end(&shared->slots[0]);
    bide_slot_end(&shared->slots[1]);
    bide_slot_unwatch_thread();
    return blamed ? 1 : serve(stage, shared);
}

static int hang(struct stage *stage, const struct bide_supervised *shared)
{
    be_ready(stage, shared);
    atomic_store(shared->wants_successor, 1);
    kill(shared->supervisor, SIGUSR1);
    supervised_await_count(&stage->release, 1);
    return 0;
}

/* ---- the stage ---- */

static int child_main(void *user, const struct bide_supervised *shared)
{
    struct stage *stage = user;
    int number = atomic_fetch_add(&stage->starts, 1);
    if (number < STARTS_MAX)
        atomic_store(&stage->started_ms[number], now_ms());
    act *action = number < STARTS_MAX && stage->script[number] ? stage->script[number] : serve;
    return action(stage, shared);
}

static void supervise(void *user)
{
    struct stage *stage = user;
    const struct bide_supervisor_options options = {
        .force = {stage->processes, THREADS}, .run = child_main, .user = stage};
    const struct rlimit no_core = {0};
    bide_error error = {0};
    int status = 99;
    setrlimit(RLIMIT_CORE, &no_core);
    bide_log_set_level(BIDE_LOG_OFF);
    if (bide_supervise(&options, &status, &error) != BIDE_OK)
        _exit(98);
    _exit(status);
}

static int set_stage(void **state)
{
    struct stage *stage = supervised_map(sizeof *stage);
    if (!stage)
        return -1;
    stage->processes = 1;
    *state = stage;
    return 0;
}

static int clear_stage(void **state)
{
    struct stage *stage = *state;
    atomic_store(&stage->release, 1);
    return supervised_unmap(stage, sizeof *stage, stage->supervisor);
}

static void begin(struct stage *stage)
{
    stage->supervisor = supervised_begin(supervise, stage);
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

static void test_a_second_stop_is_another_signal(void **state)
{
    struct stage *stage = *state;
    stage->script[0] = serve_until_hurried;
    begin(stage);
    supervised_await(&stage->ready, 1);
    kill(stage->supervisor, SIGINT);
    supervised_await(&stage->terms, 1);
    assert_int_equal(stage->hurries, 0);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
    assert_int_equal(stage->terms, 1);
    assert_int_equal(stage->hurries, 1);
}

static void test_who_leaves_is_not_replaced(void **state)
{
    struct stage *stage = *state;
    stage->script[0] = leave;
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

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, set_stage, clear_stage)

static const struct CMUnitTest tests[] = {
    ON_STAGE(test_a_stop_is_passed_on),
    ON_STAGE(test_a_second_stop_is_another_signal),
    ON_STAGE(test_who_leaves_is_not_replaced),
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
    ON_STAGE(test_a_childs_fault_is_nobodys),
    ON_STAGE(test_a_hung_one_gets_a_successor),
    ON_STAGE(test_a_hung_one_that_dies_is_blamed),
};

UNIT_MAIN(tests)
