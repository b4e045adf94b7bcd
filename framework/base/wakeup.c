#include "base/wakeup.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

bide_code bide_wakeup_init(struct bide_wakeup *wakeup, bide_error *error)
{
    wakeup->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wakeup->fd < 0)
        return bide_fail(error, BIDE_E_INTERNAL, "cannot create an eventfd: %s", strerror(errno));
    return BIDE_OK;
}

void bide_wakeup_close(struct bide_wakeup *wakeup)
{
    if (wakeup->fd >= 0)
        close(wakeup->fd);
    wakeup->fd = -1;
}

void bide_wakeup_signal(const struct bide_wakeup *wakeup)
{
    int kept = errno;
    uint64_t one = 1;
    ssize_t written = write(wakeup->fd, &one, sizeof one); /* EAGAIN: it is readable already */
    (void)written;
    errno = kept;
}

bool bide_wakeup_is_signalled(const struct bide_wakeup *wakeup)
{
    struct pollfd fd = {.fd = wakeup->fd, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

void bide_wakeup_drain(const struct bide_wakeup *wakeup)
{
    uint64_t count;
    ssize_t got = read(wakeup->fd, &count, sizeof count); /* EAGAIN: nothing to drain */
    (void)got;
}
