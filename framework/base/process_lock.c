#include "base/process_lock.h"

#include <errno.h>
#include <time.h>

enum { PATIENCE_S = 1 };

void bide_process_lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static int wait_for(pthread_mutex_t *lock)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_S;
    return pthread_mutex_clocklock(lock, CLOCK_MONOTONIC, &until);
}

void bide_process_lock(pthread_mutex_t *lock)
{
    int result = pthread_mutex_trylock(lock);
    if (result == EBUSY)
        result = wait_for(lock);
    if (result == EOWNERDEAD)
        pthread_mutex_consistent(lock);
}
