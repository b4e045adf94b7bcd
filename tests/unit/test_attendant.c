/* supervisor/attendant: the console's process, with real forks and a clock of the test's own. */
#include "supervisor/supervising.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bide/log.h"
#include "support/fake_clock.h"
#include "unit/unit.h"

static int go_on_for_ever(void *user, size_t number, struct bide_shared *shared)
{
    (void)user, (void)number, (void)shared;
    while (pause() != 0) {
    }
    return 0;
}

static int make_way(void *user, size_t number, struct bide_shared *shared)
{
    sigset_t signals;
    int came;
    (void)user, (void)number, (void)shared;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR2);
    return sigwait(&signals, &came);
}

/* Waits for its death, and returns whether it was this one's. */
static bool bury(struct bide_attendant *attendant, const struct bide_clock *clock)
{
    int status;
    pid_t pid = waitpid(attendant->pid, &status, 0);
    return bide_attendant_bury(attendant, pid, status, clock);
}

/* Also one that has only just begun: reloads may follow each other as fast as that. */
static void test_it_makes_way(void **state)
{
    enum { TIMES = 50 };
    struct fake_clock clock;
    struct bide_attendant attendant = {.is = {.name = "console", .run = make_way}};
    (void)state;
    fake_clock_init(&clock, 0);
    for (int i = 0; i < TIMES; i++) {
        assert_int_equal(bide_attendant_tend(&attendant, NULL, &clock.clock), -1); /* at once, unhurried */
        assert_true(attendant.pid > 0);
        bide_attendant_renew(&attendant, &clock.clock);
        assert_true(bury(&attendant, &clock.clock));
    }
    assert_int_equal(bide_attendant_tend(&attendant, NULL, &clock.clock), -1);
    assert_true(attendant.pid > 0);
    bide_attendant_end(&attendant);
    assert_int_equal(attendant.pid, 0);
}

static void test_one_that_does_not_make_way_is_killed(void **state)
{
    struct fake_clock clock;
    struct bide_attendant attendant = {.is = {.name = "console", .run = go_on_for_ever}};
    (void)state;
    fake_clock_init(&clock, 0);
    bide_attendant_tend(&attendant, NULL, &clock.clock);
    bide_attendant_renew(&attendant, &clock.clock);
    int64_t left_ms = bide_attendant_tend(&attendant, NULL, &clock.clock);
    assert_true(left_ms > 0);
    fake_clock_advance_ms(&clock, left_ms);
    assert_int_equal(bide_attendant_tend(&attendant, NULL, &clock.clock), -1);
    assert_true(bury(&attendant, &clock.clock));
    left_ms = bide_attendant_tend(&attendant, NULL, &clock.clock);
    assert_true(left_ms > 0 && attendant.pid == 0);
    fake_clock_advance_ms(&clock, left_ms);
    bide_attendant_tend(&attendant, NULL, &clock.clock);
    assert_true(attendant.pid > 0);
    bide_attendant_end(&attendant); /* by force */
    assert_int_equal(attendant.pid, 0);
}

static int be_silent(void **state)
{
    (void)state;
    bide_log_set_level(BIDE_LOG_OFF);
    return 0;
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(test_it_makes_way, be_silent),
    cmocka_unit_test_setup(test_one_that_does_not_make_way_is_killed, be_silent),
};

UNIT_MAIN(tests)
