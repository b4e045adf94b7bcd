/* Children of the fixture: this program again, by exec, so that no descriptor of the parent's adapters is
 * inherited. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/broker_fixture.h"

extern char **environ;

enum { ARGUMENTS = 9 };

static bool pipes_open(int in[2], int out[2])
{
    if (pipe2(in, O_CLOEXEC) < 0)
        return false;
    if (pipe2(out, O_CLOEXEC) == 0)
        return true;
    close(in[0]);
    close(in[1]);
    return false;
}

static int spawn_with(pid_t *ret_pid, char *const arguments[], int in, int out)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    int failed = posix_spawn(ret_pid, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

/* posix_spawn wants char *, and promises not to write. */
static char *unconst(const char *text)
{
    union {
        const char *given;
        char *wanted;
    } pointer = {text};
    return pointer.wanted;
}

static struct child *free_slot(struct fixture *fixture)
{
    for (size_t i = 0; i < FIXTURE_CHILDREN; i++)
        if (fixture->children[i].pid == 0)
            return &fixture->children[i];
    fail_msg("no free child in the fixture");
    return NULL;
}

struct child *fixture_spawn(struct fixture *fixture, const char *role, size_t number)
{
    assert_false(fixture->adapter->one_process); /* another process has nothing to do with this broker */
    struct child *child = free_slot(fixture);
    char count[32];
    snprintf(count, sizeof count, "%zu", number);
    char *arguments[ARGUMENTS] = {unconst(fixture->settings->program), unconst("--child"), unconst(role),
        count, unconst(fixture->settings->url), fixture->name_space, fixture->names[0], fixture->names[1],
        NULL};
    int in[2], out[2];
    assert_true(pipes_open(in, out));
    int failed = spawn_with(&child->pid, arguments, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    child->in = in[1];
    child->out = out[0];
    if (failed)
        fail_msg("cannot start %s: %s", arguments[0], strerror(failed));
    return child;
}

/* One line without its end; false at the end of the child's output or of the time. */
static bool read_line(struct child *child, char *to, size_t size, struct deadline *deadline)
{
    for (size_t i = 0; i + 1 < size; i++) {
        struct pollfd ready = {.fd = child->out, .events = POLLIN};
        if (poll(&ready, 1, (int)(deadline_left_us(deadline) / 1000)) != 1 ||
            read(child->out, &to[i], 1) != 1)
            return false;
        if (to[i] == '\n') {
            to[i] = '\0';
            return true;
        }
    }
    return false;
}

void child_expect(struct child *child, const char *line, int64_t within_ms)
{
    char said[256] = "";
    struct deadline deadline = deadline_in_ms(within_ms);
    if (!read_line(child, said, sizeof said, &deadline))
        fail_msg("the child did not say '%s' within %lld ms", line, (long long)within_ms);
    assert_string_equal(said, line);
}

void child_tell(struct child *child, const char *line)
{
    assert_true(dprintf(child->in, "%s\n", line) > 0);
}

void child_kill(struct child *child)
{
    if (child->pid <= 0)
        return;
    kill(child->pid, SIGKILL);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    close(child->in);
    close(child->out);
    *child = (struct child){0};
}
