/* supervisor/reload: what SIGHUP does to a supervisor and its children, with real forks. */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bide/log.h"
#include "shared/slot.h"
#include "supervisor/supervisor.h"
#include "support/supervised.h"
#include "unit/unit.h"

/* Shared by the test, its supervisor and the supervisor's children. */
struct stage {
    pid_t supervisor;
    int processes, next_processes;
    bool bad_file, bad_candidate, crashing_candidate, late_candidate, slow;
    struct bide_crash crash; /* what the last child was told of the message m1 */
    _Atomic int starts, candidates, ready, told, stopped, prepared, accepted, refused;
    char said[BIDE_ERROR_SIZE]; /* the last refusal's reason */
};

static _Atomic int terms; /* this child's */

static void on_term(int number)
{
    (void)number;
    atomic_fetch_add(&terms, 1);
}

static const struct bide_message m1 = {.id = "m1", .type = "t", .queue = "default", .attempt = 1};

/* It serves, and is dead before the supervisor looks. */
static void crash_with_m1(const struct bide_supervised *shared)
{
    const struct rlimit no_core = {0};
    setrlimit(RLIMIT_CORE, &no_core);
    atomic_store(&shared->process->serving, 1);
    bide_slot_begin(&shared->process->slots[0], &m1, 1, m1.type, "p", "b", 0);
    atomic_store(&shared->process->slots[0].state, BIDE_SLOT_FAULTED);
    raise(SIGKILL);
}

static int child_main(void *user, const struct bide_supervised *shared)
{
    struct stage *stage = user;
    atomic_fetch_add(&stage->starts, 1);
    atomic_fetch_add(&stage->candidates, shared->candidate);
    if (shared->candidate && stage->bad_candidate) {
        snprintf(shared->process->failure, BIDE_ERROR_SIZE, "a bad plugin");
        return 78;
    }
    signal(SIGTERM, on_term);
    if (shared->candidate && stage->crashing_candidate)
        crash_with_m1(shared);
    if (shared->candidate && stage->late_candidate) { /* it serves when it is told to stop */
        supervised_await_count(&terms, 1);
        atomic_store(&shared->process->serving, 1);
        return 0;
    }
    bide_crashes_ask(shared->crashes, &m1, bide_clock_system(), &stage->crash);
    atomic_store(&shared->process->serving, 1);
    kill(shared->supervisor, SIGUSR1);
    atomic_fetch_add(&stage->ready, 1);
    supervised_await_count(&terms, 1);
    atomic_fetch_add(&stage->told, 1);
    if (stage->slow && atomic_load(&shared->process->unhurried)) { /* until nobody has time any more */
        supervised_await_count(&terms, 2);
        if (atomic_load(&shared->process->unhurried))
            return 1;
    }
    atomic_fetch_add(&stage->stopped, 1);
    return 0;
}

static bide_code prepare(void *user, struct bide_workforce *ret_force, bide_error *error)
{
    struct stage *stage = user;
    atomic_fetch_add(&stage->prepared, 1);
    if (stage->bad_file)
        return bide_fail(error, BIDE_E_CONFIG, "a bad file");
    *ret_force = (struct bide_workforce){.processes = stage->next_processes, .threads = 2};
    return BIDE_OK;
}

static void conclude(void *user, bool accepted)
{
    struct stage *stage = user;
    atomic_fetch_add(accepted ? &stage->accepted : &stage->refused, 1);
}

static void keep_reason(void *user, bide_log_level level, const char *text, const bide_log_field *fields)
{
    (void)text;
    if (level == BIDE_LOG_ERROR && fields->kind == BIDE_LOG_STR)
        snprintf(((struct stage *)user)->said, BIDE_ERROR_SIZE, "%s", fields->str);
}

static void supervise(void *user)
{
    struct stage *stage = user;
    const struct bide_supervisor_options options = {
        .force = {.processes = stage->processes, .threads = 1},
        .run = child_main,
        .prepare = prepare,
        .conclude = conclude,
        .user = stage,
    };
    int status = 99;
    bide_log_set_sink(keep_reason, stage);
    setsid(); /* no terminal: SIGHUP means what it says */
    if (bide_supervise(&options, &status, NULL) != BIDE_OK)
        _exit(98);
    _exit(status);
}

/* ---- the stage ---- */

static int set_stage(void **state)
{
    struct stage *stage = supervised_map(sizeof *stage);
    if (!stage)
        return -1;
    stage->processes = stage->next_processes = 1;
    *state = stage;
    return 0;
}

