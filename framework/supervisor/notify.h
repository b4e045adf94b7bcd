/* supervisor/notify.h: tells a service manager how the supervisor is, by the protocol of sd_notify(3): a
 * datagram to the socket $NOTIFY_SOCKET names (a path, or "@…" of the abstract kind). Nothing happens where
 * it is not set.
 *
 * What is said: READY=1 once every wanted process serves (later ones that are replaced do not take it back),
 * RELOADING=1 until a new configuration is taken over or refused, STATUS=… when the number of serving
 * processes changes, STOPPING=1, and WATCHDOG=1 at half of $WATCHDOG_USEC for as long as every process is
 * awake that is not about to leave. A process that is stuck lets the manager end the whole service: a
 * supervisor that only looks whether a process exists would never notice.
 *
 * It is nobody's error when the manager does not listen. Thread-safety: one thread. */
#ifndef BIDE_SUPERVISOR_NOTIFY_H
#define BIDE_SUPERVISOR_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct bide_notify {
    int fd; /* -1: nobody to tell */
    struct sockaddr_un to;
    socklen_t to_size;
    int64_t watchdog_ms; /* the manager's limit; 0: none */
    int64_t ticked_ms;   /* monotonic: the last WATCHDOG=1 */
    int serving;         /* as last told; -1: nothing yet */
    bool ready, reloading, stopping;
};

/* How it is now. */
struct bide_notify_news {
    int wanted, serving; /* processes */
    int64_t asleep_ms;   /* how long ago the sleepiest process last went round its loop */
    bool reloading, stopping;
};

/* Reads the environment, and clears it, so that no child speaks for the service. */
void bide_notify_open(struct bide_notify *notify);
void bide_notify_close(struct bide_notify *notify);

/* Sends what is new. Returns how many ms from now it wants to be called again at the latest, -1: when
 * something changes. */
int64_t bide_notify_tell(struct bide_notify *notify, const struct bide_notify_news *news, int64_t now_ms);

#endif
