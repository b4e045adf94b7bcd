/* base/wakeup.h: a descriptor that one thread polls and that any thread (or signal handler) can make
 * readable.
 *
 * Thread-safety: bide_wakeup_signal from anywhere, async-signal-safe; the rest by the owner. */
#ifndef BIDE_BASE_WAKEUP_H
#define BIDE_BASE_WAKEUP_H

#include <stdbool.h>

#include "bide/error.h"

struct bide_wakeup {
    int fd; /* an eventfd; -1 when closed */
};

bide_code bide_wakeup_init(struct bide_wakeup *wakeup, bide_error *error);
void bide_wakeup_close(struct bide_wakeup *wakeup); /* also after a failed init */
void bide_wakeup_signal(const struct bide_wakeup *wakeup);
bool bide_wakeup_is_signalled(const struct bide_wakeup *wakeup);
void bide_wakeup_drain(const struct bide_wakeup *wakeup); /* makes it unreadable again */

#endif