static int clear_stage(void **state)
{
    struct stage *stage = *state;
    return supervised_unmap(stage, sizeof *stage, stage->supervisor);
}

static void begin(struct stage *stage)
{
    stage->supervisor = supervised_begin(supervise, stage);
    supervised_await(&stage->ready, stage->processes);
}

/* ---- tests ---- */

static void test_all_are_replaced(void **state)
{
    struct stage *stage = *state;
    stage->processes = 2;
    stage->next_processes = 3;
    begin(stage);
    kill(stage->supervisor, SIGHUP);
    supervised_await(&stage->ready, 5);
    supervised_await(&stage->stopped, 2);
    assert_int_equal(stage->accepted, 1);
    assert_int_equal(stage->candidates, 1);
    stage->next_processes = 1;
    kill(stage->supervisor, SIGHUP);
    supervised_await(&stage->stopped, 5);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
    assert_int_equal(stage->starts, 6);
    assert_int_equal(stage->stopped, 6);
    assert_int_equal(stage->refused, 0);
}

static void test_a_refusal_touches_nobody(void **state)
{
    struct stage *stage = *state;
    stage->bad_candidate = true;
    begin(stage);
    kill(stage->supervisor, SIGHUP);
    supervised_await(&stage->refused, 1);
    stage->next_processes = BIDE_PROCESSES_MAX; /* more than there are places for */
    kill(stage->supervisor, SIGHUP);
    supervised_await(&stage->refused, 2);
    stage->bad_file = true;
    kill(stage->supervisor, SIGHUP);
    supervised_await(&stage->prepared, 3);
    assert_int_equal(stage->told, 0);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
    assert_int_equal(stage->starts, 2);
    assert_int_equal(stage->accepted, 0);
}

static void test_the_reason_is_the_candidates(void **state)
{
    struct stage *stage = *state;
    stage->bad_candidate = true;
    begin(stage);
    kill(stage->supervisor, SIGHUP);
    supervised_await(&stage->refused, 1);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
    assert_string_equal(stage->said, "a bad plugin");
}

static void test_many_are_one_more(void **state)
{
    struct stage *stage = *state;
    begin(stage);
    kill(stage->supervisor, SIGSTOP);
    assert_int_equal(waitpid(stage->supervisor, NULL, WUNTRACED), stage->supervisor);
    for (int i = 0; i < 20; i++)
        kill(stage->supervisor, SIGHUP);
    kill(stage->supervisor, SIGCONT);
    supervised_await(&stage->stopped, 1);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
    assert_int_equal(stage->accepted, 1);
}

static void test_there_is_time_until_all_stop(void **state)
{
    struct stage *stage = *state;
    stage->slow = true;
    begin(stage);
    kill(stage->supervisor, SIGHUP);
    supervised_await(&stage->told, 1);
    supervised_await(&stage->ready, 2);
    assert_int_equal(stage->stopped, 0);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
    assert_int_equal(stage->stopped, 2);
}

static void test_a_candidates_crash_is_blamed(void **state)
{
    struct stage *stage = *state;
    stage->crashing_candidate = true;
    stage->next_processes = 2;
    begin(stage);
    kill(stage->supervisor, SIGHUP);
    supervised_await(&stage->ready, 3);
    assert_int_equal(stage->accepted, 1);
    assert_int_equal(stage->crash.crashes, 1);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
}

static void test_a_stop_while_a_candidate_starts(void **state)
{
    struct stage *stage = *state;
    stage->late_candidate = true;
    begin(stage);
    kill(stage->supervisor, SIGHUP);
    supervised_await(&stage->candidates, 1);
    assert_int_equal(supervised_stop(&stage->supervisor), 0);
    assert_int_equal(stage->accepted, 0);
    assert_int_equal(stage->refused, 1);
}

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, set_stage, clear_stage)

static const struct CMUnitTest tests[] = {
    ON_STAGE(test_all_are_replaced),
    ON_STAGE(test_a_refusal_touches_nobody),
    ON_STAGE(test_the_reason_is_the_candidates),
    ON_STAGE(test_many_are_one_more),
    ON_STAGE(test_there_is_time_until_all_stop),
    ON_STAGE(test_a_candidates_crash_is_blamed),
    ON_STAGE(test_a_stop_while_a_candidate_starts),
};

UNIT_MAIN(tests)
