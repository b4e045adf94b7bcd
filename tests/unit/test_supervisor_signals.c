/* supervisor/supervisor: what signals mean to it, whoever sends them, with real forks. */
#include "unit/supervisor_stage.h"

static int leave_when_told(struct stage *stage, const struct bide_supervised *shared)
{
    catch_signals(stage);
    be_ready(stage, shared);
    supervised_await_count(&stage->terms, 1);
    atomic_store(&stage->terms, 0); /* for the next one */
    return leave(shared, BIDE_LEAVES);
}

static int serve_until_hurried(struct stage *stage, const struct bide_supervised *shared)
{
    catch_signals(stage);
    be_ready(stage, shared);
    supervised_await_count(&stage->hurries, 1);
    return 0;
}

static int be_killed(struct stage *stage, const struct bide_supervised *shared)
{
    (void)stage;
    atomic_store(&shared->process->serving, 1);
    return raise(SIGKILL);
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

static void test_a_stranger_stops_nobody(void **state)
{
    struct stage *stage = *state;
    stage->script[0] = leave_when_told;
    begin(stage);
    supervised_await(&stage->ready, 1);
    kill(stage->child, SIGTERM);
    supervised_await(&stage->ready, 2);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
    assert_int_equal(stage->starts, 2);
}

static void test_what_the_parent_ignored_and_blocked(void **state)
{
    struct stage *stage = *state;
    stage->hostile = true;
    stage->script[0] = be_killed;
    begin(stage);
    supervised_await(&stage->ready, 1);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
    assert_int_equal(stage->stopped, 1);
}

/* However many come, the last ones while it ends: the status is told. */
static void test_many_stops(void **state)
{
    struct stage *stage = *state;
    struct deadline deadline = deadline_in_ms(SUPERVISED_PATIENCE_MS);
    begin(stage);
    supervised_await(&stage->ready, 1);
    int status = 0;
    while (waitpid(stage->supervisor, &status, WNOHANG) == 0 && !deadline_passed(&deadline))
        kill(stage->supervisor, SIGTERM);
    stage->supervisor = 0;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_a_hang_up_without_a_reload(void **state)
{
    struct stage *stage = *state;
    begin(stage);
    supervised_await(&stage->ready, 1);
    kill(stage->supervisor, SIGHUP);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
    assert_int_equal(stage->stopped, 1);
}

/* In a terminal; its first process leaves when it is hurried only. */
static void begin_in_terminal(struct stage *stage)
{
    stage->terminal = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(stage->terminal >= 0 && grantpt(stage->terminal) == 0 && unlockpt(stage->terminal) == 0);
    stage->script[0] = serve_until_hurried;
    begin(stage);
    supervised_await(&stage->ready, 1);
}

/* Nothing tells when a signal has been obeyed that is to change nothing: so long it must go on. */
static void check_goes_on(const struct stage *stage)
{
    enum { LONG_ENOUGH_MS = 100 };
    struct deadline deadline = deadline_in_ms(LONG_ENOUGH_MS);
    while (!deadline_passed(&deadline)) {
        assert_int_equal(waitpid(stage->supervisor, NULL, WNOHANG), 0);
        assert_int_equal(stage->hurries, 0);
        deadline_nap(&deadline);
    }
}

static void test_a_closed_terminal_is_one_stop(void **state)
{
    struct stage *stage = *state;
    begin_in_terminal(stage);
    close(stage->terminal); /* the system tells */
    supervised_await(&stage->terms, 1);
    kill(stage->supervisor, SIGHUP); /* and so does a shell */
    check_goes_on(stage);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
}

static void test_nohup(void **state)
{
    struct stage *stage = *state;
    stage->nohup = true;
    begin_in_terminal(stage);
    close(stage->terminal);
    kill(stage->supervisor, SIGHUP);
    check_goes_on(stage);
    assert_int_equal(stage->terms, 0);
    kill(stage->supervisor, SIGTERM);
    supervised_await(&stage->terms, 1);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
}

/* Ctrl-Z and Ctrl-C go to every process of a terminal's group: the console goes on until the supervisor ends
 * it. */
static void test_a_terminal_does_not_stop_the_console(void **state)
{
    static const int numbers[] = {SIGTSTP, SIGINT, SIGTERM, SIGHUP};
    struct stage *stage = *state;
    stage->has_console = true;
    begin(stage);
    supervised_await(&stage->ready, 1);
    supervised_await(&stage->console_rounds, 1);
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        kill(stage->console, numbers[i]);
    supervised_await(&stage->console_rounds, stage->console_rounds + 2);
    assert_int_equal(stage->console_starts, 1);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
}

static const struct CMUnitTest tests[] = {
    ON_STAGE(test_a_second_stop_is_another_signal),
    ON_STAGE(test_a_stranger_stops_nobody),
    ON_STAGE(test_what_the_parent_ignored_and_blocked),
    ON_STAGE(test_many_stops),
    ON_STAGE(test_a_hang_up_without_a_reload),
    ON_STAGE(test_a_closed_terminal_is_one_stop),
    ON_STAGE(test_nohup),
    ON_STAGE(test_a_terminal_does_not_stop_the_console),
};

UNIT_MAIN(tests)
