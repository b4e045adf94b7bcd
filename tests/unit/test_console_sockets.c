/* The Unix sockets of workers: a name is removed only where nobody listens. */
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "console/sockets.h"
#include "support/temp_dir.h"
#include "unit.h"

/* A pid that means nothing here, as one of another PID namespace. */
static pid_t strange_pid(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return child;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static bool count(void *user, const char *path, pid_t pid)
{
    (void)path;
    (void)pid;
    (*(int *)user)++;
    return true;
}

static int count_workers(const struct bide_config *config)
{
    int n = 0;
    bide_socket_each(config, count, &n);
    return n;
}

static void test_served_from_another_pid_namespace(void **state)
{
    struct temp_dir dir;
    struct bide_config *config;
    char own[BIDE_SOCKET_PATH], folder[TEMP_DIR_PATH + 8], path[TEMP_DIR_PATH + BIDE_SOCKET_PATH + 16];
    bide_error error;
    (void)state;
    assert_int_equal(temp_dir_create(&dir), 0);
    setenv("XDG_RUNTIME_DIR", dir.path, 1);
    snprintf(folder, sizeof folder, "%s/bide", dir.path);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_ok(bide_config_default(&config, &error), &error);
    pid_t pid = strange_pid();
    assert_ok(bide_socket_own(config, pid, own, &error), &error); /* the name, perhaps in another folder */
    snprintf(path, sizeof path, "%s%s", folder, strrchr(own, '/'));
    int fd = listen_at(path);
    assert_int_equal(count_workers(config), 1);
    assert_int_equal(access(path, F_OK), 0);
    close(fd);
    assert_int_equal(count_workers(config), 0);
    assert_int_not_equal(access(path, F_OK), 0);
    bide_config_destroy(config);
    assert_int_equal(temp_dir_remove(&dir), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_served_from_another_pid_namespace),
};

UNIT_MAIN(tests)
