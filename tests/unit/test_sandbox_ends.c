/* dispatch/sandbox: how children end, and what that does to their messages: nothing to all others. */
#include "sandbox_cases.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "support/fake_clock.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1 /* which takes address space by the terabyte */
#else
#define UNDER_SANITIZER 0
#endif

/* ---- deaths ---- */

static void the_dead_take_only_their_own_message(void **state)
{
    static const struct {
        const char *body, *how;
    } deaths[] = {
        {"exit", "exit status 3"},
        {"segv", "killed by SIGSEGV"},
        {"abort", "killed by SIGABRT"},
    };
    pid_t before = run_well(*state);
    for (size_t i = 0; i < COUNT_OF(deaths); i++) {
        struct bide_run run = run_text(*state, deaths[i].body);
        assert_int_equal(run.outcome, BIDE_RETRY);
        assert_true(run.crashed);
        assert_true(run.ran);
        assert_false(run.timed_out);
        if (!strstr(run.error, deaths[i].how))
            fail_msg("%s: %s", deaths[i].body, run.error);
        bide_run_release(&run);
        pid_t after = run_well(*state);
        assert_int_not_equal(after, before);
        assert_int_equal(kill(before, 0), -1); /* buried */
        before = after;
    }
}

/* With a short timeout, which is not that of the others: a busy machine may hold them up for longer. */
static struct bide_run run_hung(struct fixture *fixture)
{
    fixture->rig.config.timeout_ms = 80;
    fixture->rig.config.kill_after_ms = 40;
    struct bide_run run = run_text(fixture, "hang");
    fixture->rig.config.timeout_ms = 0;
    return run;
}

static void the_hung_are_killed(void **state)
{
    struct fixture *fixture = *state;
    pid_t before = run_well(fixture);
    struct bide_run run = run_hung(fixture);
    assert_int_equal(run.outcome, BIDE_RETRY);
    assert_true(run.timed_out);
    assert_false(run.crashed);
    assert_non_null(strstr(run.error, "did not return within 40ms"));
    assert_between(run.took_us, 110 * 1000, 60 * 1000 * 1000);
    bide_run_release(&run);
    assert_int_equal(kill(before, 0), -1);
    assert_int_not_equal(run_well(fixture), before);
}

/* The worker was stopped for longer than timeout and kill_after: the child is told, and then has its time. */
static bide_outcome answer_when_cancelled(void *state, const bide_message *message, bide_context *context)
{
    (void)state;
    if (!says(message, "wait"))
        return obey(state, message, context);
    struct pollfd fd = {.fd = bide_cancel_fd(context), .events = POLLIN};
    if (poll(&fd, 1, 20 * 1000) != 1 || !bide_cancelled(context))
        return bide_dead(context, "not cancelled");
    return bide_retry(context, 5, "as you wish");
}

static void kill_after_counts_from_when_it_is_told(void **state)
{
    struct fixture fixture;
    struct fake_clock fake;
    bide_error error;
    (void)state;
    sandbox_rig_init(&fixture.rig, answer_when_cancelled);
    fixture.rig.config.timeout_ms = 1000;
    fixture.rig.config.kill_after_ms = 5000;
    fake_clock_init(&fake, bide_wall_ms(bide_clock_system()));
    fake_clock_advance_ms(&fake, bide_mono_ms(bide_clock_system()) + 60 * 1000); /* behind both */
    bide_context_init(&fixture.context, &fake.clock);
    assert_ok(sandbox_open(&fixture.rig, &error), &error);
    struct bide_run run = run_text(&fixture, "wait");
    assert_string_equal(run.error, "as you wish");
    assert_true(run.timed_out);
    bide_run_release(&run);
    close_with(&fixture);
}

/* ---- children that cannot be reaped ---- */

static int64_t now_ms(void)
{
    return bide_mono_ms(bide_clock_system());
}

/* A tracer stands in for the kernel: what it traces is not its parent's to reap, dead or not, until it has
 * reaped it itself. */
static void one_that_cannot_be_reaped_stops_nobody(void **state)
{
    struct fixture fixture;
    bide_error error;
    (void)state;
    sandbox_rig_init(&fixture.rig, obey);
    bide_context_init(&fixture.context, bide_clock_system());
    assert_ok(sandbox_open(&fixture.rig, &error), &error);
    pid_t stuck = run_well(&fixture);
    if (ptrace(PTRACE_SEIZE, stuck, NULL, NULL) != 0) {
        close_with(&fixture);
        skip(); /* may not trace here */
    }
    int64_t start_ms = now_ms();
    struct bide_run run = run_hung(&fixture);
    assert_true(run.timed_out);
    bide_run_release(&run);
    assert_int_not_equal(run_well(&fixture), stuck);
    assert_false(bide_zygote_is_lost(fixture.rig.zygote));
    close_with(&fixture);
    assert_between(now_ms() - start_ms, 0, 60 * 1000);
    assert_int_equal(waitpid(stuck, NULL, __WALL), stuck); /* it was dead all the time */
}

