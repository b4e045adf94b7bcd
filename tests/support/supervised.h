/* tests/support/supervised.h: a supervisor in a process of its own, and memory it shares with its children
 * and the test. The test's thread alone, but for supervised_await_count. */
#ifndef TESTS_SUPPORT_SUPERVISED_H
#define TESTS_SUPPORT_SUPERVISED_H

#include <stddef.h>
#include <sys/types.h>

enum { SUPERVISED_PATIENCE_MS = 60000 };

/* Zeroed memory that processes forked from here share; NULL where there is none. */
void *supervised_map(size_t size);
/* Ends a supervisor that a failed test has left behind (pid 0: none), and unmaps. A fixture's return value.
 */
int supervised_unmap(void *memory, size_t size, pid_t supervisor);

/* Forks a process that calls main(user), which does not return. */
pid_t supervised_begin(void (*main)(void *user), void *user);
/* The exit status of a supervisor that is to end; fails the test where it does not. Sets *supervisor to 0. */
int supervised_end(pid_t *supervisor);

/* Asks it to end (SIGTERM), then the same. */
int supervised_stop(pid_t *supervisor);

/* Until a count has come so far; in a child, where there is no test to fail. */
void supervised_await_count(_Atomic int *count, int wanted);
/* The same in the test, which fails where it does not. */
void supervised_await(_Atomic int *count, int wanted);

#endif
