#include <limits.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "relay/outbox.h"

enum { REMOVAL = IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF };

/* After an event; a commit waits for the disk, and its transaction may be long. */
static const int pauses_ms[] = {1, 1, 2, 3, 5, 8, 13, 20, 40, 80, 160, 1000};
enum { LAST = sizeof pauses_ms / sizeof pauses_ms[0] - 1 };

void bide_outbox_watch_open(struct bide_outbox_watch *watch)
{
    *watch = (struct bide_outbox_watch){.database = -1, .log = -1};
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

void bide_outbox_watch_close(struct bide_outbox_watch *watch)
{
    if (watch->fd >= 0)
        close(watch->fd);
    watch->fd = -1;
}

static void add(const struct bide_outbox_watch *watch, const char *path, int *descriptor)
{
    if (watch->fd >= 0 && *descriptor < 0)
        *descriptor = inotify_add_watch(watch->fd, path, IN_MODIFY | REMOVAL);
}

/* The log is there only while the database is in WAL mode and somebody has it open. */
static void add_log(struct bide_outbox_watch *watch, const char *path)
{
    char log[PATH_MAX];
    if (watch->log < 0 && snprintf(log, sizeof log, "%s-wal", path) < (int)sizeof log)
        add(watch, log, &watch->log);
}

void bide_outbox_watch_file(struct bide_outbox_watch *watch, const char *path)
{
    if (watch->database >= 0)
        (void)inotify_rm_watch(watch->fd, watch->database);
    if (watch->log >= 0)
        (void)inotify_rm_watch(watch->fd, watch->log);
    watch->database = watch->log = -1;
    add(watch, path, &watch->database);
    add_log(watch, path);
    watch->looks = 0;
}

void bide_outbox_watch_soon(struct bide_outbox_watch *watch)
{
    watch->looks = 0;
}

static void note(struct bide_outbox_watch *watch, const struct inotify_event *event, bool *ret_touched)
{
    bool is_log = event->wd == watch->log;
    if (event->mask & IN_MODIFY) {
        watch->looks = 0;
        watch->is_stirred = true;
    }
    if (is_log && event->mask & (REMOVAL | IN_IGNORED))
        watch->log = -1; /* watched anew with the next look */
    if (!is_log && event->mask & (REMOVAL | IN_IGNORED | IN_Q_OVERFLOW))
        *ret_touched = true;
}

static void read_events(struct bide_outbox_watch *watch, bool *ret_touched)
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t size;
    while (watch->fd >= 0 && (size = read(watch->fd, events, sizeof events)) > 0)
        for (const char *at = events; at < events + size;) {
            const struct inotify_event *event = (const void *)at;
            note(watch, event, ret_touched);
            at += sizeof *event + event->len;
        }
}

void bide_outbox_watch_look(
    struct bide_outbox_watch *watch, const char *path, int64_t now_us, bool *ret_touched)
{
    *ret_touched = watch->looks >= LAST; /* the fallback looks at everything */
    watch->looks += watch->looks < LAST;
    watch->looked_us = now_us;
    watch->is_stirred = false;
    read_events(watch, ret_touched);
    if (watch->database >= 0)
        add_log(watch, path);
}

/* Whoever writes all the time causes an event with each page: after one, no other is waited for until the
 * next look. */
void bide_outbox_watch_wait(const struct bide_outbox_watch *watch, int64_t now_us, struct bide_wait *ret_wait)
{
    int64_t left_us = watch->looked_us + (int64_t)pauses_ms[watch->looks] * 1000 - now_us;
    ret_wait->n_fds = watch->fd >= 0 && !watch->is_stirred;
    ret_wait->fds[0] = (struct pollfd){.fd = watch->fd, .events = POLLIN};
    ret_wait->timeout_us = left_us > 0 ? left_us : 0;
}
