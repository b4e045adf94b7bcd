#include "supervisor/supervising.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"

enum { AGAIN_MS = 1000 };

/* Returns 0 if WATCHDOG_PID names another process: then the limit is not for this one. */
static int64_t read_watchdog_ms(void)
{
    const char *limit_us = getenv("WATCHDOG_USEC"), *meant_for = getenv("WATCHDOG_PID");
    int64_t us = 0, pid = getpid();
    if (!limit_us || bide_parse_int(limit_us, 1, INT64_MAX, &us, NULL) != BIDE_OK)
        return 0;
    if (meant_for && (bide_parse_int(meant_for, 1, INT64_MAX, &pid, NULL) != BIDE_OK || pid != getpid()))
        return 0;
    return us < 1000 ? 1 : us / 1000;
}

static bool read_address(struct bide_notify *notify, const char *path)
{
    size_t size = strlen(path);
    if ((*path != '/' && *path != '@') || size < 2 || size >= sizeof notify->to.sun_path)
        return false;
    notify->to.sun_family = AF_UNIX;
    memcpy(notify->to.sun_path, path, size);
    if (*path == '@')
        notify->to.sun_path[0] = '\0';
    notify->to_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    return true;
}

void bide_notify_open(struct bide_notify *notify)
{
    const char *path = getenv("NOTIFY_SOCKET");
    *notify = (struct bide_notify){.fd = -1, .serving = -1};
    if (path && read_address(notify, path)) {
        notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        notify->watchdog_ms = read_watchdog_ms();
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void bide_notify_close(struct bide_notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
}

static bool say(struct bide_notify *notify, const char *text)
{
    ssize_t sent = sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL,
        (const struct sockaddr *)(const void *)&notify->to, notify->to_size);
    return sent >= 0;
}

/* False if the manager's buffer is full: the caller must try again. */
static bool tell_state(struct bide_notify *notify, const struct bide_notify_news *news)
{
    char text[128];
    bool ready = notify->ready || (news->serving >= news->wanted && !news->stopping);
    if (news->serving == notify->serving && news->reloading == notify->reloading &&
        news->stopping == notify->stopping)
        return true;
    const char *state = news->stopping    ? "STOPPING=1\n"
                        : news->reloading ? "RELOADING=1\n"
                        : ready           ? "READY=1\n"
                                          : "";
    snprintf(text, sizeof text, "%sSTATUS=%s%d of %d worker processes serve\n", state,
        news->stopping ? "stopping, " : "", news->serving, news->wanted);
    if (!say(notify, text))
        return false;
    notify->ready = ready;
    notify->serving = news->serving;
    notify->reloading = news->reloading;
    notify->stopping = news->stopping;
    return true;
}

int64_t bide_notify_tell(struct bide_notify *notify, const struct bide_notify_news *news, int64_t now_ms)
{
    if (notify->fd < 0)
        return -1;
    bool told = tell_state(notify, news);
    if (notify->watchdog_ms == 0)
        return told ? -1 : AGAIN_MS;
    int64_t every_ms = notify->watchdog_ms / 2, left_ms = notify->ticked_ms + every_ms - now_ms;
    if (left_ms > 0)
        return left_ms;
    if (news->asleep_ms < notify->watchdog_ms && say(notify, "WATCHDOG=1\n"))
        notify->ticked_ms = now_ms;
    return every_ms > 0 ? every_ms : 1;
}
