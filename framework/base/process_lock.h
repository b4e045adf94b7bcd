/* base/process_lock.h: a mutex in memory that several processes share. Any of them may die while it holds the
 * mutex.
 *
 * The next process that takes it may find the data half changed: the data must be usable even then. Nobody
 * waits long: after a second a process enters although another one seems to hold the mutex. That one may have
 * been stopped, or no process holds it at all because a stray pointer wrote to the mutex. The supervisor must
 * not depend on a process that it watches. */
#ifndef BIDE_BASE_PROCESS_LOCK_H
#define BIDE_BASE_PROCESS_LOCK_H

#include <pthread.h>

/* Called once, before the processes are forked. */
void bide_process_lock_init(pthread_mutex_t *lock);
/* Any thread of any of the processes; a thread holds one of these locks at a time. */
void bide_process_lock(pthread_mutex_t *lock);
void bide_process_unlock(pthread_mutex_t *lock);

#endif
