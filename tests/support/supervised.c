#include "support/supervised.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/deadline.h"
#include "support/test.h"

void *supervised_map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

int supervised_unmap(void *memory, size_t size, pid_t supervisor)
{
    if (supervisor > 0) { /* its children are told by the system */
        kill(supervisor, SIGKILL);
        waitpid(supervisor, NULL, 0);
    }
    return munmap(memory, size);
}

pid_t supervised_begin(void (*main)(void *user), void *user)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        main(user);
        _exit(97);
    }
    assert_true(pid > 0);
    return pid;
}

int supervised_end(pid_t *supervisor)
{
    struct deadline deadline = deadline_in_ms(SUPERVISED_PATIENCE_MS);
    int status;
    pid_t pid;
    while ((pid = waitpid(*supervisor, &status, WNOHANG)) == 0 && !deadline_passed(&deadline))
        deadline_nap(&deadline);
    assert_int_equal(pid, *supervisor);
    *supervisor = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

int supervised_stop(pid_t *supervisor)
{
    kill(*supervisor, SIGTERM);
    return supervised_end(supervisor);
}

static bool has_come(_Atomic int *count, int wanted, int64_t ms)
{
    struct deadline deadline = deadline_in_ms(ms);
    while (atomic_load(count) < wanted && !deadline_passed(&deadline))
        deadline_nap(&deadline);
    return atomic_load(count) >= wanted;
}

void supervised_await_count(_Atomic int *count, int wanted)
{
    has_come(count, wanted, 2 * SUPERVISED_PATIENCE_MS);
}

void supervised_await(_Atomic int *count, int wanted)
{
    assert_true(has_come(count, wanted, SUPERVISED_PATIENCE_MS));
}
