/* base/process_lock.h: a mutex in memory that several processes share, any of which may die inside.
 *
 * Whoever takes it next finds what the dead one left half done: what it guards must be of use also then. So
 * nobody waits for long: after a second it is entered though somebody is inside, who was stopped there, or
 * never was (a wild pointer wrote to the mutex). The supervisor must not depend on a process it watches. */
#ifndef BIDE_BASE_PROCESS_LOCK_H
#define BIDE_BASE_PROCESS_LOCK_H

#include <pthread.h>

/* Once, before the processes are forked. */
void bide_process_lock_init(pthread_mutex_t *lock);
/* Any thread of any of them, which is inside one at a time. */
void bide_process_lock(pthread_mutex_t *lock);
void bide_process_unlock(pthread_mutex_t *lock);

#endif
