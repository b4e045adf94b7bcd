#include "base/process_lock.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#include "base/clock.h"

enum { PATIENCE_US = 1000 * 1000 };

void bide_process_lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static _Thread_local bool entered_anyway; /* a thread holds one of these at a time */

static int wait_for(pthread_mutex_t *lock)
{
    int64_t until_us = bide_mono_us(bide_clock_system()) + PATIENCE_US;
    const struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    return pthread_mutex_clocklock(lock, CLOCK_MONOTONIC, &until);
}

void bide_process_lock(pthread_mutex_t *lock)
{
    int result = pthread_mutex_trylock(lock);
    if (result == EBUSY)
        result = wait_for(lock);
    if (result == EOWNERDEAD)
        result = pthread_mutex_consistent(lock);
    entered_anyway = result != 0;
}

void bide_process_unlock(pthread_mutex_t *lock)
{
    if (!entered_anyway)
        pthread_mutex_unlock(lock);
    entered_anyway = false;
}
