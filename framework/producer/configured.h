/* producer/configured.h: sending as a configuration says: `bide send` and POST /send of the console. Any
 * thread; nothing is kept between calls. */
#ifndef BIDE_PRODUCER_CONFIGURED_H
#define BIDE_PRODUCER_CONFIGURED_H

#include "bide/producer.h"
#include "config/config.h"

/* A producer for the configuration's broker, queues and limits. */
bide_code bide_producer_open_configured(
    const struct bide_config *config, bide_producer **ret_producer, bide_error *error);

/* One line (message/envelope.h) as a message that is ready to be sent: stamped, with the queue of its type's
 * handler where it names none. What sending would refuse is found here. BIDE_E_DATA, BIDE_E_NOMEM. */
bide_code bide_message_from_line(const struct bide_config *config, const char *text, size_t size,
    bide_message **ret_message, bide_error *error);

#endif
