/* producer/configured.h: sends by a configuration's broker, queues and limits, for `bide send` and the
 * console's POST /send. Any thread; nothing is kept between calls. */
#ifndef BIDE_PRODUCER_CONFIGURED_H
#define BIDE_PRODUCER_CONFIGURED_H

#include "bide/producer.h"
#include "config/config.h"

/* A producer for the configuration's broker, queues and limits. */
bide_code bide_producer_open_configured(
    const struct bide_config *config, bide_producer **ret_producer, bide_error *error);

/* Joins these subscriptions of a topic, so that what is sent from now on arrives there. BIDE_E_DATA: not a
 * name. */
bide_code bide_join_configured(const struct bide_config *config, const char *topic,
    const char *const *subscriptions, size_t n, bide_error *error);

/* One line (message/envelope.h) as a message that is not stamped yet, with the queue of its type's handler if
 * it names none. BIDE_E_DATA (also where its body is too large), BIDE_E_NOMEM. */
bide_code bide_message_read_line(const struct bide_config *config, const char *text, size_t size,
    bide_message **ret_message, bide_error *error);

/* Turns one line into a message that is ready to be sent: stamped, and with the queue of
 * its type's handler if it names none. Fails where sending would refuse the message. BIDE_E_DATA,
 * BIDE_E_NOMEM. */
bide_code bide_message_from_line(const struct bide_config *config, const char *text, size_t size,
    bide_message **ret_message, bide_error *error);

#endif