static bide_outcome tell_pid_of_parent(void *state, const bide_message *message, bide_context *context)
{
    (void)state, (void)message;
    return bide_retry(context, BIDE_BY_POLICY, "%d", (int)getppid());
}

static void a_zygote_that_does_not_end_is_killed(void **state)
{
    struct fixture fixture;
    (void)state;
    open_with(&fixture, tell_pid_of_parent);
    struct bide_run run = run_text(&fixture, "");
    pid_t zygote = (pid_t)atoi(run.error);
    bide_run_release(&run);
    kill(zygote, SIGSTOP);
    int64_t start_ms = now_ms();
    close_with(&fixture);
    assert_between(now_ms() - start_ms, 0, 60 * 1000);
    assert_int_equal(kill(zygote, 0), -1);
}

/* ---- children that end without a message, and their parent ---- */

static bool is_no_zombie_yet(pid_t pid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    bool there = file && fgets(text, sizeof text, file);
    if (file)
        fclose(file);
    const char *behind_name = strrchr(text, ')');
    return there && behind_name && behind_name[2] != 'Z';
}

static bool has_ended(void *user)
{
    return !is_no_zombie_yet(*(pid_t *)user);
}

static bool is_past(void *user)
{
    return bide_mono_us(bide_clock_system()) > *(int64_t *)user;
}

static void a_death_between_messages_is_nobodys_fault(void **state)
{
    pid_t before = run_well(*state);
    kill(before, SIGKILL);
    assert_true(wait_until(has_ended, &before, 60 * 1000));
    int64_t later_us = bide_mono_us(bide_clock_system()) + 3000;
    assert_true(wait_until(is_past, &later_us, 60 * 1000));
    assert_int_not_equal(run_well(*state), before);
}

static bide_outcome tell_parent(void *state, const bide_message *message, bide_context *context)
{
    if (says(message, "kill the zygote")) {
        kill(getppid(), SIGKILL);
        pause(); /* dies with it */
    }
    return obey(state, message, context);
}

static void without_zygote_nothing_is_blamed(void **state)
{
    struct fixture fixture;
    (void)state;
    open_with(&fixture, tell_parent);
    run_well(&fixture);
    assert_false(bide_zygote_is_lost(fixture.rig.zygote));
    for (int i = 0; i < 2; i++) { /* it dies; it has died */
        struct bide_run run = run_text(&fixture, "kill the zygote");
        assert_false(run.ran);
        assert_false(run.crashed);
        assert_true(bide_zygote_is_lost(fixture.rig.zygote));
        bide_run_release(&run);
    }
    close_with(&fixture);
}

static struct {
    _Atomic pid_t grandchild;
} * shared; /* with the children */

static bide_outcome leave_a_grandchild(void *state, const bide_message *message, bide_context *context)
{
    (void)state, (void)message, (void)context;
    pid_t pid = fork();
    while (pid == 0)
        pause();
    atomic_store(&shared->grandchild, pid);
    exit(1);
}

static void grandchildren_die_too(void **state)
{
    struct fixture fixture;
    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    open_with(&fixture, leave_a_grandchild);
    struct bide_run run = run_text(&fixture, "");
    assert_true(run.crashed);
    bide_run_release(&run);
    pid_t pid = atomic_load(&shared->grandchild);
    assert_true(pid > 0);
    assert_true(wait_until(has_ended, &pid, 60 * 1000));
    close_with(&fixture);
    munmap(shared, sizeof *shared);
}

/* ---- open and close ---- */

static bide_code refuse_to_open(const bide_settings *settings, void **ret_state, bide_error *error)
{
    (void)settings, (void)ret_state;
    return bide_fail(error, BIDE_E_CONFIG, "not today");
}

static bide_code die_in_open(const bide_settings *settings, void **ret_state, bide_error *error)
{
    (void)settings, (void)ret_state, (void)error;
    exit(9);
}

static void a_handler_that_does_not_open(void **state)
{
    static const struct {
        bide_code (*open)(const bide_settings *, void **, bide_error *);
        bide_code code;
        const char *text;
    } rows[] = {
        {refuse_to_open, BIDE_E_CONFIG, "handler 'test' (plugin 'test') did not open: not today"},
        {die_in_open, BIDE_E_INTERNAL, "handler 'test' ended its sandbox while it opened: exit status 9"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sandbox_rig rig;
        bide_error error = {0};
        sandbox_rig_init(&rig, obey);
        rig.plugin.descriptor.open = rows[i].open;
        assert_int_equal(sandbox_open(&rig, &error), rows[i].code);
        assert_string_equal(error.text, rows[i].text);
        sandbox_close(&rig);
    }
}

static void note_the_end(void *state)
{
    (void)state;
    atomic_store(&shared->grandchild, 1);
}

static void close_is_called(void **state)
{
    struct fixture fixture;
    bide_error error;
    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    sandbox_rig_init(&fixture.rig, obey);
    fixture.rig.plugin.descriptor.close = note_the_end;
    bide_context_init(&fixture.context, bide_clock_system());
    assert_ok(sandbox_open(&fixture.rig, &error), &error);
    run_well(&fixture);
    assert_int_equal(atomic_load(&shared->grandchild), 0);
    sandbox_close(&fixture.rig); /* waits for the zygote, which waits for its children */
    assert_int_equal(atomic_load(&shared->grandchild), 1);
    bide_context_close(&fixture.context);
    munmap(shared, sizeof *shared);
}

static bide_outcome count_descriptors(void *state, const bide_message *message, bide_context *context)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    (void)state, (void)message;
    for (const struct dirent *entry; dir && (entry = readdir(dir));)
        n += isdigit((unsigned char)entry->d_name[0]) != 0;
    if (dir)
        closedir(dir);
    return bide_retry(context, BIDE_BY_POLICY, "%d", n - 1); /* but for the folder */
}

