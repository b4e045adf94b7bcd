/* producer/unserved.h: says whether a worker with this configuration would run a message. Any thread. */
#ifndef BIDE_PRODUCER_UNSERVED_H
#define BIDE_PRODUCER_UNSERVED_H

#include <stdbool.h>

#include "config/config.h"

enum { BIDE_UNSERVED_TEXT = 400 };

/* True if no handler has the type, or `queue` ("": the type's own) is not served; the text then says so, with
 * the nearest name. False if the configuration has no handlers: then it is only for sending. */
bool bide_is_unserved(
    const struct bide_config *config, const char *type, const char *queue, char text[BIDE_UNSERVED_TEXT]);

#endif
