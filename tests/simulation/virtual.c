#include "simulation/virtual.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <ucontext.h>

#include "base/wakeup.h"
#include "shared/slot.h"

enum { FIBERS_MAX = 64, STACK_BYTES = 256 * 1024 };

static const int64_t beginning_us = INT64_C(1800000000) * 1000000;

struct fiber {
    ucontext_t context;
    char *stack;
    void *(*main)(void *);
    void *user;
    bool used, ended;
    const pthread_cond_t *cond; /* it waits for this */
    bool polls;                 /* it waits for a descriptor */
    int64_t wake_us;            /* or until then */
    bool in_time;               /* it was woken before */
};

static struct {
    uint64_t random, steps;
    int64_t mono_us, stalled_us;
    struct fiber fibers[FIBERS_MAX];
    size_t n, now;
    ucontext_t scheduler;
    int locks;   /* that the running fiber holds */
    bool inside; /* a fiber runs */
} virtual;

uint64_t virtual_random(uint64_t n) /* splitmix64 (S. Vigna 2015) */
{
    uint64_t z = virtual.random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (z ^ z >> 31) % n;
}

void virtual_begin(uint64_t seed)
{
    virtual.random = seed;
    virtual.mono_us = 1000000;
    virtual.stalled_us = 0;
    virtual.n = 0;
    virtual.locks = 0;
}

/* ---- time ---- */

int64_t virtual_now_us(void)
{
    return virtual.mono_us;
}

int64_t virtual_wall_us(void)
{
    return beginning_us + virtual.mono_us;
}

uint64_t virtual_steps(void)
{
    return virtual.steps;
}

int64_t virtual_stalled_us(void)
{
    return virtual.stalled_us;
}

void virtual_stall(int64_t us)
{
    virtual.mono_us += us;
    virtual.stalled_us += us;
}

void virtual_excuse(int64_t us)
{
    virtual.stalled_us += us;
}

/* Looking takes time; now and then another process is let run in between. */
static int64_t look(const struct bide_clock *clock)
{
    (void)clock;
    virtual.mono_us += (int64_t)virtual_random(3);
    if (virtual_chance(64))
        virtual_stall((int64_t)virtual_random(2000));
    return virtual.mono_us;
}

static int64_t look_at_wall(const struct bide_clock *clock)
{
    return beginning_us + look(clock);
}

const struct bide_clock *virtual_clock(void)
{
    static const struct bide_clock clock = {.mono_us = look, .wall_us = look_at_wall};
    return &clock;
}

/* ---- fibers ---- */

static struct fiber *self(void)
{
    return &virtual.fibers[virtual.now];
}

static void yield(void)
{
    int locks = virtual.locks;
    virtual.locks = 0;
    swapcontext(&self()->context, &virtual.scheduler);
    virtual.locks = locks;
}

static void enter_fiber(void)
{
    self()->main(self()->user);
    self()->ended = true;
    yield();
}

static size_t spawn(void *(*body)(void *), void *user)
{
    if (virtual.n == FIBERS_MAX)
        abort();
    struct fiber *fiber = &virtual.fibers[virtual.n];
    char *stack = fiber->stack ? fiber->stack : malloc(STACK_BYTES);
    *fiber = (struct fiber){.stack = stack, .main = body, .user = user};
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = stack;
    fiber->context.uc_stack.ss_size = STACK_BYTES;
    makecontext(&fiber->context, enter_fiber, 0);
    return virtual.n++;
}

void virtual_spawn(void *(*body)(void *), void *user)
{
    spawn(body, user);
}

static bool can_run(const struct fiber *fiber)
{
    return !fiber->ended &&
           ((!fiber->cond && !fiber->polls) || fiber->in_time || virtual.mono_us >= fiber->wake_us);
}

/* One of those that can run; the time passes to when one can. False: nobody ever will. */
static bool choose(void)
{
    int64_t soonest_us = INT64_MAX;
    size_t n = 0;
    for (size_t i = 0; i < virtual.n; i++) {
        const struct fiber *fiber = &virtual.fibers[i];
        if (can_run(fiber) && virtual_random(++n) == 0)
            virtual.now = i;
        if (!fiber->ended && fiber->wake_us < soonest_us)
            soonest_us = fiber->wake_us;
    }
    if (n > 0)
        return true;
    if (soonest_us == INT64_MAX)
        return false;
    virtual.mono_us = soonest_us;
    return choose();
}

static void (*the_body)(void);

static void *run_body(void *user)
{
    (void)user;
    the_body();
    return NULL;
}