/* What this process lacks is not the message's fault: no attempt. */
static void without_descriptors_the_message_is_spared(void **state)
{
    struct fixture *fixture = *state;
    struct rlimit limit, none;
    struct bide_run last = run_text(fixture, "exit"); /* so that it takes a new child */
    bide_run_release(&last);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct bide_run run = run_text(fixture, "echo");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(run.outcome, BIDE_RETRY);
    assert_true(run.spared);
    assert_non_null(run.error);
    bide_run_release(&run);
    run_well(fixture);
}

static void descriptors_are_not_inherited(void **state)
{
    struct fixture fixture;
    (void)state;
    int leaked = open("/dev/null", O_RDONLY); /* without O_CLOEXEC, which forks do not care for anyway */
    assert_true(leaked >= 0);
    open_with(&fixture, count_descriptors);
    struct bide_run run = run_text(&fixture, "");
    assert_string_equal(run.error, "5"); /* 0, 1, 2, the socket, the eventfd */
    bide_run_release(&run);
    close_with(&fixture);
    close(leaked);
}

/* ---- limits ---- */

static void cpu_time_is_limited(void **state)
{
    struct fixture *fixture = *state;
    sandbox_close(&fixture->rig);
    bide_error error;
    fixture->rig.config.limits.cpu_ms = 1000;
    assert_ok(sandbox_open(&fixture->rig, &error), &error);
    struct bide_run run = run_text(fixture, "spin");
    assert_true(run.crashed);
    assert_non_null(strstr(run.error, "SIGXCPU"));
    assert_non_null(strstr(run.error, "limits.cpu"));
    bide_run_release(&run);
    run = run_text(fixture, "spin on"); /* a handler that ignores the warning */
    assert_true(run.crashed);
    assert_non_null(strstr(run.error, "SIGKILL"));
    bide_run_release(&run);
    run_well(fixture);
}

static void a_limit_beyond_ones_rights(void **state)
{
    struct sandbox_rig rig;
    bide_error error = {0};
    (void)state;
    sandbox_rig_init(&rig, obey);
    rig.config.limits.files = INT32_MAX; /* more than the kernel gives to anybody */
    assert_int_equal(sandbox_open(&rig, &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "handler 'test': limits.files cannot be set"));
    sandbox_close(&rig);
}

#if !UNDER_SANITIZER
/* Takes what it gets, and then uses what it did not get. */
static bide_outcome allocate_without_end(void *state, const bide_message *message, bide_context *context)
{
    if (!says(message, "allocate"))
        return obey(state, message, context);
    for (;;)
        *(volatile char *)malloc(1 << 20) = 1;
}

static void memory_is_limited(void **state)
{
    struct fixture fixture;
    bide_error error;
    (void)state;
    sandbox_rig_init(&fixture.rig, allocate_without_end);
    fixture.rig.config.limits.memory = 256 << 20;
    fixture.rig.config.limits.no_new_privs = true;
    bide_context_init(&fixture.context, bide_clock_system());
    assert_ok(sandbox_open(&fixture.rig, &error), &error);
    struct bide_run run = run_text(&fixture, "allocate");
    assert_true(run.crashed);
    assert_non_null(strstr(run.error, "killed by SIGSEGV"));
    bide_run_release(&run);
    run_well(&fixture);
    close_with(&fixture);
}
#endif

static const struct CMUnitTest tests[] = {
    WITH_RIG(the_dead_take_only_their_own_message),
    WITH_RIG(the_hung_are_killed),
    cmocka_unit_test(kill_after_counts_from_when_it_is_told),
    cmocka_unit_test(one_that_cannot_be_reaped_stops_nobody),
    cmocka_unit_test(a_zygote_that_does_not_end_is_killed),
    WITH_RIG(a_death_between_messages_is_nobodys_fault),
    cmocka_unit_test(without_zygote_nothing_is_blamed),
    cmocka_unit_test(grandchildren_die_too),
    cmocka_unit_test(a_handler_that_does_not_open),
    cmocka_unit_test(close_is_called),
    WITH_RIG(without_descriptors_the_message_is_spared),
    cmocka_unit_test(descriptors_are_not_inherited),
    WITH_RIG(cpu_time_is_limited),
    cmocka_unit_test(a_limit_beyond_ones_rights),
#if !UNDER_SANITIZER
    cmocka_unit_test(memory_is_limited),
#endif
};

UNIT_MAIN(tests)
