/* The wake-up descriptor, and the clock. */
#include "unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/wakeup.h"
#include "support/fake_clock.h"

static int readable(const struct bide_wakeup *wakeup, int wait_ms)
{
    struct pollfd poller = {.fd = wakeup->fd, .events = POLLIN};
    return poll(&poller, 1, wait_ms);
}

static void signal_and_drain(void **state)
{
    (void)state;
    struct bide_wakeup wakeup;
    assert_int_equal(bide_wakeup_init(&wakeup, NULL), BIDE_OK);
    assert_int_equal(readable(&wakeup, 0), 0);
    bide_wakeup_drain(&wakeup); /* nothing there: must not block */
    for (int i = 0; i < 1000; i++)
        bide_wakeup_signal(&wakeup);
    assert_int_equal(readable(&wakeup, 0), 1);
    bide_wakeup_drain(&wakeup); /* takes all of them */
    assert_int_equal(readable(&wakeup, 0), 0);
    bide_wakeup_close(&wakeup);
    assert_int_equal(wakeup.fd, -1);
    bide_wakeup_close(&wakeup);
}

static void full_counter_does_not_block(void **state)
{
    (void)state;
    struct bide_wakeup wakeup;
    uint64_t most = UINT64_MAX - 1;
    assert_int_equal(bide_wakeup_init(&wakeup, NULL), BIDE_OK);
    assert_int_equal(write(wakeup.fd, &most, sizeof most), sizeof most);
    errno = EDOM;
    bide_wakeup_signal(&wakeup);
    assert_int_equal(errno, EDOM);
    assert_int_equal(readable(&wakeup, 0), 1);
    bide_wakeup_close(&wakeup);
}

static void no_descriptor_left(void **state)
{
    (void)state;
    struct rlimit kept, none;
    struct bide_wakeup wakeup = {.fd = 12345};
    bide_error error;
    getrlimit(RLIMIT_NOFILE, &kept);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = kept.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    bide_code code = bide_wakeup_init(&wakeup, &error);
    setrlimit(RLIMIT_NOFILE, &kept);
    assert_int_equal(code, BIDE_E_INTERNAL);
    assert_string_equal(error.text, "cannot create an eventfd: Too many open files");
    bide_wakeup_close(&wakeup); /* must not close a descriptor that is not its own */
}

enum { ROUNDS = 2000 };

struct exchange {
    struct bide_wakeup there, back;
    _Atomic int sent;
};

static void *answer(void *user)
{
    struct exchange *exchange = user;
    for (int i = 1; i <= ROUNDS; i++) {
        if (readable(&exchange->there, 10000) != 1 || atomic_load(&exchange->sent) != i)
            return "no signal, or a stale one";
        bide_wakeup_drain(&exchange->there);
        bide_wakeup_signal(&exchange->back);
    }
    return NULL;
}

static void between_threads_none_is_lost(void **state)
{
    (void)state;
    struct exchange exchange = {0};
    pthread_t thread;
    void *complaint;
    assert_int_equal(bide_wakeup_init(&exchange.there, NULL), BIDE_OK);
    assert_int_equal(bide_wakeup_init(&exchange.back, NULL), BIDE_OK);
    assert_int_equal(pthread_create(&thread, NULL, answer, &exchange), 0);
    for (int i = 1; i <= ROUNDS; i++) {
        atomic_store(&exchange.sent, i);
        bide_wakeup_signal(&exchange.there);
        if (readable(&exchange.back, 10000) != 1)
            break;
        bide_wakeup_drain(&exchange.back);
    }
    pthread_join(thread, &complaint);
    assert_null(complaint);
    bide_wakeup_close(&exchange.there);
    bide_wakeup_close(&exchange.back);
}

static struct bide_wakeup from_handler;

static void on_signal(int number)
{
    (void)number;
    bide_wakeup_signal(&from_handler);
}

static void from_a_signal_handler(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = on_signal}, kept;
    assert_int_equal(bide_wakeup_init(&from_handler, NULL), BIDE_OK);
    sigaction(SIGUSR1, &action, &kept);
    raise(SIGUSR1);
    sigaction(SIGUSR1, &kept, NULL);
    assert_int_equal(readable(&from_handler, 10000), 1);
    bide_wakeup_close(&from_handler);
}

static void system_clock(void **state)
{
    (void)state;
    const struct bide_clock *clock = bide_clock_system();
    int64_t last = bide_mono_us(clock);
    for (int i = 0; i < 10000; i++) {
        int64_t now = bide_mono_us(clock);
        assert_true(now >= last);
        last = now;
    }
    assert_true(bide_wall_ms(clock) > INT64_C(1700000000000)); /* after 2023: the unit is right */
    assert_true(bide_wall_ms(clock) < INT64_C(10000000000000));
    int64_t us = bide_wall_us(clock);
    assert_true(bide_wall_ms(clock) - us / 1000 < 60000);
}

static void clock_that_is_told(void **state)
{
    (void)state;
    struct fake_clock fake;
    fake_clock_init(&fake, 5);
    int64_t mono_us = bide_mono_us(&fake.clock), day_us = INT64_C(86400) * 1000000;
    fake_clock_advance_us(&fake, 30 * day_us + 999);
    assert_int_equal(bide_wall_ms(&fake.clock), 30 * day_us / 1000 + 5);
    assert_int_equal(bide_mono_us(&fake.clock), mono_us + 30 * day_us + 999);
    fake_clock_jump_ms(&fake, -1000);
    assert_int_equal(bide_wall_us(&fake.clock), 30 * day_us + 5999 - 1000000);
    assert_int_equal(bide_mono_us(&fake.clock), mono_us + 30 * day_us + 999);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(signal_and_drain),
    cmocka_unit_test(full_counter_does_not_block),
    cmocka_unit_test(no_descriptor_left),
    cmocka_unit_test(between_threads_none_is_lost),
    cmocka_unit_test(from_a_signal_handler),
    cmocka_unit_test(system_clock),
    cmocka_unit_test(clock_that_is_told),
};

UNIT_MAIN(tests)
