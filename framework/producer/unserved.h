/* producer/unserved.h: would a worker of this configuration run a message? Any thread. */
#ifndef BIDE_PRODUCER_UNSERVED_H
#define BIDE_PRODUCER_UNSERVED_H

#include <stdbool.h>

#include "config/config.h"

enum { BIDE_UNSERVED_TEXT = 400 };

/* True where no handler has the type, or `queue` ("": the type's own) is not served; text then says so, with
 * the nearest name. A configuration without handlers is a sender's: it knows nothing of types. */
bool bide_is_unserved(
    const struct bide_config *config, const char *type, const char *queue, char text[BIDE_UNSERVED_TEXT]);

#endif
