#include "broker/sqlite/receiver.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { REMOVAL = IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF };

static const struct {
    unsigned events;
    unsigned flag;
} meanings[] = {
    {IN_MODIFY, BIDE_SQLITE_RANG},
    {IN_CLOSE_WRITE, BIDE_SQLITE_LEFT},
    {REMOVAL | IN_IGNORED, BIDE_SQLITE_TOUCHED},
    {IN_Q_OVERFLOW, BIDE_SQLITE_RANG | BIDE_SQLITE_LEFT | BIDE_SQLITE_TOUCHED},
};

bide_code bide_sqlite_watch_open(struct bide_sqlite_watch *watch, bide_error *error)
{
    watch->database = watch->lock = -1;
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd >= 0)
        return BIDE_OK;
    return bide_fail(error, BIDE_E_CONFIG,
        "cannot watch files (%s): raise fs.inotify.max_user_instances (sysctl) or the limit of open "
        "files",
        strerror(errno));
}

void bide_sqlite_watch_close(struct bide_sqlite_watch *watch)
{
    if (watch->fd >= 0)
        close(watch->fd);
    watch->fd = -1;
}

static void drop(struct bide_sqlite_watch *watch, int *descriptor)
{
    if (*descriptor >= 0)
        (void)inotify_rm_watch(watch->fd, *descriptor);
    *descriptor = -1;
}

bide_code bide_sqlite_watch_files(
    struct bide_sqlite_watch *watch, const char *database, const char *lock, bide_error *error)
{
    drop(watch, &watch->database);
    drop(watch, &watch->lock);
    (void)bide_sqlite_watch_read(watch); /* discards the events about the former files */
    watch->database = inotify_add_watch(watch->fd, database, REMOVAL);
    if (watch->database >= 0)
        watch->lock = inotify_add_watch(watch->fd, lock, REMOVAL | IN_MODIFY | IN_CLOSE_WRITE);
    if (watch->lock >= 0)
        return BIDE_OK;
    return bide_fail(error, BIDE_E_BROKER, "%s: cannot be watched: %s", database, strerror(errno));
}

static unsigned meaning_of(const struct inotify_event *event)
{
    unsigned flags = 0;
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (event->mask & meanings[i].events)
            flags |= meanings[i].flag;
    return flags;
}

unsigned bide_sqlite_watch_read(struct bide_sqlite_watch *watch)
{
    unsigned flags = 0;
    for (;;) {
        char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
        ssize_t size = read(watch->fd, events, sizeof events);
        if (size <= 0)
            return flags;
        for (const char *at = events; at < events + size;) {
            const struct inotify_event *event = (const void *)at;
            flags |= meaning_of(event);
            at += sizeof *event + event->len;
        }
        if ((size_t)size < sizeof events / 2)
            return flags;
    }
}