void virtual_run(void (*body)(void), void (*each_step)(void))
{
    the_body = body;
    spawn(run_body, NULL);
    while (!virtual.fibers[0].ended) {
        each_step();
        if (!choose()) {
            fprintf(stderr, "everybody waits for ever\n");
            abort();
        }
        virtual.steps++;
        virtual.inside = true;
        swapcontext(&virtual.scheduler, &self()->context);
        virtual.inside = false;
    }
}

/* Until `wake_us`, or woken before: true. */
static bool wait_until_us(const pthread_cond_t *cond, bool polls, int64_t wake_us)
{
    struct fiber *fiber = self();
    fiber->cond = cond;
    fiber->polls = polls;
    fiber->wake_us = wake_us;
    fiber->in_time = false;
    yield();
    fiber->cond = NULL;
    fiber->polls = false;
    return fiber->in_time;
}

void virtual_alone(bool alone)
{
    virtual.locks += alone ? 1 : -1;
}

void virtual_sleep(int64_t us)
{
    wait_until_us((const pthread_cond_t *)self(), false, virtual.mono_us + us);
}

/* ---- what the worker calls ---- */

int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attributes, void *(*body)(void *), void *user);
int __wrap_pthread_join(pthread_t id, void **result);
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock);
void __wrap_bide_process_lock(pthread_mutex_t *lock);
void __wrap_bide_process_unlock(pthread_mutex_t *lock);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock, const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *cond);
int __wrap_pthread_cond_broadcast(pthread_cond_t *cond);
int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
void __wrap_bide_wakeup_signal(const struct bide_wakeup *wakeup);
void __real_bide_wakeup_signal(const struct bide_wakeup *wakeup);
bide_code __wrap_bide_slot_watch_thread(struct bide_slot *slot, bide_error *error);
void __wrap_bide_slot_unwatch_thread(void);

int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attributes, void *(*body)(void *), void *user)
{
    (void)attributes;
    *id = (pthread_t)spawn(body, user);
    return 0;
}

int __wrap_pthread_join(pthread_t id, void **result)
{
    (void)id, (void)result;
    return 0; /* the pool joins those that have ended */
}

/* Nobody yields while holding a lock, so that it is always free; before, anybody may come first. */
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock)
{
    (void)lock;
    if (virtual.inside && virtual.locks == 0 && virtual_chance(4))
        yield();
    virtual.locks++;
    return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock)
{
    (void)lock;
    virtual.locks--;
    return 0;
}

void __wrap_bide_process_lock(pthread_mutex_t *lock)
{
    __wrap_pthread_mutex_lock(lock);
}

void __wrap_bide_process_unlock(pthread_mutex_t *lock)
{
    __wrap_pthread_mutex_unlock(lock);
}

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock)
{
    (void)lock;
    wait_until_us(cond, false, INT64_MAX);
    return 0;
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock, const struct timespec *until)
{
    (void)lock;
    int64_t until_us = (int64_t)until->tv_sec * 1000000 + until->tv_nsec / 1000;
    return wait_until_us(cond, false, until_us) ? 0 : ETIMEDOUT;
}

static int wake(const pthread_cond_t *cond, size_t most)
{
    for (size_t i = 0; i < virtual.n && most > 0; i++)
        if (virtual.fibers[i].cond == cond && !virtual.fibers[i].in_time) {
            virtual.fibers[i].in_time = true;
            most--;
        }
    return 0;
}

int __wrap_pthread_cond_signal(pthread_cond_t *cond)
{
    return wake(cond, 1);
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *cond)
{
    return wake(cond, SIZE_MAX);
}

int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    (void)mask;
    int64_t until_us = virtual.mono_us + (int64_t)timeout->tv_sec * 1000000 + timeout->tv_nsec / 1000;
    for (;;) {
        int ready = poll(fds, n, 0);
        if (ready != 0 || virtual.mono_us >= until_us)
            return ready;
        wait_until_us(NULL, true, until_us);
    }
}

void __wrap_bide_wakeup_signal(const struct bide_wakeup *wakeup)
{
    __real_bide_wakeup_signal(wakeup);
    for (size_t i = 0; i < virtual.n; i++)
        if (virtual.fibers[i].polls)
            virtual.fibers[i].in_time = true;
}

bide_code __wrap_bide_slot_watch_thread(struct bide_slot *slot, bide_error *error)
{
    (void)slot, (void)error;
    return BIDE_OK; /* a fiber has no signal stack of its own */
}

void __wrap_bide_slot_unwatch_thread(void) {}
