#include "console/console.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bide/log.h"
#include "config/listen.h"

enum { BACKLOG = 32 };

static int open_socket(const struct sockaddr *address, socklen_t size)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, address, size) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static bide_code open_tcp(
    const struct bide_http_config *http, struct bide_listeners *listeners, bide_error *error)
{
    struct bide_listen listen;
    if (!http->listen)
        return BIDE_OK;
    bide_code code = bide_listen_parse(http->listen, &listen, error);
    if (code != BIDE_OK)
        return code;
    listeners->loopback = listen.loopback;
    listeners->tcp = open_socket((const struct sockaddr *)&listen.address, listen.size);
    if (listeners->tcp >= 0)
        return BIDE_OK;
    int why = errno;
    bide_fail(error, BIDE_E_CONFIG, "http.listen: cannot listen on %s: %s", http->listen, strerror(why));
    errno = why;
    return BIDE_E_CONFIG;
}

bide_code bide_listeners_try(const struct bide_http_config *http, bide_error *error)
{
    struct bide_listeners listeners = {.tcp = -1, .local = -1, .senders = -1};
    bide_code code = open_tcp(http, &listeners, error);
    int why = errno;
    bide_listeners_close(&listeners);
    errno = why;
    return code;
}

/* Sets the mode when the socket is made, so that it never has another one. */
static int open_unix(const char *path, mode_t mode)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    unlink(path);
    mode_t before = umask(0777 & ~mode);
    int fd = open_socket((const struct sockaddr *)&address, sizeof address);
    umask(before);
    return fd;
}

static void open_local(const struct bide_config *config, struct bide_listeners *listeners)
{
    bide_error error = {0};
    bide_code code = bide_socket_own(config, getpid(), listeners->path, &error);
    if (code == BIDE_OK && bide_socket_is_served(listeners->path))
        code = bide_fail(&error, BIDE_E_INTERNAL,
            "%s: belongs to a worker in another PID namespace: give each container a folder of its own",
            listeners->path);
    if (code == BIDE_OK) {
        listeners->local = open_unix(listeners->path, 0600);
        if (listeners->local < 0)
            bide_fail(&error, BIDE_E_INTERNAL, "%s: %s", listeners->path, strerror(errno));
    }
    if (listeners->local < 0)
        bide_log(BIDE_LOG_WARN, "no Unix socket for the console", BIDE_STR("error", error.text));
}

/* A file that is not a socket is not removed. */
static bide_code open_senders(
    const struct bide_http_config *http, struct bide_listeners *listeners, bide_error *error)
{
    struct stat there;
    const char *path = http->send_socket;
    if (!path)
        return BIDE_OK;
    if (lstat(path, &there) == 0 && !S_ISSOCK(there.st_mode))
        return bide_fail(error, BIDE_E_CONFIG, "http.send_socket: %s exists and is not a socket", path);
    if (bide_socket_is_served(path))
        return bide_fail(error, BIDE_E_CONFIG,
            "http.send_socket: another process listens at %s: give each worker a name of its own", path);
    memcpy(listeners->senders_path, path, strlen(path) + 1); /* config/check.c has checked its length */
    listeners->senders = open_unix(path, 0660);
    return listeners->senders >= 0
               ? BIDE_OK
               : bide_fail(error, BIDE_E_CONFIG, "http.send_socket: %s: %s", path, strerror(errno));
}

bide_code bide_listeners_open(
    const struct bide_config *config, struct bide_listeners *ret_listeners, bide_error *error)
{
    *ret_listeners = (struct bide_listeners){.tcp = -1, .local = -1, .senders = -1};
    bide_code code = open_tcp(&config->http, ret_listeners, error);
    if (code == BIDE_OK)
        code = open_senders(&config->http, ret_listeners, error);
    if (code == BIDE_OK)
        open_local(config, ret_listeners);
    else
        bide_listeners_close(ret_listeners);
    return code;
}

static bool is_same(const char *one, const char *other)
{
    return one && other ? strcmp(one, other) == 0 : one == other;
}

bide_code bide_listeners_prepare(const struct bide_listeners *now, const struct bide_config *before,
    const struct bide_config *after, struct bide_listeners *ret_next, bide_error *error)
{
    bide_code code = BIDE_OK;
    *ret_next = *now;
    if (!is_same(before->http.listen, after->http.listen)) {
        ret_next->tcp = -1;
        code = open_tcp(&after->http, ret_next, error);
    }
    if (code == BIDE_OK && !is_same(before->http.send_socket, after->http.send_socket)) {
        ret_next->senders = -1;
        code = open_senders(&after->http, ret_next, error);
    }
    if (code != BIDE_OK) {
        bide_listeners_drop(ret_next, now);
        *ret_next = *now;
    }
    return code;
}

void bide_listeners_drop(const struct bide_listeners *dropped, const struct bide_listeners *kept)
{
    if (dropped->tcp >= 0 && dropped->tcp != kept->tcp)
        close(dropped->tcp);
    if (dropped->senders >= 0 && dropped->senders != kept->senders)
        close(dropped->senders);
}

void bide_listeners_remove_dropped(const struct bide_listeners *dropped, const struct bide_listeners *kept)
{
    if (dropped->senders >= 0 && dropped->senders != kept->senders)
        unlink(dropped->senders_path);
    bide_listeners_drop(dropped, kept);
}

void bide_listeners_close(struct bide_listeners *listeners)
{
    int *const fds[] = {&listeners->tcp, &listeners->local, &listeners->senders};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

void bide_listeners_remove(struct bide_listeners *listeners)
{
    if (listeners->local >= 0)
        unlink(listeners->path);
    if (listeners->senders >= 0)
        unlink(listeners->senders_path);
    bide_listeners_close(listeners);
}
